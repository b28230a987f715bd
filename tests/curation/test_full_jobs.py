"""The job specs for big machines: every key is known, every file they ask for is named, and they fit the machines."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from curation.spec.load import load_spec
from curation.spec.model import JobSpec

FULL = Path(__file__).parents[2] / "jobs" / "full"
WEIGHTS = ("uso/dit_lora.safetensors", "uso/projector.safetensors", "csd.safetensors")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the specs and the files that their first lines ask for."""
    for spec in FULL.glob("*.yaml"):
        shutil.copy(spec, tmp_path)
    (tmp_path / "artworks" / "ink").mkdir(parents=True)
    Image.new("RGB", (64, 64)).save(tmp_path / "artworks" / "ink" / "fox.png")
    for name in WEIGHTS:
        path = tmp_path / "weights" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for key in ("EDIT_KEY", "CHAT_KEY"):
        monkeypatch.setenv(key, "secret-of-the-test")
    return tmp_path


def gpus(spec: JobSpec, bound: int) -> float:
    return sum(stage.gpus * stage.workers[bound] for stage in spec.pools().values())


def test_one_node_is_filled_and_not_overbooked(folder: Path) -> None:
    spec = load_spec(folder / "flux-kontext.yaml")
    assert (gpus(spec, 0), gpus(spec, 1)) == (8, 8)
    assert list(spec.pools()) == ["load", "caption", "stylize", "destylize", "score", "judge", "pack"]
    assert spec.experts.shares("stylize") == [1, 0]
    assert str(folder / "weights/uso/dit_lora.safetensors") == str(spec.experts.stylize[0].lora)  # type: ignore[union-attr]


def test_a_cluster_of_eight_nodes_holds_the_fewest_workers(folder: Path) -> None:
    spec = load_spec(folder / "cluster.yaml")
    assert 56 <= gpus(spec, 0) <= 64
    assert spec.ray.address == "auto"
    assert spec.experts == load_spec(folder / "flux-kontext.yaml").experts


def test_endpoints_need_no_gpu_and_their_keys_stay_in_the_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = load_spec(folder / "endpoints.yaml")
    assert gpus(spec, 1) == 0
    assert "secret-of-the-test" not in spec.model_dump_json() + spec.generation_digest
    monkeypatch.delenv("EDIT_KEY")
    with pytest.raises(ValueError, match="api_key_env names EDIT_KEY, which is not set"):
        load_spec(folder / "endpoints.yaml")


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_file_that_is_not_there_is_named_before_any_work(folder: Path, name: str) -> None:
    (folder / "weights" / name).unlink()
    with pytest.raises(ValueError, match=name):
        load_spec(folder / "flux-kontext.yaml")
