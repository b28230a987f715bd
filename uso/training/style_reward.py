"""Style reward learning in the loop: which samples are rewarded, over all ranks, and how held-out ones fare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from manifests.records import Role
from uso.images import SIDE_STEP, Size
from uso.packing import token_grid
from uso.sampler import euler_sample
from uso.schedule import flow_times
from uso.training.distributed import World
from uso.training.flow_objective import FlowObjective
from uso.training.loader import Sample
from uso.training.objective import Example, groups_of
from uso.training.reward.build import build_scorer
from uso.training.reward.gradients import RewardGradients
from uso.training.reward.loss import RewardStats, reward_losses
from uso.training.reward.places import rewarded_places
from uso.training.reward.rollout import gradient_step, gradient_steps
from uso.training.reward.settings import RewardSettings


@dataclass(frozen=True)
class RewardFigures:
    """What a step's reward was: the mean style cosine, the norm of its gradient before the bound, the time."""

    reward: float
    gradient_norm: float
    time: float


class StyleReward:
    """Adds the gradient of the style reward to that of the flow (USO, Algorithm 1).

    `factor` is what the watch-dog has lowered the weight to, as a share. Raises ValueError when the scorer does not
    load, or no step of the rollout lies in the range of times for a target of this data's sizes.
    """

    def __init__(self, settings: RewardSettings, objective: FlowObjective, world: World, sizes: set[Size]) -> None:
        self.settings = settings
        self.factor = 1.0
        self._objective = objective
        self._world = world
        self._scorer = build_scorer(settings, world.device)
        self._gradients = RewardGradients(objective.parameters.values())
        self._slots = objective.recipe.data.slots
        for width, height in sizes:
            gradient_steps(settings, height // SIDE_STEP, width // SIDE_STEP)

    def add(self, number: int, examples: Sequence[Example], places: Sequence[int]) -> RewardFigures:
        """Add the reward's gradient of a step to the parameters', whose own is there already, summed and bound.

        `places` are those of the examples in the global batch; every rank must ask. A sample that lost its style
        reference has no reward.
        """
        recipe = self._objective.recipe
        chosen = set(rewarded_places(recipe.batch.size, self.settings.samples))
        mine = [
            example
            for example, place in zip(examples, places, strict=True)
            if place in chosen and example.conditions is not None and example.conditions.styles
        ]
        count = self._world.sum([float(len(mine))])[0]
        rewards, time = 0.0, 0.0
        with self._gradients.collecting():
            groups = groups_of(mine, recipe.batch.micro)
            shards = recipe.parallel.mode == "fsdp" and self._world.size > 1
            idle = self._world.most(len(groups)) - len(groups) if shards else 0
            for turn, group in enumerate([*groups, *groups[-1:] * idle]):
                share = 1 / count if turn < len(groups) else 0.0
                losses, stats = self._losses(number, group)
                (losses.sum() * share).backward()  # type: ignore[no-untyped-call]
                rewards += float(stats.rewards.sum()) * share
                time = stats.time
            self._world.sum_gradients(self._objective.parameters.values())
        norm = self._gradients.merge(clip=self.settings.clip, weight=self.settings.weight * self.factor)
        return RewardFigures(self._world.sum([rewards])[0], norm, time)

    @torch.no_grad()
    def measure(self, samples: Sequence[Sample]) -> dict[str, float]:
        """Return how held-out samples fare when they are drawn whole, from fixed noise; every rank must ask.

        `reward/style` is the mean style cosine to the style reference, `reward/content` the mean subject cosine to the
        content reference, or to the target where there is none.
        """
        style, content = 0.0, 0.0
        objective, settings = self._objective, self.settings
        subject = self._slots.content or self._slots.target
        for example in objective.prepare_heldout(samples, 0.5):
            rows, columns = token_grid(example.clean[None])
            times = flow_times(settings.steps, rows, columns, settings.shift)
            noise = example.sample.draws.normal("reward", tuple(example.clean.shape))[None].to(objective.device)
            latent = euler_sample(
                objective.network, noise, times, objective.conditions([example]), guidance=settings.guidance
            )
            image = objective.encoding.encoders.codec.decode(latent).float().clamp(-1, 1)
            style += self._cosine(self._scorer.embed, image, example.sample, self._slots.style)
            content += self._cosine(self._scorer.subject, image, example.sample, subject)
        *totals, count = self._world.sum([style, content, float(len(samples))])
        return {name: total / count for name, total in zip(("reward/style", "reward/content"), totals, strict=True)}

    def _cosine(self, embed: Callable[[Tensor], Tensor], image: Tensor, sample: Sample, role: Role | None) -> float:
        return float((embed(image) * embed(self._pixels(sample, role)[None])).sum())

    def _losses(self, number: int, group: Sequence[Example]) -> tuple[Tensor, RewardStats]:
        objective, settings = self._objective, self.settings
        rows, columns = token_grid(group[0].clean[None])
        noise = torch.stack([e.sample.draws.normal("reward", tuple(e.clean.shape)) for e in group])
        with objective.autocast():
            return reward_losses(
                objective.network,
                objective.conditions(group),
                noise.to(objective.device),
                [self._pixels(example.sample, self._slots.style) for example in group],
                self._scorer,
                objective.encoding.encoders.codec,
                settings,
                gradient_step(settings, objective.recipe.seed, number, rows, columns),
            )

    def _pixels(self, sample: Sample, role: Role | None) -> Tensor:
        assert role is not None  # a recipe with a reward has a style reference
        pixels = torch.from_numpy(sample.images[role]).to(self._objective.device)
        return pixels.permute(2, 0, 1).float() / 127.5 - 1
