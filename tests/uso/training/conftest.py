"""A curated store and a small network, made once for the tests of training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from manifests.store import Store
from tests.uso.training.stores import make_store
from uso.training.load_recipe import load_recipe
from uso.training.recipe import Recipe

TINY: dict[str, Any] = {
    "name": "tiny",
    "seed": 5,
    "steps": 4,
    "train": ["lora"],
    "model": {"lora_rank": 4, "style": {"tokens_in": 25, "tokens_out": 4, "width": 32}, "text_length": 5},
    "data": {"side": 64, "content_long_side": 64, "window": 16},
    "batch": {"size": 6, "micro": 3},
    "optimizer": {"learning_rate": 1e-3},
    "checkpoints": {"every": 2, "keep": 10},
    "watch": {"every": 1, "heldout": None, "grids": None},
}


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return a store of 48 training samples and 8 held-out ones."""
    return make_store(tmp_path_factory.mktemp("curated") / "store")


@pytest.fixture
def tiny_recipe(store: Store, pipeline: Path, tmp_path: Path) -> Callable[..., Recipe]:
    """Return a maker of recipes for the tiny pipeline and the store; overrides are those of `--set`."""
    return lambda *overrides: load_recipe(tiny_file(tmp_path, pipeline), overrides, [str(store.root)])


def tiny_file(folder: Path, pipeline: Path) -> Path:
    """Write the tiny recipe, and return where."""
    import yaml

    path = folder / "tiny.yaml"
    model = TINY["model"] | {
        "pipeline": str(pipeline),
        "projector": str(pipeline / "projector.safetensors"),
        "vision": str(pipeline / "vision"),
    }
    path.write_text(yaml.safe_dump(TINY | {"model": model}))
    return path
