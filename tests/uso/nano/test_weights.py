"""The tower ships with its weights, and needs none of the large model libraries."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from manifests.identities import digest_of_file
from uso.nano.weights import SHIPPED, load_tower


def test_the_shipped_tower_is_ready_to_use() -> None:
    tower = load_tower()
    assert not tower.training
    assert tower.shape.side == 64
    assert len(digest_of_file(SHIPPED)) == 64


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone"):
        load_tower(tmp_path / "gone.safetensors")


def test_embedding_imports_no_model_library() -> None:
    program = (
        "import sys; from workers.encoders.load import NanoEncoder; NanoEncoder(); "
        "print([name for name in ('diffusers', 'transformers', 'open_clip', 'peft') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
