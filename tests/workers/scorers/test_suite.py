"""Scores point the way that their columns say, and a scorer that fails costs one score and no more."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from manifests.records import EMBEDDED
from workers.experts.layout_move import LayoutMove, apply_move
from workers.scorers.base import Pixels, Scorer, Trio, Vector, View
from workers.scorers.copy_paste import CopyPaste
from workers.scorers.layout_distance import LayoutDistance
from workers.scorers.palette_leak import PaletteLeak
from workers.scorers.references import References
from workers.scorers.settings import ScorerSettings
from workers.scorers.style_similarity_csls import StyleSimilarityCsls
from workers.scorers.suite import measure, suite


def unit(*values: float) -> Vector:
    vector = np.array(values, dtype=np.float32)
    return vector / np.linalg.norm(vector)


def picture(colour: tuple[int, int, int] = (200, 30, 30), move: LayoutMove | None = None) -> Pixels:
    mask = np.zeros((96, 96), np.uint8)
    cv2.fillPoly(mask, [np.array([[20, 20], [80, 30], [50, 85], [30, 60]])], 255)
    pixels = np.full((96, 96, 3), 255, np.uint8)
    pixels[mask > 0] = colour
    if move is None:
        return pixels
    return apply_move(pixels, mask, move, backdrop=np.full_like(pixels, 255))


def view(pixels: Pixels, style: Vector | None = None, subject: Vector | None = None) -> View:
    return View(pixels, unit(1, 0) if style is None else style, unit(1, 0) if subject is None else subject)


def trio(target: View, style: View | None = None, content: View | None = None) -> Trio:
    return Trio(target=target, style=style or target, content=content or target)


MOVE = LayoutMove(angle=40, mirrored=True, scale=0.5, x=0.75, y=0.25)


def plain(bank: Vector, neighbours: int) -> list[Scorer]:
    return suite(ScorerSettings(neighbours=neighbours), {}, References(bank))


def test_the_suite_measures_every_score_column() -> None:
    scores, failures = measure(plain(np.eye(4, 2, dtype=np.float32), 2), trio(view(picture())))
    assert set(scores) == set(EMBEDDED)
    assert failures == {}


def test_embedding_scores_are_cosines_of_the_right_pairs() -> None:
    a, b, c = unit(1, 0), unit(0, 1), unit(1, 1)
    scores, _ = measure(
        plain(np.eye(2, dtype=np.float32), 1),
        Trio(target=view(picture(), a, a), style=view(picture(), c, b), content=view(picture(), b, c)),
    )
    assert scores["style_similarity"] == pytest.approx(0.7071, abs=1e-4)
    assert scores["style_leak"] == 0
    assert scores["subject_consistency"] == pytest.approx(0.7071, abs=1e-4)
    assert scores["destylization"] == 1


def test_csls_takes_from_hubs() -> None:
    bank = np.stack([unit(1, 0.1 * n) for n in range(10)])
    hub, loner = unit(1, 0.3), unit(-1, 0.2)
    scorer = StyleSimilarityCsls(bank, neighbours=3)
    crowded = scorer.score(trio(view(picture(), hub)))
    alone = scorer.score(trio(view(picture(), loner)))
    assert alone > crowded
    with pytest.raises(ValueError, match="neighbours"):
        StyleSimilarityCsls(bank, neighbours=11)


def test_layout_distance_is_small_in_place_and_large_after_a_move() -> None:
    scorer = LayoutDistance()
    repainted = scorer.score(trio(view(picture()), content=view(picture((20, 120, 60)))))
    moved = scorer.score(trio(view(picture()), content=view(picture(move=MOVE))))
    assert repainted < 0.1
    assert moved > 0.5


def test_layout_distance_of_photographs_goes_by_structure() -> None:
    from skimage import data

    photo = cv2.resize(data.astronaut(), (128, 128), interpolation=cv2.INTER_AREA)
    painted = cv2.bilateralFilter(photo, 9, 60, 60)
    scorer = LayoutDistance()
    same = scorer.score(trio(view(photo), content=view(painted)))
    mirrored = scorer.score(trio(view(photo), content=view(np.ascontiguousarray(painted[:, ::-1]))))
    assert same < 0.3
    assert mirrored > same + 0.2


def test_copies_share_nearly_all_bits_and_moves_do_not() -> None:
    scorer = CopyPaste()
    assert scorer.score(trio(view(picture()))) == 1
    assert scorer.score(trio(view(picture()), content=view(picture(move=MOVE)))) < 0.8


def test_palette_leak_is_positive_when_content_took_the_styles_colours() -> None:
    red, green = picture((200, 30, 30)), picture((20, 150, 60))
    leaking = PaletteLeak().score(Trio(target=view(red), style=view(green), content=view(green)))
    honest = PaletteLeak().score(Trio(target=view(red), style=view(green), content=view(red)))
    assert leaking > 1
    assert honest == pytest.approx(0, abs=1e-6)


class _Broken(Scorer):
    column = "style_leak"

    def score(self, trio: Trio) -> float:
        raise ValueError(f"no face in {trio.target.pixels.shape}")


class _Endless(Scorer):
    column = "destylization"

    def score(self, trio: Trio) -> float:
        return float("nan") * len(trio.target.pixels)


def test_a_failing_scorer_leaves_its_column_out_and_says_why() -> None:
    scores, failures = measure([_Broken(), _Endless(), CopyPaste()], trio(view(picture())))
    assert set(scores) == {"copy_paste"}
    assert "no face" in failures["style_leak"]
    assert "nan" in failures["destylization"]
