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
from uso.training.distributed import World
from uso.training.flow_objective import FlowObjective
from uso.training.loader import Sample
from uso.training.lockstep import in_step
from uso.training.objective import Example, groups_of, shaped_groups
from uso.training.reward.build import build_scorer
from uso.training.reward.gradients import RewardGradients
from uso.training.reward.loss import reward_losses
from uso.training.reward.places import rewarded_places
from uso.training.reward.rollout import gradient_step, gradient_steps, predict_image, rollout_times
from uso.training.reward.settings import RewardSettings


@dataclass(frozen=True)
class RewardFigures:
    """What a step's reward was: the mean style cosine, and the norm of its gradient before the bound."""

    reward: float
    gradient_norm: float


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
        self._sharded = objective.recipe.parallel.shards(world.size)
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
        total = 0.0
        with self._gradients.collecting():
            groups = groups_of(mine, recipe.batch.micro)
            for group, counts in in_step(groups, examples, self._world, sharded=self._sharded):
                losses, rewards = self._losses(number, group) if counts else self._company(number, group)
                (losses.sum() / max(1.0, count)).backward()  # type: ignore[no-untyped-call]
                total += float(rewards.sum()) / max(1.0, count)
            self._world.sum_gradients(self._objective.parameters.values())
        norm = self._gradients.merge(clip=self.settings.clip, weight=self.settings.weight * self.factor)
        return RewardFigures(self._world.sum([total])[0], norm)

    @torch.no_grad()
    def measure(self, samples: Sequence[Sample]) -> dict[str, float]:
        """Return how held-out samples fare when they are drawn whole, from fixed noise; every rank must ask.

        `reward/style` is the mean style cosine to the style reference, `reward/content` the mean subject cosine to the
        content reference, or to the target where there is none.
        """
        style, content = 0.0, 0.0
        objective = self._objective
        subject = self._slots.content or self._slots.target
        examples = objective.prepare_heldout(samples, 0.5)
        groups = shaped_groups(examples, objective.recipe.batch.micro)
        for group, counts in in_step(groups, examples, self._world, sharded=self._sharded):
            times = rollout_times(self.settings, *token_grid(group[0].clean[None]))
            latents = euler_sample(
                objective.network,
                self._noise(group),
                times,
                objective.conditions(group),
                guidance=self.settings.guidance,
                id_shift=objective.recipe.flow.id_shift,
            )
            images = objective.encoding.encoders.codec.decode(latents).float().clamp(-1, 1)
            for image, example in zip(images, group, strict=True):
                style += counts * self._cosine(self._scorer.embed, image, example.sample, self._slots.style)
                content += counts * self._cosine(self._scorer.subject, image, example.sample, subject)
        *totals, count = self._world.sum([style, content, float(len(samples))])
        return {name: total / count for name, total in zip(("reward/style", "reward/content"), totals, strict=True)}

    def _cosine(self, embed: Callable[[Tensor], Tensor], image: Tensor, sample: Sample, role: Role | None) -> float:
        return float((embed(image[None]) * embed(self._pixels(sample, role)[None])).sum())

    def _losses(self, number: int, group: Sequence[Example]) -> tuple[Tensor, Tensor]:
        """Return the loss and the reward `[n]` of each example."""
        objective = self._objective
        with objective.autocast():
            return reward_losses(
                objective.network,
                objective.conditions(group),
                self._noise(group),
                [self._pixels(example.sample, self._slots.style) for example in group],
                self._scorer,
                objective.encoding.encoders.codec,
                self.settings,
                self._gradient_step(number, group),
                objective.recipe.flow.id_shift,
            )

    def _company(self, number: int, group: Sequence[Example]) -> tuple[Tensor, Tensor]:
        """Return zeros, with a graph through a rollout like that of the ranks that have samples to reward."""
        objective = self._objective
        with objective.autocast():
            images = predict_image(
                objective.network,
                objective.conditions(group),
                self._noise(group),
                objective.encoding.encoders.codec,
                self.settings,
                self._gradient_step(number, group),
                objective.recipe.flow.id_shift,
            )
        nothing = 0.0 * images.float().mean(dim=(1, 2, 3))
        return nothing, nothing.detach()

    def _gradient_step(self, number: int, group: Sequence[Example]) -> int:
        return gradient_step(self.settings, self._objective.recipe.seed, number, *token_grid(group[0].clean[None]))

    def _noise(self, group: Sequence[Example]) -> Tensor:
        noise = [example.sample.draws.normal("reward", tuple(example.clean.shape)) for example in group]
        return torch.stack(noise).to(self._objective.device)

    def _pixels(self, sample: Sample, role: Role | None) -> Tensor:
        assert role is not None  # a recipe with a reward has a style reference
        pixels = torch.from_numpy(sample.images[role]).to(self._objective.device)
        return pixels.permute(2, 0, 1).float() / 127.5 - 1
