"""`triptych model` and `triptych sample`, as a user runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner, Result

from curation.cli.main import app
from uso.saved_png import read_settings

COMMANDS = [["model", "inspect"], ["model", "convert"], ["model", "check-reference"], ["model", "cost"], ["sample"]]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def sample(pipeline: Path, *arguments: object) -> Result:
    return run(
        "sample",
        *("--pipeline", pipeline),
        *("--lora", pipeline / "dit_lora.safetensors"),
        *("--projector", pipeline / "projector.safetensors"),
        *("--vision", pipeline / "vision"),
        *("--text-length", 8, "--content-side", 32, "--steps", 2, "--dtype", "float32"),
        *arguments,
    )


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    Image.effect_noise((200, 120), 80).save(tmp_path / "content.png")
    Image.linear_gradient("L").save(tmp_path / "ink.png")
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: list[str]) -> None:
    found = run(*command, "--help")
    assert found.exit_code == 0
    assert "Example" in found.stdout


def test_help_needs_no_model_library() -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['torch', 'diffusers', 'transformers', 'peft'])); "
        "from typer.testing import CliRunner; from curation.cli.main import app; "
        "sys.exit(CliRunner().invoke(app, ['model', '--help']).exit_code)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_missing_library_is_named_with_its_extra(reference_path: Path) -> None:
    code = (
        "import sys; sys.modules.update({'diffusers': None}); from typer.testing import CliRunner; "
        "from curation.cli.main import app; "
        f"r = CliRunner().invoke(app, ['model', 'check-reference', {str(reference_path)!r}]); "
        "print(r.stderr); sys.exit(r.exit_code)"
    )
    found = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert found.returncode == 2
    assert "triptych[model]" in found.stdout


def test_the_reference_is_checked(reference_path: Path) -> None:
    found = run("model", "check-reference", reference_path)
    assert found.exit_code == 0
    assert "63 of 63 outputs within tolerance" in found.stdout
    assert "…" not in found.stdout
    listed = json.loads(run("model", "check-reference", reference_path, "--json").stdout)
    assert {each["output"] for each in listed} >= {"out/t2i/velocity", "out/train/loss", "out/sample5/packed_latent"}


def test_a_reference_beyond_tolerance_ends_with_one(reference_path: Path, tmp_path: Path) -> None:
    from safetensors import safe_open

    tensors = load_file(reference_path)
    tensors["out/style/velocity"] += 2e-5
    with safe_open(reference_path, "pt") as file:
        save_file(tensors, tmp_path / "r.safetensors", file.metadata())
    found = run("model", "check-reference", tmp_path / "r.safetensors")
    assert found.exit_code == 1
    assert "62 of 63" in found.stdout


def test_files_are_inspected_and_converted(pipeline: Path, tmp_path: Path) -> None:
    found = run("model", "inspect", pipeline / "dit_lora.safetensors")
    assert found.exit_code == 0
    assert "USO LoRA" in found.stdout
    stated = json.loads(run("model", "inspect", pipeline / "transformer", "--json").stdout)
    assert stated["parameters"] == {"all": 491_200}
    written = run("model", "convert", pipeline / "transformer", tmp_path / "bfl.safetensors", "--to", "bfl")
    assert written.exit_code == 0
    assert (tmp_path / "bfl.safetensors").read_bytes() == (pipeline / "flux.safetensors").read_bytes()
    again = run("model", "convert", pipeline / "transformer", tmp_path / "bfl.safetensors", "--to", "bfl")
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr


def test_costs_are_printed() -> None:
    found = run("model", "cost")
    assert found.exit_code == 0
    assert "11,901,408,320" in found.stdout
    assert len(json.loads(run("model", "cost", "--preset", "nano", "--json").stdout)["costs"]) == 12


def test_an_evaluation_is_drawn_with_settings_and_a_contact_sheet(pipeline: Path, pictures: Path) -> None:
    items = [
        {"prompt": "the cat", "image_paths": ["content.png", "ink.png"]},
        {"prompt": "", "image_paths": ["content.png", "ink.png", "ink.png"]},
        {"prompt": "a fox", "image_paths": ["", "ink.png"], "save_dir": "style/fox"},
        {"prompt": "a dog", "image_paths": ["content.png"]},
        {"prompt": "a dog", "image_paths": []},
    ]
    (pictures / "eval.json").write_text(json.dumps(items))
    out = pictures / "out"
    found = sample(
        *(pipeline, "--eval-json", pictures / "eval.json", "--out", out, "--width", 64, "--height", 48),
        *("--images", 2, "--seed", 11, "--batch-size", 3),
    )
    assert found.exit_code == 0, found.stderr
    names = {str(path.relative_to(out)) for path in out.rglob("*.png")}
    drawn = {f"{number}_{index}.png" for number in (0, 1, 3, 4) for index in (0, 1)}
    assert names == drawn | {"style/fox_0.png", "style/fox_1.png", "contact_sheet.png"}
    assert Image.open(out / "0_0.png").size == (64, 48)
    settings = read_settings(out / "1_1.png")
    assert settings["task"] == "style + subject, layout-preserved"
    assert (settings["seed"], settings["styles"], settings["content"]) == (12, ["ink.png", "ink.png"], "content.png")
    assert (settings["text_length"], settings["content_side"], settings["vision"]) == (8, 32, "vision")
    assert read_settings(out / "4_0.png")["task"] == "text"
    assert Image.open(out / "0_0.png").tobytes() != Image.open(out / "4_0.png").tobytes()


def test_one_prompt_is_drawn_again_to_the_same_pixels(pipeline: Path, pictures: Path) -> None:
    for name in ("one", "two"):
        found = sample(
            *(pipeline, "--prompt", "the cat", "--content", pictures / "content.png", "--style", pictures / "ink.png"),
            *("--out", pictures / name, "--width", 32, "--height", 32, "--shift", "true"),
        )
        assert found.exit_code == 0, found.stderr
    assert (pictures / "one" / "0_0.png").read_bytes() == (pictures / "two" / "0_0.png").read_bytes()


def test_an_image_of_several_is_drawn_again_by_its_own_seed(pipeline: Path, pictures: Path) -> None:
    asked = ("--prompt", "the cat", "--content", pictures / "content.png", "--width", 32, "--height", 32)
    assert sample(pipeline, *asked, "--seed", 5, "--images", 2, "--out", pictures / "two").exit_code == 0
    assert sample(pipeline, *asked, "--seed", 6, "--out", pictures / "one").exit_code == 0
    assert (pictures / "two" / "0_1.png").read_bytes() == (pictures / "one" / "0_0.png").read_bytes()


def test_a_run_that_breaks_off_keeps_its_images(
    pipeline: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third image of two steps each breaks off; the two before it are on disk."""
    from uso import sampler

    predictions = iter(range(5))
    real = sampler.predict_velocity

    def breaks_off(*arguments: Any, **options: Any) -> Any:
        if next(predictions) == 4:
            raise OSError("the power is gone")
        return real(*arguments, **options)

    monkeypatch.setattr(sampler, "predict_velocity", breaks_off)
    asked = ("--prompt", "a fox", "--images", 3, "--width", 16, "--height", 16, "--out", pictures / "out")
    assert sample(pipeline, *asked).exit_code == 2
    assert sorted(path.name for path in (pictures / "out").iterdir()) == ["0_0.png", "0_1.png"]


