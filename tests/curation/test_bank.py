"""Reference banks in files: made once, used by jobs with the same tower, and refused by others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from safetensors.numpy import load_file
from typer.testing import CliRunner

from curation.bank import BankError, BankFacts, load_bank, save_bank
from curation.cli.main import app
from curation.context import reference_bank
from curation.scoring import scoring_digest
from curation.spec.load import load_spec
from curation.spec.model import JobSpec
from tests.workers.towers.making import pictures, save_open_clip
from workers.towers.load import build_tower, tower_digest
from workers.towers.settings import NanoSettings


def write_spec(folder: Path, **scores: Any) -> Path:
    """Write a spec whose sources are a few photographs, painted in two ways."""
    (folder / "photos").mkdir(exist_ok=True)
    for number, pixels in enumerate(pictures(6)):
        Image.fromarray(pixels).save(folder / "photos" / f"subject {number}.png")
    told: dict[str, Any] = {"name": "banks", "sources": [{"kind": "procedural", "path": "photos"}]}
    told |= {"image": {"size": 48}, "treatments": ["none", "duotone", "pixel"], "scores": scores}
    (folder / "job.yaml").write_text(yaml.safe_dump(told))
    return folder / "job.yaml"


def spec(folder: Path, **scores: Any) -> JobSpec:
    return load_spec(write_spec(folder, **scores))


def triptych(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def test_a_bank_of_a_specs_sources_is_built_shown_and_used(tmp_path: Path) -> None:
    out = tmp_path / "bank.safetensors"
    built = triptych("bank", "build", str(write_spec(tmp_path)), "--out", str(out), "--images", "20")
    assert built.exit_code == 0, built.output
    shown = json.loads(triptych("bank", "show", str(out), "--json").stdout)
    assert shown == {"tower": tower_digest(NanoSettings()), "kind": "nano", "images": 20, "width": 128,
                     "made_of": "banks: procedural"}  # fmt: skip
    used = spec(tmp_path, bank="bank.safetensors")
    assert np.array_equal(reference_bank(used).bank, load_file(out)["style"])
    drawn = spec(tmp_path, bank=20)
    assert reference_bank(drawn).bank == pytest.approx(reference_bank(used).bank, abs=1e-6)
    assert scoring_digest(used) != scoring_digest(drawn)


def test_a_bank_of_a_folder_takes_what_ingest_lets_in(tmp_path: Path) -> None:
    art = tmp_path / "art"
    (art / "inner").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(17):
        Image.fromarray(rng.integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(art / "inner" / f"{number}.png")
    (art / "broken.png").write_bytes(b"no picture")
    clip = {"kind": "open_clip", "model": str(save_open_clip(tmp_path / "clip"))}
    out = tmp_path / "bank.safetensors"
    arguments = ("--out", str(out), "--folder", str(art))
    said = triptych("bank", "build", str(write_spec(tmp_path, style=clip)), *arguments)
    assert said.exit_code == 0, said.output
    assert "17 vectors of 24 numbers by open_clip" in said.output
    assert "folder art" in said.output
    assert str(tmp_path) not in out.read_bytes().decode("latin1")


def test_a_bank_of_another_tower_is_refused_and_both_are_named(tmp_path: Path) -> None:
    tower, out = build_tower(NanoSettings()), tmp_path / "bank.safetensors"
    save_bank(out, np.eye(16, 128, dtype=np.float32), BankFacts("f00dfeed" * 4, "csd", 16, 128, "art"))
    with pytest.raises(BankError, match=f"was made by csd f00dfeed.*scores.style is nano {tower.digest[:12]}"):
        load_bank(out, tower.digest, kind="nano")
    with pytest.raises(BankError, match="was made by csd"):
        scoring_digest(spec(tmp_path, bank="bank.safetensors"))


@pytest.mark.parametrize("content", [b"", b"no bank"])
def test_what_is_no_bank_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bank.safetensors").write_bytes(content)
    said = triptych("bank", "show", str(tmp_path / "bank.safetensors"))
    assert said.exit_code == 2
    assert "is no reference bank; `triptych bank build` makes one" in " ".join(said.output.split())


def test_flags_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    job = str(write_spec(tmp_path))
    assert "*.safetensors" in triptych("bank", "build", job, "--out", str(tmp_path / "bank.npz")).output
    nowhere = triptych("bank", "build", job, "--out", str(tmp_path / "b.safetensors"), "--folder", str(tmp_path / "no"))
    assert nowhere.exit_code == 2
    (tmp_path / "empty").mkdir()
    empty = triptych(
        "bank", "build", job, "--out", str(tmp_path / "b.safetensors"), "--folder", str(tmp_path / "empty")
    )
    assert empty.exit_code == 2
    assert "no image could be read" in empty.output
