"""Figures of the steps between two lines of metrics."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from uso.training.distributed import World
from uso.training.objective import Example, Objective
from uso.training.step import StepStats
from uso.training.watch.peak import peak_flops


class Tally:
    """Adds up what steps did; `take` returns it as means and rates, and begins anew.

    `train/data_wait_share` is the share of the time that the rank waited for samples. `train/mfu` is the operations
    that the model needs, by `uso.cost`, over what the devices could do in the time; it is left out where nothing counts
    them. `dtype` is that of the matrix products.
    """

    def __init__(self, world: World, objective: Objective, dtype: torch.dtype) -> None:
        self._world = world
        self._objective = objective
        self._dtype = dtype
        self._peak: float | None = None
        self._clear()

    def add(self, stats: StepStats, examples: Sequence[Example], size: int, waited: float, seconds: float) -> None:
        """Add one step: its figures, this rank's examples, the global batch, seconds of waiting and in all."""
        self._steps.append(stats)
        self._images += size
        self._waited += waited
        self._seconds += seconds
        self._flops += sum(self._objective.flops(example) for example in examples)

    def take(self) -> dict[str, float]:
        """Return the figures since the last call; every rank must ask."""
        flops = self._world.sum([self._flops])[0]
        count = len(self._steps)
        values = {
            "train/loss": sum(stats.loss for stats in self._steps) / count,
            "train/gradient_norm": sum(stats.gradient_norm for stats in self._steps) / count,
            "train/learning_rate": self._steps[-1].learning_rate,
            "train/images_per_second": self._images / self._seconds,
            "train/data_wait_share": self._waited / self._seconds,
        }
        rewards = [stats.reward for stats in self._steps if stats.reward is not None]
        if rewards:
            values["train/reward"] = sum(reward.reward for reward in rewards) / len(rewards)
            values["train/reward_gradient_norm"] = sum(reward.gradient_norm for reward in rewards) / len(rewards)
        if flops:
            if self._peak is None:
                self._peak = peak_flops(self._objective.device, self._dtype)
            values["train/mfu"] = flops / (self._seconds * self._peak * self._world.size)
        self._clear()
        return values

    def _clear(self) -> None:
        self._steps: list[StepStats] = []
        self._images = 0
        self._waited = self._seconds = self._flops = 0.0