def test_what_cannot_be_done_is_said_in_one_line(pipeline: Path, pictures: Path, reference_path: Path) -> None:
    out = ("--out", pictures / "out")
    cases = [
        (run("model", "inspect", pictures / "lost.safetensors"), "no such file"),
        (run("model", "inspect", pictures / "ink.png"), "not a whole safetensors file"),
        (run("model", "check-reference", pipeline / "flux.safetensors"), "no reference file"),
        (run("model", "convert", reference_path, pictures / "x", "--to", "release"), "becomes nothing else"),
        (run("sample", *out, "--prompt", "a"), "--base, --t5, --clip, --vae missing"),
        (run("sample", *out, "--prompt", "a", "--pipeline", pictures / "lost"), "no such folder"),
        (sample(pipeline, *out), "nothing to draw"),
        (sample(pipeline, *out, "--prompt", "a", "--eval-json", pictures / "x.json"), "leave out --prompt"),
        (sample(pipeline, *out, "--eval-json", pictures / "x.json"), "not a JSON file"),
        (sample(pipeline, *out, "--style", pictures / "lost.png"), "no such image"),
        (sample(pipeline, *out, "--prompt", "a", "--width", 64), "both width and height"),
        (sample(pipeline, *out, "--prompt", "a", "--device", "abacus"), "--device abacus"),
        (sample(pipeline, *out, "--prompt", "a", "--style-layers", "1,2"), "--style-layers 1,2"),
        (sample(pipeline, *out, "--prompt", "a", "--lora", pipeline / "projector.safetensors"), "where a USO LoRA"),
        (sample(pipeline, *out, "--prompt", "a", "--vae", pictures), "cannot be loaded"),
        (sample(pipeline, "--out", pictures / "ink.png", "--prompt", "a"), "is a file"),
    ]
    for found, message in cases:
        assert found.exit_code == 2, (message, found.output)
        assert message in found.stderr
        assert len(found.stderr.strip().splitlines()) == 1, found.stderr
        assert found.exception is None or isinstance(found.exception, SystemExit)
    assert not (pictures / "out").exists()
    without = run("sample", *out, "--pipeline", pipeline, "--style", pictures / "ink.png")
    assert without.exit_code == 2
    assert "--projector" in without.stderr
