"""What experts of diffusers promise, on small pipelines of the real classes, loaded as a user would load them."""

from __future__ import annotations

import importlib.util
import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from manifests.records import Layout
from tests.workers.experts.pipelines import build_kontext, build_pix2pix
from tests.workers.experts.shapes import SUBJECTS, Shapes
from workers.experts.base import ExpertFailure, ExpertImage, ExpertRequest
from workers.experts.diffusers.expert import DiffusersExpert, drawn_size
from workers.experts.diffusers.files import expert_digest, require_usable
from workers.experts.diffusers.settings import DiffusersSettings


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def kontext(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_kontext(tmp_path_factory.mktemp("pipelines") / "kontext")


@pytest.fixture(scope="module")
def pix2pix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_pix2pix(tmp_path_factory.mktemp("pipelines") / "pix2pix")


def settings(folder: Path, **changes: Any) -> DiffusersSettings:
    keys = {"pipeline": str(folder), "size": 32, "steps": 2, "dtype": "float32", "batch": 4, **changes}
    return DiffusersSettings.model_validate(keys)


def expert(folder: Path, **changes: Any) -> DiffusersExpert:
    return DiffusersExpert(settings(folder, **changes), "destylize", Shapes())


def asked(number: int, layout: Layout = "shifted", width: int = 128) -> ExpertRequest:
    gallery = Shapes()
    (ref,) = gallery.of_subject(SUBJECTS[number], "ink")
    return ExpertRequest(f"candidate-{number}", gallery.load(ref).pixels[:, :width], ref, layout, "a shape", number)


def pixels(made: ExpertImage | ExpertFailure) -> np.ndarray:
    assert isinstance(made, ExpertImage), made
    return made.pixels


@pytest.mark.parametrize("which", ["kontext", "pix2pix"])
def test_an_image_follows_from_its_request_alone_to_the_bit(which: str, request: pytest.FixtureRequest) -> None:
    drawing = expert(request.getfixturevalue(which))
    requests = [asked(n, "shifted" if n % 2 else "preserved", width=64 if n == 3 else 128) for n in range(6)]
    together = [pixels(made) for made in drawing.generate(requests)]
    backwards = [pixels(made) for made in drawing.generate(requests[::-1])][::-1]
    alone = [pixels(drawing.generate([one])[0]) for one in requests]
    for number, (first, second, third) in enumerate(zip(together, backwards, alone, strict=True)):
        assert first.shape == (128, 64 if number == 3 else 128, 3)
        assert np.array_equal(first, second)
        assert np.array_equal(first, third)
    assert len({image.tobytes() for image in together}) == len(requests)


def test_the_picture_the_instruction_the_seed_and_the_settings_all_count(kontext: Path) -> None:
    drawing = expert(kontext)
    one = asked(5)
    changed = [asked(5, "preserved"), ExpertRequest(**{**vars(one), "seed": 6}), asked(6)]
    made = [pixels(each).tobytes() for each in drawing.generate([one, *changed])]
    for change in ({"steps": 3}, {"guidance": 9.0}, {"true_cfg_scale": 3.0, "negative_prompt": "ink"}, {"size": 48}):
        made.append(pixels(expert(kontext, **change).generate([one])[0]).tobytes())
    assert len(set(made)) == 8


def test_what_was_drawn_says_by_whom_how_and_of_what(kontext: Path) -> None:
    drawing = expert(kontext, name="kontext small")
    made = drawing.generate([asked(7)])[0]
    assert isinstance(made, ExpertImage)
    assert (made.ref.source, made.ref.style) == ("generated", "photorealistic")
    assert made.transform is not None
    assert (made.transform["expert"], made.transform["title"]) == (drawing.digest, "kontext small")
    assert made.transform["move"] in ("pose", "view", "place", "scale", "scene")
    assert made.transform["inputs"] == ["shapes:ink/subject-7 ink"]
    stylizer = DiffusersExpert(settings(kontext), "stylize", Shapes())
    style = stylizer.generate([asked(7)])[0]
    assert isinstance(style, ExpertImage)
    assert (style.ref.style, style.ref.split) == ("ink", made.ref.split)
    assert style.ref.subject != made.ref.subject
    assert style.transform is not None
    assert style.ref.spoken in str(style.transform["prompt"])


def test_lack_of_memory_halves_the_batch_and_says_so_and_a_row_that_fails_fails_alone(
    kontext: Path, caplog: pytest.LogCaptureFixture
) -> None:
    requests = [asked(n) for n in range(5)]
    expected = [pixels(made) for made in expert(kontext, batch=1).generate(requests)]
    drawing, sizes = expert(kontext), []

    def short_of_memory(_network: Any, _arguments: Any, named: dict[str, Any]) -> None:
        sizes.append(len(named["hidden_states"]))
        if sizes[-1] > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    hook = drawing._pipeline.transformer.register_forward_pre_hook(short_of_memory, with_kwargs=True)
    with caplog.at_level(logging.WARNING):
        made = drawing.generate(requests)
    hook.remove()
    assert sizes == [4, 2] + [1] * 10
    assert "out of memory, from now on 1 images a batch" in caplog.text
    for one, image in zip(made, expected, strict=True):
        assert np.array_equal(pixels(one), image)

    calls = []

    def second_row_breaks(_network: Any, _arguments: Any, output: tuple[torch.Tensor]) -> None:
        calls.append(len(output[0]))
        if len(calls) == 2 * drawing.settings.steps:  # type: ignore[operator]
            output[0].fill_(float("nan"))

    drawing._pipeline.transformer.register_forward_hook(second_row_breaks)
    reasons = [one.reason if isinstance(one, ExpertFailure) else "" for one in drawing.generate(requests[:3])]
    assert reasons == ["", "not_finite", ""]


def test_the_digest_covers_class_parameters_instructions_and_weights_and_neither_places_nor_memory(
    kontext: Path, tmp_path: Path
) -> None:
    def digest(folder: Path, **changes: Any) -> str:
        return expert_digest(settings(folder, **changes), "destylize")

    whole, moved = digest(kontext), tmp_path / "moved"
    shutil.copytree(kontext, moved)
    (moved / "notes.safetensors").write_bytes(b"a file that no part reads")
    assert digest(moved, batch=1, name="x", offload="group", compile="regional") == whole
    others = [digest(kontext, steps=3), digest(kontext, dtype="bfloat16"), digest(kontext, guidance=1)]
    others.append(expert_digest(settings(kontext), "stylize"))
    for file in ("transformer/diffusion_pytorch_model.safetensors", "scheduler/scheduler_config.json"):
        path = moved / file
        before = path.read_bytes()
        path.write_bytes(before + b" ")
        others.append(digest(moved))
        path.write_bytes(before)
    assert len({whole, *others}) == len(others) + 1


def test_group_offloading_draws_the_same(kontext: Path) -> None:
    one = asked(2)
    offloaded = expert(kontext, offload="group").generate([one])[0]
    assert np.array_equal(pixels(offloaded), pixels(expert(kontext).generate([one])[0]))


@pytest.mark.slow
def test_a_compiled_network_draws_the_same_but_for_rounding(kontext: Path) -> None:
    one = asked(2)
    compiled = expert(kontext, compile="regional").generate([one])[0]
    assert np.abs(pixels(compiled).astype(int) - pixels(expert(kontext).generate([one])[0])).max() <= 2


@pytest.mark.skipif(importlib.util.find_spec("torchao") is None, reason="needs torchao, of the extra `quantize`")
@pytest.mark.parametrize("weights", ["int8", "float8"])
def test_torchao_keeps_the_weights_in_fewer_bits(kontext: Path, weights: str) -> None:
    parts = ("transformer", "text_encoder_2")
    quantized = expert(kontext, quantize={"backend": "torchao", "weights": weights, "parts": parts})
    for part in parts:
        kinds = {type(parameter).__name__ for parameter in getattr(quantized._pipeline, part).parameters()}
        assert any(kind not in ("Parameter", "Tensor") for kind in kinds), kinds
    one = asked(2)
    difference = np.abs(pixels(quantized.generate([one])[0]).astype(int) - pixels(expert(kontext).generate([one])[0]))
    assert 0 < difference.max() < 64
    assert quantized.digest != expert(kontext).digest


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"strength": 0.5}, "strength: FluxKontextPipeline has no argument strength"),
        ({"image_guidance": 1.5}, "image_guidance: FluxKontextPipeline has no argument"),
        ({"arguments": {"blur": 1}}, "arguments.blur: FluxKontextPipeline has no such argument"),
        ({"arguments": {"generator": 1}}, "arguments.generator: is set by the expert itself"),
        ({"quantize": {"backend": "torchao", "parts": ["unet"]}}, "quantize.parts: FluxKontextPipeline has no part"),
    ],
)
def test_what_a_pipeline_does_not_take_is_refused_before_it_is_loaded(
    kontext: Path, changes: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        require_usable(settings(kontext, **changes))


@pytest.mark.parametrize(
    ("index", "complaint"),
    [
        ({"_class_name": "QwenImageEditPlusPipeline"}, "batch: QwenImageEditPlusPipeline is given one picture at a"),
        ({"_class_name": "FluxPipeline"}, "pipeline: FluxPipeline takes no image"),
        ({"_class_name": "NoSuchPipeline"}, "is a NoSuchPipeline, which diffusers .* does not have"),
        ({"_class_name": "torch"}, "which diffusers .* does not have"),
        ({"_class_name": ["my_code", "Mine"]}, "one that brings its own code is not run"),
        (None, "has no model_index.json"),
    ],
)
def test_only_pipelines_that_edit_pictures_are_taken(tmp_path: Path, index: Any, complaint: str) -> None:
    if index is not None:
        (tmp_path / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match=complaint):
        require_usable(settings(tmp_path))


def test_others_that_diffusers_knows_are_taken_one_picture_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "QwenImageEditPipeline"}))
    keys = {"batch": 1, "true_cfg_scale": 4.0, "negative_prompt": " ", "text_length": 512}
    assert require_usable(settings(tmp_path, **keys)) == tmp_path


