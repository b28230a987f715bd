"""AdamW, the learning rate as a function of the step, and the running mean of the weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from uso.training.parallel import alike, sharded_like
from uso.training.recipe import OptimizerSpec


def learning_rate(spec: OptimizerSpec, step: int, steps: int) -> float:
    """Return the learning rate of a step, counted from 0, of a run of `steps`.

    It rises evenly over the warm-up, then stays, or falls along a cosine or a line to `final` of its height.
    """
    if step < spec.warmup:
        return spec.learning_rate * (step + 1) / spec.warmup
    if spec.schedule == "constant":
        return spec.learning_rate
    done = min(1.0, (step - spec.warmup) / max(1, steps - spec.warmup))
    left = (1 + math.cos(math.pi * done)) / 2 if spec.schedule == "cosine" else 1 - done
    return spec.learning_rate * (spec.final + (1 - spec.final) * left)


def build_adamw(parameters: Mapping[str, nn.Parameter], spec: OptimizerSpec) -> torch.optim.AdamW:
    """Return AdamW over the parameters, fused. Matrices decay; vectors (biases, norms) do not."""
    groups = [
        {"params": part, "weight_decay": spec.weight_decay if decayed else 0.0}
        for decayed in (True, False)
        for part in alike(parameter for parameter in parameters.values() if (parameter.ndim > 1) is decayed)
    ]
    return torch.optim.AdamW(
        groups,
        lr=spec.learning_rate,
        betas=spec.betas,
        eps=spec.eps,
        fused=True,
    )


class Ema:
    """A running mean of weights: after each step it moves to them by 1 - decay.

    The decay is min(decay, (1 + n) / (10 + n)) at the n-th step, so that a short run is not held by where it started.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float) -> None:
        self.decay = decay
        self._parameters = parameters
        self.weights = {name: parameter.detach().clone() for name, parameter in parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards the weights after the step of this number, counted from 0."""
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        weights = [parameter.detach() for parameter in self._parameters.values()]
        for means, now in zip(alike(self.weights.values()), alike(weights), strict=True):
            torch._foreach_lerp_(means, now, share)

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Take weights over from a checkpoint."""
        for name, tensor in self.weights.items():
            tensor.copy_(sharded_like(weights[name], tensor))

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the running mean in the weights' place for a while."""
        kept = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(self.weights[name])
        try:
            yield
        finally:
            with torch.no_grad():
                for name, parameter in self._parameters.items():
                    parameter.copy_(kept[name])
