"""What experts that draw promise: bits that follow from the request alone, honest lineage, rows that fail alone."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from manifests.images import ImageRef, Split, split_of
from manifests.records import Layout
from tests.uso.conftest import build_pipeline
from tests.workers.experts.shapes import SUBJECTS, Shapes
from uso import painter as drawing
from uso.checkpoint import CheckpointError
from workers.experts.base import ExpertFailure, ExpertImage, ExpertRequest
from workers.experts.uso.destylizer import UsoDestylizer
from workers.experts.uso.files import expert_digest, files_of
from workers.experts.uso.settings import DestylizeSettings, StylizeSettings
from workers.experts.uso.stylizer import UsoStylizer

TRAIN = [name for name in SUBJECTS if split_of(name) == "train"]
HELDOUT = [name for name in SUBJECTS if split_of(name) == "heldout"]


class Licensed(Shapes):
    """The shapes, of which the painted ones ask for share alike."""

    def _ref(self, subject: str, family: str) -> ImageRef:
        licence = "MIT" if family == "real" else "CC-BY-SA-4.0"
        return super()._ref(subject, family).model_copy(update={"licence": licence, "author": f"{family} hand"})


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_pipeline(tmp_path_factory.mktemp("pipeline"))


def keys(pipeline: Path, **changes: Any) -> dict[str, Any]:
    return {
        "pipeline": str(pipeline),
        "lora": pipeline / "dit_lora.safetensors",
        "projector": pipeline / "projector.safetensors",
        "vision": str(pipeline / "vision"),
        "text_length": 6,
        "size": 32,
        "steps": 2,
        **changes,
    }


@pytest.fixture(scope="session")
def destylizer(pipeline: Path) -> UsoDestylizer:
    return UsoDestylizer(DestylizeSettings(**keys(pipeline)))


@pytest.fixture(scope="session")
def painter(pipeline: Path) -> UsoStylizer:
    """A stylizer that is given the target as style and a picture of the new subject as content."""
    settings = StylizeSettings(**keys(pipeline, reference="style", new_subject="picture"))
    return UsoStylizer(settings, Licensed())


def asked(seed: int, layout: Layout = "shifted", subject: str | None = None) -> ExpertRequest:
    gallery = Licensed()
    (ref,) = gallery.of_subject(subject or TRAIN[seed % len(TRAIN)], "ink")
    prompt = "a red fox" if layout == "shifted" else ""
    return ExpertRequest(f"candidate-{seed}", gallery.load(ref).pixels, ref, layout, prompt, seed)


def image(made: ExpertImage | ExpertFailure) -> ExpertImage:
    assert isinstance(made, ExpertImage), made
    return made


@pytest.mark.parametrize("which", ["destylizer", "painter"])
def test_an_image_follows_from_its_request_alone_to_the_bit(which: str, request: pytest.FixtureRequest) -> None:
    expert = request.getfixturevalue(which)
    requests = [asked(seed, "shifted" if seed % 3 else "preserved") for seed in range(7)]
    together = [image(made).pixels for made in expert.generate(requests)]
    backwards = [image(made).pixels for made in expert.generate(requests[::-1])][::-1]
    alone = [image(expert.generate([one])[0]).pixels for one in requests]
    for first, second, third in zip(together, backwards, alone, strict=True):
        assert first.shape == (128, 128, 3)
        assert np.array_equal(first, second)
        assert np.array_equal(first, third)
    assert len({pixels.tobytes() for pixels in together}) == len(requests)


def test_the_size_of_batches_changes_rounding_at_most(pipeline: Path, destylizer: UsoDestylizer) -> None:
    requests = [asked(seed) for seed in range(3)]
    other = UsoDestylizer(DestylizeSettings(**keys(pipeline, batch=1)))
    assert other.digest == destylizer.digest
    for one, two in zip(destylizer.generate(requests), other.generate(requests), strict=True):
        assert np.abs(image(one).pixels.astype(int) - image(two).pixels).max() <= 1


def test_the_place_of_the_reference_the_prompt_and_the_seed_all_count(
    pipeline: Path, destylizer: UsoDestylizer
) -> None:
    in_style = UsoDestylizer(DestylizeSettings(**keys(pipeline, reference="style")))
    shifted, preserved = asked(5), asked(5, "preserved")
    made = [*destylizer.generate([shifted, preserved]), *in_style.generate([shifted])]
    reseeded = destylizer.generate([ExpertRequest(**{**vars(shifted), "seed": 6})])
    assert len({image(one).pixels.tobytes() for one in [*made, *reseeded]}) == 4


def test_a_drawn_content_reference_says_what_it_is(destylizer: UsoDestylizer) -> None:
    request = asked(3)
    made = image(destylizer.generate([request])[0])
    assert (made.ref.source, made.ref.locator) == ("generated", "candidate-3/destylize")
    assert (made.ref.subject, made.ref.style) == (request.target_ref.subject, "photorealistic")
    assert (made.ref.licence, made.ref.author) == ("CC-BY-SA-4.0", "ink hand")
    assert made.transform is not None
    assert (made.transform["kind"], made.transform["expert"]) == ("generated", destylizer.digest)
    assert (made.transform["prompt"], made.transform["seed"]) == ("a red fox", "3")


def test_a_drawn_style_reference_shows_another_subject_and_carries_all_licences(painter: UsoStylizer) -> None:
    for request in [*map(asked, range(12)), *(asked(7, subject=name) for name in HELDOUT)]:
        made = image(painter.generate([request])[0])
        assert made.ref.subject != request.target_ref.subject
        assert made.ref.split == request.target_ref.split
        assert made.ref.style == "ink"
        assert made.ref.licence == "CC-BY-SA-4.0 AND MIT"
        assert made.ref.author == "ink hand; real hand"
        assert made.transform is not None
        assert made.transform["inputs"] == [
            f"shapes:ink/{request.target_ref.subject} ink",
            f"shapes:real/{made.ref.subject} real",
        ]


def test_subjects_known_by_name_alone_are_of_the_training_split(pipeline: Path) -> None:
    settings = StylizeSettings(**keys(pipeline, reference="style", prompt="a drawing of {subject}", steps=1))
    expert = UsoStylizer(settings, Licensed())
    made = [image(one) for one in expert.generate([asked(seed, subject=HELDOUT[0]) for seed in range(6)])]
    assert {one.ref.split for one in made} == {"train"}
    assert len({one.ref.subject for one in made}) > 3
    for one in made:
        assert one.transform is not None
        assert one.transform["prompt"] == f"a drawing of {one.ref.subject.replace('-', ' ')}"


def test_weights_in_unos_form_stylize_with_the_target_among_the_content_references(pipeline: Path) -> None:
    keys_of_uno = keys(pipeline, projector=None, vision=None, reference="content", steps=1)
    expert = UsoStylizer(StylizeSettings(**keys_of_uno), Licensed())
    made = image(expert.generate([asked(2)])[0])
    assert made.ref.style == "ink"
    assert made.transform is not None
    assert made.transform["inputs"] == [f"shapes:ink/{asked(2).target_ref.subject} ink"]


def test_a_layout_that_is_kept_has_the_empty_prompt_whatever_the_triplets_own_is(destylizer: UsoDestylizer) -> None:
    named = ExpertRequest(**{**vars(asked(4, "preserved")), "prompt": "a red fox on a roof"})
    made = image(destylizer.generate([named])[0])
    assert made.transform is not None
    assert made.transform["prompt"] == ""


def test_the_digest_covers_weights_parameters_and_template_and_neither_places_nor_batches(
    pipeline: Path, tmp_path: Path
) -> None:
    def digest(folder: Path, **changes: Any) -> str:
        return expert_digest(StylizeSettings(**keys(folder, reference="style", **changes)), "stylize")

    whole = digest(pipeline)
    moved = tmp_path / "moved"
    shutil.copytree(pipeline, moved)
    assert digest(moved, batch=9, name="another") == whole
    others = [digest(pipeline, steps=3), digest(pipeline, prompt="{subject}, ink"), digest(pipeline, lora=None)]
    for name, path in files_of(StylizeSettings(**keys(moved, reference="style"))).items():
        before = path.read_bytes()
        path.write_bytes(before + b" ")
        others.append(digest(moved))
        path.write_bytes(before)
        assert others[-1] != whole, name
    assert len({whole, *others}) == len(others) + 1


def test_what_does_not_fit_into_memory_is_drawn_in_halves_and_said(
    destylizer: UsoDestylizer, pipeline: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    requests = [asked(seed) for seed in range(5)]
    expected = [image(made).pixels for made in destylizer.generate(requests)]
    draw, sizes = drawing.draw_latents, []

    def short_of_memory(network: Any, drawings: Any, settings: Any) -> Any:
        sizes.append(len(drawings))
        if len(drawings) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore")
        return draw(network, drawings, settings)

    monkeypatch.setattr(drawing, "draw_latents", short_of_memory)
    expert = UsoDestylizer(DestylizeSettings(**keys(pipeline)))
    with caplog.at_level(logging.WARNING):
        made = expert.generate(requests)
    assert sizes == [4, 2, 1, 1, 1, 1, 1]
    assert "out of memory, from now on 1 images a batch" in caplog.text
    for one, pixels in zip(made, expected, strict=True):
        assert np.abs(image(one).pixels.astype(int) - pixels).max() <= 1

    def no_memory(*_: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")

    monkeypatch.setattr(drawing, "draw_latents", no_memory)
    failures = expert.generate(requests[:2])
    assert [made.reason for made in failures if isinstance(made, ExpertFailure)] == ["out_of_memory"] * 2


def test_a_row_that_fails_fails_alone(destylizer: UsoDestylizer, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = drawing.draw_latents

    def second_breaks(network: Any, drawings: Any, settings: Any) -> Any:
        latents = draw(network, drawings, settings)
        latents[1][0, 0, 0, 0] = float("nan")
        return latents

    monkeypatch.setattr(drawing, "draw_latents", second_breaks)
    strip = np.zeros((128, 4, 3), np.uint8)
    narrow = ExpertRequest("n", strip, asked(0).target_ref, "shifted", "a fox", 1)
    made = destylizer.generate([asked(0), narrow, asked(1), asked(2)])
    assert [one.reason if isinstance(one, ExpertFailure) else "" for one in made] == [
        "",
        "too_narrow",
        "not_finite",
        "",
    ]


def test_a_gallery_without_other_subjects_is_a_failure_of_the_row(painter: UsoStylizer, pipeline: Path) -> None:
    broken = Licensed(frozenset(f"real/{name}" for name in SUBJECTS))
    unreadable = UsoStylizer(painter.settings, broken).generate([asked(0)])[0]
    assert isinstance(unreadable, ExpertFailure)
    assert (unreadable.reason, "truncated" in unreadable.detail) == ("no_picture", True)

    class Empty(Licensed):
        def realistic_subjects(self, split: Split) -> list[str]:
            return super().realistic_subjects(split)[:0]

    nobody = UsoStylizer(painter.settings, Empty()).generate([asked(0)])[0]
    assert isinstance(nobody, ExpertFailure)
    assert nobody.reason == "no_other_subject"
    by_name = StylizeSettings(**keys(pipeline, reference="style", steps=1))
    assert image(UsoStylizer(by_name, Empty()).generate([asked(0)])[0]).ref.subject in TRAIN


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"lora": "gone.safetensors"}, "does not exist"),
        ({"reference": "style", "projector": None}, "needs projector too"),
        ({"reference": "style", "projector": None, "vision": None}, "needs projector and vision too"),
        ({"new_subject": "picture"}, "needs reference: style"),
        ({"prompt": "{name}"}, "the only field is {subject}"),
        ({"size": 100}, "multiple of 16"),
    ],
)
def test_settings_that_cannot_work_are_refused_and_say_the_mend(
    pipeline: Path, changes: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        StylizeSettings(**keys(pipeline, **changes))


def test_parts_that_do_not_go_together_are_refused_when_they_are_loaded(pipeline: Path) -> None:
    with pytest.raises(ValueError, match="style tokens \\(vision\\): 64, the network takes"):
        UsoDestylizer(DestylizeSettings(**keys(pipeline, reference="style", vision="nano")))
    with pytest.raises(CheckpointError):
        UsoDestylizer(DestylizeSettings(**keys(pipeline, lora=pipeline / "projector.safetensors")))
