"""Systems: named in each of the forms, known by their files, and drawing what their orders alone decide."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.uso.bench.making import small_set
from uso.bench.artist import CheckpointArtist, load_artist
from uso.bench.parse_system import parse_system, read_systems
from uso.bench.pictures import Sheet, lay_out
from uso.bench.settings import DrawSettings
from uso.bench.system import System
from uso.training.outcome import Outcome, write_outcome
from uso.training.recipe import Recipe

SETTINGS = DrawSettings(side=32, content_side=32, steps=2, batch=3)


def parts(pipeline: Path, *more: str) -> str:
    return ",".join([f"pipeline={pipeline}", f"vision={pipeline / 'vision'}", "text_length=8", *more])


@pytest.fixture
def uso(pipeline: Path) -> System:
    files = (f"lora={pipeline}/dit_lora.safetensors", f"projector={pipeline}/projector.safetensors")
    return parse_system(f"uso={parts(pipeline, *files)}")


@pytest.fixture
def sheets(tmp_path: Path) -> list[Sheet]:
    return lay_out(small_set(tmp_path), SETTINGS)


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture)


def test_baselines_and_pipelines_are_systems(pipeline: Path) -> None:
    assert parse_system("copy-content") == System("copy-content", baseline="copy-content")
    assert parse_system("oracle=truth") == System("oracle", baseline="truth")
    base = parse_system(f"base={pipeline}").checkpoint
    assert base is not None
    assert base.is_base
    assert base.t5 == str(pipeline / "text_encoder_2")


def test_a_runs_folder_is_a_system_with_what_it_exported(pipeline: Path, tmp_path: Path) -> None:
    model = {"pipeline": str(pipeline), "vision": str(pipeline / "vision"), "text_length": 8}
    recipe = Recipe.model_validate(
        {
            "name": "r",
            "steps": 1,
            "train": ["lora"],
            "model": model,
            "data": {"stores": [{"path": "x"}]},
            "batch": {"size": 1, "micro": 1},
            "optimizer": {"learning_rate": 1e-3},
        }
    )
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    with pytest.raises(ValueError, match="exported nothing"):
        parse_system(f"mine={tmp_path}")
    shutil.copy(pipeline / "dit_lora.safetensors", tmp_path)
    write_outcome(tmp_path, Outcome("finished", 1, (tmp_path / "dit_lora.safetensors",)))
    found = parse_system(f"mine={tmp_path}").checkpoint
    assert found is not None
    assert found.lora == str(tmp_path / "dit_lora.safetensors")
    assert found.projector is None
    assert (found.base, found.text_length) == (str(pipeline / "transformer"), 8)


def test_a_file_lists_systems_in_either_form(pipeline: Path, tmp_path: Path, uso: System) -> None:
    listed = {
        "uso": {
            "pipeline": str(pipeline),
            "vision": str(pipeline / "vision"),
            "text_length": 8,
            "lora": f"{pipeline}/dit_lora.safetensors",
            "projector": f"{pipeline}/projector.safetensors",
        },
        "floor": "copy-style",
    }
    (tmp_path / "systems.yaml").write_text(yaml.safe_dump(listed, sort_keys=False))
    found = read_systems(tmp_path / "systems.yaml")
    assert found == [uso, System("floor", baseline="copy-style")]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("nonsense", "neither a folder"),
        ("a=", "write NAME="),
        ("a=pipeline={pipeline},lora=gone.safetensors", r"lora gone\.safetensors is not there"),
        ("a=pipeline={pipeline},lorra=x", "unknown part 'lorra'"),
        ("a=base={pipeline}/transformer", "t5, clip, vae missing"),
        ("a=pipeline={pipeline},style_layers=1/2", "three numbers"),
        ("a=pipeline={pipeline},id_shift=x", "id_shift is one of"),
    ],
)
def test_a_wrong_system_is_told(text: str, match: str, pipeline: Path) -> None:
    with pytest.raises(ValueError, match=match):
        parse_system(text.format(pipeline=pipeline))


def test_a_system_is_known_by_its_files_wherever_they_lie(pipeline: Path, uso: System, tmp_path: Path) -> None:
    moved = shutil.copytree(pipeline, tmp_path / "moved")
    files = (f"lora={moved}/dit_lora.safetensors", f"projector={moved}/projector.safetensors")
    assert parse_system(f"other={parts(moved, *files)}").digest == uso.digest
    assert parse_system(f"base={parts(pipeline)}").digest != uso.digest
    with (moved / "dit_lora.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    assert parse_system(f"other={parts(moved, *files)}").digest != uso.digest


def test_a_picture_depends_on_its_order_alone(uso: System, sheets: list[Sheet]) -> None:
    """Alone, at another place of a batch, after other orders: the same to the bit."""
    joint = [sheet.order for sheet in sheets if sheet.group == sheets[-1].group]
    assert len(joint) >= 3
    together = load_artist(uso, SETTINGS).draw(joint[:3])
    artist = load_artist(uso, SETTINGS)
    for place, order in enumerate(joint[:3]):
        assert (pixels(artist.draw([order])[0]) == pixels(together[place])).all()
    assert (pixels(together[0]) != pixels(together[1])).any()


def test_a_style_image_is_seen_with_a_projector_and_left_out_without(
    uso: System, pipeline: Path, sheets: list[Sheet]
) -> None:
    order = next(sheet.order for sheet in sheets if sheet.order.styles)
    other = replace(
        order, styles=(next(s.order.styles[0] for s in sheets if s.order.styles != order.styles and s.order.styles),)
    )
    base = parse_system(f"base={parts(pipeline)}")
    for system, differs in ((uso, True), (base, False)):
        assert system.checkpoint is not None
        artist = CheckpointArtist(system.checkpoint, SETTINGS)
        first, second = (artist.draw([each])[0] for each in (order, other))
        assert (pixels(first) != pixels(second)).any() == differs
