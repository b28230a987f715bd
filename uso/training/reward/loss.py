"""The loss of style reward learning: phi(-R), R the cosine of the styles of what is drawn and of its reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from uso.latents import LatentCodec
from uso.network import USOTransformer
from uso.position_ids import IdShift
from uso.training.reward.base import StyleScorer
from uso.training.reward.rollout import predict_image
from uso.training.reward.settings import RewardSettings
from uso.velocity import Conditions


def penalty(rewards: Tensor, settings: RewardSettings) -> Tensor:
    """Return phi(-R) of each reward: relu(margin - R), which asks for no more beyond the margin; or plainly -R."""
    return torch.relu(settings.margin - rewards) if settings.loss == "hinge" else -rewards


def reward_losses(
    network: USOTransformer,
    conditions: Conditions,
    noise: Tensor,
    style_pixels: Tensor | Sequence[Tensor],
    scorer: StyleScorer,
    codec: LatentCodec,
    settings: RewardSettings,
    k: int,
    id_shift: IdShift = "d",
) -> tuple[Tensor, Tensor]:
    """Return L_SRL `[B]` of each sample, with a graph to the network's trained parameters, and the style cosines `[B]`.

    `noise` `[B, C, h, w]` is what the images are drawn from, `style_pixels` their style references, `[3, h, w]` each in
    -1..1 and of any sizes; `k` is the step that carries the gradient (`rollout.gradient_step`). The caller weighs the
    samples and the loss. What is scored is cut to -1..1, as a saved image would be: there is nothing to be won beyond.
    Raises ValueError when samples have no style reference, and RuntimeError when no gradient comes through.
    """
    if not conditions.styles:
        raise ValueError("a style reward needs samples with a style reference; leave out those that lost theirs")
    if len(style_pixels) != conditions.batch:
        raise ValueError(f"{len(style_pixels)} style images for {conditions.batch} samples")
    images = predict_image(network, conditions, noise, codec, settings, k, id_shift).float().clamp(-1, 1)
    wanted = _embed_each(scorer.embed, style_pixels)
    rewards = (scorer.embed(images) * wanted).sum(dim=1)
    if torch.is_grad_enabled() and not rewards.requires_grad:
        raise RuntimeError(
            "the style reward has no gradient to the network: is the scorer under no_grad, or is nothing trained?"
        )
    return penalty(rewards, settings), rewards.detach()


@torch.no_grad()
def _embed_each(embed: Callable[[Tensor], Tensor], images: Tensor | Sequence[Tensor]) -> Tensor:
    """Return the vectors `[B, width]` of given images, which may differ in size."""
    return torch.cat([embed(image[None]) for image in images])
