"""What must stay the same when a run goes on: what is trained, and the stream of samples."""

from __future__ import annotations

from typing import Any

from manifests.identities import digest_of
from uso.training.catalog import Catalog
from uso.training.recipe import Recipe
from uso.training.state import RunMismatchError, RunState

_FREE = ("name", "steps", "needs", "parallel", "checkpoints", "watch")
"""Keys of a recipe that may change between a run and its resumption; `data` has free ones of its own."""

_FREE_DATA = ("workers", "ahead", "verify", "cache", "on_error")


def stream_digest(recipe: Recipe, catalog: Catalog) -> str:
    """Return a digest of all that decides which samples come, in which order, with which draws."""
    return digest_of([catalog.digest, recipe.seed, recipe.batch.size, recipe.data.window])


def pinned(recipe: Recipe, data: list[dict[str, Any]]) -> Recipe:
    """Return the recipe with each store at the version that the run began with, unless it states one itself."""
    stores = recipe.data.stores
    if len(stores) != len(data):
        raise RunMismatchError(f"data.stores: the run has {len(data)}, this recipe {len(stores)}")
    fixed = tuple(
        store if store.version is not None else store.model_copy(update={"version": facts["version"]})
        for store, facts in zip(stores, data, strict=True)
    )
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"stores": fixed})})


def require_same(recipe: Recipe, stream: str, state: RunState) -> None:
    """Raise RunMismatchError naming the first key that differs from the run's and may not."""
    ours, theirs = recipe.model_dump(mode="json"), state.recipe
    for key in ours:
        if key in _FREE:
            continue
        left, right = ours[key], theirs.get(key, {})
        if key == "data":
            left, right = (
                {k: v for k, v in part.items() if k not in (*_FREE_DATA, "stores")} for part in (left, right)
            )
        if left != right:
            raise RunMismatchError(
                f"{key}: is not what the run began with ({right}); "
                "go on with the recipe in the run's folder, or name another --out"
            )
    if stream != state.stream:
        raise RunMismatchError("data: the stores or their versions are not those that the run began with")
