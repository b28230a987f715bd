"""The atelier hands over real drawings of the same subjects by different hands."""

from __future__ import annotations

import io
import pickle
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from curation.ingest.refusal import Reason, Refused
from curation.sources.iconify import IconifySource
from manifests.images import ImageRef


def opened(raw: bytes) -> Image.Image:
    return Image.open(io.BytesIO(raw))


def test_there_are_six_families_and_enough_subjects(atelier: IconifySource) -> None:
    refs = atelier.refs()
    by_family: dict[str, set[str]] = {}
    for ref in refs:
        by_family.setdefault(ref.family, set()).add(ref.subject)
    subjects = {ref.subject for ref in refs}
    assert by_family.keys() == {
        "color",
        "openmoji",
        "fluent-flat",
        "fluent-high-contrast",
        "emojione-monotone",
        atelier.realistic_family,
    }
    assert by_family[atelier.realistic_family] == subjects, "every subject has its realistic side"
    assert len(subjects) >= 1500
    assert min(Counter(subject for has in by_family.values() for subject in has).values()) >= 4
    heldout = {ref.subject for ref in refs if ref.split == "heldout"}
    assert 0.05 < len(heldout) / len(subjects) < 0.15


def test_every_image_says_who_made_it_and_what_may_be_done_with_it(atelier: IconifySource) -> None:
    refs = atelier.refs()
    assert len({ref.locator for ref in refs}) == len(refs)
    for ref in refs:
        assert ref.licence in {"MIT", "Apache-2.0", "CC-BY-4.0", "CC-BY-SA-4.0"}
        assert ref.author
        assert (ref.attribution_url or "").startswith("https://")
        assert ref.package == ref.fingerprint
        assert ref.locator.endswith(f"/{ref.subject}")


def test_the_same_subject_is_drawn_by_every_set(atelier: IconifySource) -> None:
    drawings = [ref for ref in atelier.refs() if ref.subject == "cat-face"]
    assert len(drawings) == 10
    seen = set()
    for ref in drawings:
        image = opened(atelier.read(ref, size=96))
        assert image.mode == "RGBA"
        assert image.size == ((256, 256) if ref.family == atelier.realistic_family else (96, 96))
        alpha = np.asarray(image.getchannel("A"))
        assert 0.1 < (alpha > 128).mean() < 1.0
        seen.add(image.tobytes())
    assert len(seen) == 10


def test_drawings_stay_square_and_sharp_at_any_size(atelier: IconifySource) -> None:
    ref = next(ref for ref in atelier.refs() if ref.locator == "fluent-emoji-high-contrast/cat-face")
    for size in (16, 65, 1024):
        image = opened(atelier.read(ref, size=size))
        assert image.size == (size, size)
        pixels = np.asarray(image)
        ink = pixels[pixels[..., 3] == 255]
        assert (ink[:, :3] == (0x1F, 0x1F, 0x24)).all(), "a monochrome set is drawn in near-black"


def test_almost_every_drawing_shows_something(atelier: IconifySource) -> None:
    refs = atelier.refs()[::97]
    blank = [ref.locator for ref in refs if np.asarray(opened(atelier.read(ref, size=32)))[..., 3].max() < 128]
    assert blank == []


def test_a_source_travels_as_its_parameters(atelier: IconifySource) -> None:
    assert atelier.refs()
    wire = pickle.dumps(atelier)
    assert len(wire) < 1000
    assert pickle.loads(wire).refs() == atelier.refs()


def test_sets_can_be_chosen(atelier: IconifySource) -> None:
    assert atelier.refs()
    chosen = IconifySource(name="two", sets=("openmoji", "noto"))
    assert {ref.locator.split("/")[0] for ref in chosen.refs()} == {"openmoji", "noto"}
    assert {ref.source for ref in chosen.refs()} == {"two"}


@pytest.mark.parametrize(
    ("sets", "told"), [(("nottto",), "unknown set 'nottto'; choose from noto"), ((), "at least one")]
)
def test_a_misnamed_set_is_told(sets: tuple[str, ...], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        IconifySource(sets=sets)


@pytest.mark.parametrize("locator", ["noto/no-such-thing", "fluent-emoji-3d/no-such-thing", "nowhere/cat", "../../x"])
def test_what_is_not_there_is_refused(atelier: IconifySource, locator: str) -> None:
    ref = ImageRef(source="iconify", locator=locator, fingerprint="x", subject="x", family="color")
    with pytest.raises(Refused) as refusal:
        atelier.read(ref, size=64)
    assert refusal.value.reason is Reason.MISSING
