"""Loss on held-out subjects, at fixed times and with fixed noise: a curve in which a trend can be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from uso.training.catalog import Catalog
from uso.training.distributed import World
from uso.training.loader import LoaderSettings, Lookup, Sample, SampleReader
from uso.training.lockstep import in_step
from uso.training.objective import Example, Objective, shaped_groups


def heldout_samples(
    catalog: Catalog, count: int, settings: LoaderSettings, world: World, lookup: Lookup | None = None
) -> list[Sample]:
    """Return a rank's share of `count` samples spread evenly over a catalog: the same ones every time.

    Raises ValueError when there is not one for every rank.
    """
    rows = np.unique(np.linspace(0, len(catalog) - 1, min(count, len(catalog))).round().astype(np.int64))
    if len(rows) < world.size:
        raise ValueError(
            f"watch.heldout.samples: {len(rows)} held-out samples cannot be shared by {world.size} processes"
        )
    reader = SampleReader(catalog, settings, lookup)
    return [reader.read(int(row), 0) for row in rows[world.rank :: world.size]]


class HeldoutLoss:
    """Measures an objective on the same samples, at the same times, with the same noise, again and again."""

    def __init__(
        self,
        objective: Objective,
        samples: Sequence[Sample],
        times: Sequence[float],
        micro: int,
        world: World,
        *,
        sharded: bool = False,
    ) -> None:
        self._sharded = sharded
        self._objective = objective
        self._world = world
        self._times = tuple(times)
        self._micro = micro
        self._examples: list[Example] = objective.prepare_heldout(samples, self._times[0])

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """Return `heldout/loss`, the mean, and `heldout/loss@T` of each time; every rank must ask."""
        sums = []
        for time in self._times:
            moved = [replace(example, time=time) for example in self._examples]
            groups = in_step(shaped_groups(moved, self._micro), moved, self._world, sharded=self._sharded)
            sums.append(sum(float(self._objective.losses(group).sum()) * counts for group, counts in groups))
        *totals, count = self._world.sum([*sums, float(len(self._examples))])
        losses = [total / count for total in totals]
        named = {f"heldout/loss@{time:.2f}": loss for time, loss in zip(self._times, losses, strict=True)}
        mean = {"heldout/loss": sum(losses) / len(losses)}
        return mean | named if len(named) > 1 else mean
