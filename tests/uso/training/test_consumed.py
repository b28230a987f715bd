"""Which checkpoints saw a sample: told from a run's own record, after the store is gone."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from tests.uso.training.conftest import tiny_file
from tests.uso.training.stores import make_store
from uso.training.consumed import uses
from uso.training.distributed import World
from uso.training.load_recipe import load_recipe
from uso.training.loader import LoaderSettings, TripletLoader
from uso.training.recipe import Recipe
from uso.training.recipe_data import catalog_of
from uso.training.run import train
from uso.training.sources import Shapes, StoreSource, resolve

Maker = Callable[..., Recipe]


def test_a_runs_record_agrees_with_what_its_loader_gave(pipeline: Path, tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", 14, shard=5, sizes=[(64, 64), (48, 80)])
    overrides = ("steps=9", "checkpoints={every: 3, keep: 9}", "batch.size=4")
    recipe = load_recipe(tiny_file(tmp_path, pipeline), overrides, [str(store.root)])
    train(recipe, tmp_path / "run", World())
    settings = LoaderSettings(seed=recipe.seed, batch=4, window=recipe.data.window)
    loader = TripletLoader(catalog_of(recipe, "train"), settings)
    batches = [batch.ids for batch in islice(loader.batches(), 9)]
    names = catalog_of(recipe, "train").ids().to_pylist()
    shutil.rmtree(store.root)
    found = uses(tmp_path / "run", names)
    for step in (3, 6, 9):
        given = Counter(name for batch in batches[:step] for name in batch)
        told = {name: use.times for name, all_uses in found.items() for use in all_uses if use.step == step}
        assert {name: times for name, times in told.items() if times} == dict(given)


def test_a_candidate_that_two_sources_hold_is_counted_in_both(pipeline: Path, tmp_path: Path) -> None:
    store = str(make_store(tmp_path / "store", 8).root)
    overrides = ("steps=4", "batch.size=4", "watch.grids=null")
    train(load_recipe(tiny_file(tmp_path, pipeline), overrides, [store, store]), tmp_path / "run", World())
    found = uses(tmp_path / "run", ids_of(store))
    assert {use.times for all_uses in found.values() for use in all_uses if use.step == 4} == {2}


def ids_of(store: str) -> list[str]:
    return [str(name) for name in resolve([StoreSource(store)], Shapes(64, 64)).ids().to_pylist()]


def test_a_sample_that_is_not_among_the_runs_is_not_told_of(tiny_recipe: Maker, tmp_path: Path) -> None:
    train(tiny_recipe("steps=1"), tmp_path / "run", World())
    assert uses(tmp_path / "run", ["nothing"]) == {}
    with pytest.raises(ValueError, match="no record"):
        uses(tmp_path / "elsewhere", ["nothing"])
