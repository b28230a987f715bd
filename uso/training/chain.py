"""A recipe with the runs that it builds on: the function that the command line, torchrun and Ray Train all start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from uso.training.distributed import World
from uso.training.load_recipe import load_recipe
from uso.training.outcome import Outcome, read_outcome
from uso.training.recipe import Recipe
from uso.training.recipe_data import catalog_of
from uso.training.run import Progress, newest_checkpoint, train

LATEST = "latest"

Show = Callable[[str, Progress], None]
"""Called with the recipe's name and where its run stands."""


@dataclass(frozen=True)
class Order:
    """What a user asks for: a recipe with overrides, stores, a folder for the run, and what to go on from.

    `resume` is `latest`, a checkpoint's folder, or None for a new run. It can be pickled, and every process gets the
    same one.
    """

    recipe: Path
    out: Path
    stores: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    steps: int | None = None
    resume: str | None = None

    def load(self) -> Recipe:
        """Return the recipe. Raises YamlError on a bad one."""
        steps = () if self.steps is None else (f"steps={self.steps}",)
        return load_recipe(self.recipe, (*self.overrides, *steps), self.stores)

    def checkpoint(self) -> Path | None:
        """Return the checkpoint to go on from. Raises ValueError when it is none, or when `out` holds another run."""
        newest = newest_checkpoint(self.out)
        if self.resume is None and newest is not None:
            raise ValueError(
                f"--out {self.out}: holds a run already; go on with it by --resume latest, or name another"
            )
        if self.resume is None or (self.resume == LATEST and newest is None):
            return None
        chosen = newest if self.resume == LATEST else Path(self.resume)
        if chosen is None or not (chosen / "state.json").is_file():
            raise ValueError(
                f"--resume {self.resume}: is no checkpoint; name `latest` or a folder {self.out}/checkpoints/step-*"
            )
        return chosen


def missing_needs(recipe: Recipe, order: Order) -> list[Order]:
    """Return the runs that an order's recipe builds on and that are not finished, innermost first.

    An order with fewer steps than its recipe has is a trial: what it builds on is then made with as few, or taken as it
    is. Raises ValueError when any other order would build on a run that ended early, as a trial does.
    """
    orders: list[Order] = []
    for need in recipe.needs:
        inner = Order(need.recipe, need.out, order.stores, (f"runs={recipe.runs}",), resume=LATEST)
        whole = inner.load().steps
        if order.steps is not None:
            inner = replace(inner, steps=min(order.steps, whole))
        ended = read_outcome(need.out)
        if ended is not None and ended.ending == "finished":
            if order.steps is None and ended.step < whole:
                raise ValueError(
                    f"needs: {need.out} was trained for {ended.step:,} of the {whole:,} steps of {need.recipe}; "
                    "remove it to have it trained in full, or name another folder by --set runs=DIR"
                )
            continue
        orders += [*missing_needs(inner.load(), inner), inner]
    return orders


def run_order(order: Order, world: World, show: Show | None = None) -> Outcome:
    """Train what the order asks for, and before it what it builds on. Raises ValueError before any work starts."""
    recipe, checkpoint = order.load(), order.checkpoint()
    catalog_of(recipe, "train")  # stores and filters are checked before the first of several runs begins
    for need in missing_needs(recipe, order):
        inner = need.load()
        outcome = _train(inner, need.out, world, need.checkpoint(), show)
        if outcome.ending != "finished":
            return outcome
    return _train(recipe, order.out, world, checkpoint, show)


def _train(recipe: Recipe, out: Path, world: World, checkpoint: Path | None, show: Show | None) -> Outcome:
    def named(progress: Progress) -> None:
        if show is not None:
            show(recipe.name, progress)

    return train(recipe, out, world, resume=checkpoint, show=named)