def test_pickled_weights_are_never_loaded(kontext: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    shutil.copytree(kontext, folder)
    weights = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    torch.save({"x": torch.zeros(1)}, weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(ValueError, match="cannot be loaded"):
        expert(folder)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"pipeline": "gone"}, "neither a folder nor a hub name"),
        ({"true_cfg_scale": 4}, "set one, a space will do"),
        ({"device_map": "balanced", "offload": "group"}, "set one of the two"),
        ({"size": 100}, "multiple of 16"),
        ({"quantize": {"backend": "bitsandbytes", "weights": "float8"}}, "bitsandbytes has no float8 weights"),
        ({"instructions": "v0"}, "no bank that ships"),
    ],
)
def test_settings_that_cannot_work_are_refused_and_say_the_mend(
    kontext: Path, changes: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValidationError, match=complaint):
        settings(kontext, **changes)


def test_what_needs_a_gpu_says_so_where_there_is_none(kontext: Path) -> None:
    with pytest.raises(ValueError, match="device_map: the worker has no GPU"):
        expert(kontext, device_map="balanced")


def test_sizes_keep_the_shape_in_multiples_of_sixteen() -> None:
    assert drawn_size(1000, 500, 1024) == (1024, 512)
    assert drawn_size(64, 64, 1024) == (1024, 1024)
    assert drawn_size(10, 3000, 512) == (16, 512)
