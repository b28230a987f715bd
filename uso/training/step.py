"""One optimizer step over a global batch: micro-batches, the sum over ranks, the bound on gradients, AdamW."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from uso.training.distributed import World
from uso.training.lockstep import in_step
from uso.training.objective import Example, Objective, groups_of
from uso.training.optimizer import build_adamw, learning_rate
from uso.training.parallel import bound_norm
from uso.training.recipe import Recipe
from uso.training.style_reward import RewardFigures, StyleReward


@dataclass(frozen=True)
class StepStats:
    """What a step did: the mean loss of the global batch, the gradient's norm before its bound, the learning rate.

    `reward` is there in steps with style reward learning.
    """

    loss: float
    gradient_norm: float
    learning_rate: float
    reward: RewardFigures | None = None


class Stepper:
    """Takes steps. A sample counts 1 / n of the loss, n being the samples of the global batch, wherever it is computed.

    The gradient is therefore that of the global batch, up to rounding, for any number of ranks and any micro-batch.
    """

    def __init__(self, recipe: Recipe, objective: Objective, world: World, reward: StyleReward | None = None) -> None:
        self.recipe = recipe
        self.reward = reward
        self.objective = objective
        self.world = world
        self.optimizer = build_adamw(objective.parameters, recipe.optimizer)

    def step(self, number: int, examples: Sequence[Example], places: Sequence[int], size: int) -> StepStats:
        """Take the step of this number, counted from 0, on a rank's examples out of `size` over all ranks.

        `places` are those of the examples in the global batch.
        """
        parameters = list(self.objective.parameters.values())
        loss = self.backward(examples, size)
        norm = bound_norm([p.grad for p in parameters if p.grad is not None], self.recipe.optimizer.clip)
        reward = None
        if self.reward is not None and self.reward.settings.applies(number):
            reward = self.reward.add(number, examples, places)
        rate = learning_rate(self.recipe.optimizer, number, self.recipe.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return StepStats(self.world.sum([loss])[0], norm, rate, reward)

    def backward(self, examples: Sequence[Example], size: int) -> float:
        """Leave the global batch's gradient in the parameters, and return this rank's share of the mean loss."""
        groups = groups_of(examples, self.recipe.batch.micro)
        sharded = self.recipe.parallel.shards(self.world.size)
        total = torch.zeros((), device=self.objective.device)
        for group, counts in in_step(groups, examples, self.world, sharded=sharded):
            loss = self.objective.losses(group).sum() * (1 / size if counts else 0.0)
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        self.world.sum_gradients(self.objective.parameters.values())
        return float(total)
