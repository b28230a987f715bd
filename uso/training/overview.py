"""What a recipe would do, in lines for a person: said by `--dry-run`, after recipe, stores and filters were checked."""

from __future__ import annotations

from uso.training.order import Order
from uso.training.recipe import Recipe
from uso.training.recipe_data import catalog_of


def overview(recipe: Recipe) -> str:
    """Return what would be trained, on how many samples of which stores, in how many epochs.

    Raises ValueError as a run would at its start; no weights are loaded.
    """
    catalog = catalog_of(recipe, "train")
    order = Order(catalog.sizes(), seed=recipe.seed, batch=recipe.batch.size, window=recipe.data.window)
    lines = [
        f"{recipe.name}: trains {', '.join(recipe.train)} for {recipe.steps:,} steps of {recipe.batch.size} samples, "
        f"{recipe.steps * recipe.batch.size / order.epoch_samples:.1f} epochs of {order.epoch_samples:,}"
    ]
    lines += [
        f"  {source.snapshot.root}, version {source.snapshot.version}: "
        f"{source.rows.num_rows:,} samples in {len(source.shards):,} shards"
        + (f" where {source.where}" if source.where else "")
        for source in catalog.sources
    ]
    for bucket in catalog.buckets:
        content = "" if bucket.content is None else f", content {bucket.content[0]} x {bucket.content[1]}"
        lines.append(f"  targets of {bucket.target[0]} x {bucket.target[1]} px{content}")
    lines += [f"  builds on {need.recipe}, in {need.out}" for need in recipe.needs]
    return "\n".join(lines)
