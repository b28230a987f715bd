"""The samples that a recipe asks for, and how they are read."""

from __future__ import annotations

from manifests.images import Split
from uso.training.catalog import Catalog
from uso.training.loader import LoaderSettings
from uso.training.recipe import Recipe
from uso.training.sources import NoSamplesError, Shapes, StoreSource, resolve


def catalog_of(recipe: Recipe, split: Split) -> Catalog:
    """Return the samples of a recipe's stores. Raises ValueError naming what is wrong with a store or a filter."""
    data = recipe.data
    stores = [
        StoreSource(store.path, _both(data.where, store.where), store.weight, store.version) for store in data.stores
    ]
    shapes = Shapes(data.side, data.content_long_side, data.longest_aspect)
    return resolve(stores, shapes, split=split, slots=data.slots, prompt=data.prompt)


def heldout_catalog_of(recipe: Recipe) -> Catalog | None:
    """Return the held-out samples of a recipe's stores, None where there are none: a user's own data may have none."""
    try:
        return catalog_of(recipe, "heldout")
    except NoSamplesError:
        return None


def _both(first: str | None, second: str | None) -> str | None:
    return " and ".join(f"({where})" for where in (first, second) if where) or None


def loader_settings_of(recipe: Recipe) -> LoaderSettings:
    """Return how the recipe's samples are ordered and read."""
    data = recipe.data
    return LoaderSettings(
        seed=recipe.seed,
        batch=recipe.batch.size,
        window=data.window,
        workers=data.workers,
        ahead=data.ahead,
        verify=data.verify,
        on_error=data.on_error,
    )
