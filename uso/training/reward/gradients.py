"""The reward's gradient kept apart from the flow's, so that each has a bound of its own."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from uso.training.parallel import bound_norm


class RewardGradients:
    """Collects the reward's gradient beside that of the flow, in buffers that change places with `parameter.grad`.

    Inside `collecting`, `parameter.grad` is the reward's own: `backward()` adds to it (any number of micro-batches, in
    one block or several, between or after those of the flow), and whatever sums gradients over ranks works on it as it
    works on the flow's. Nothing is copied, and plain, DDP and FSDP2 parameters are alike. A step is:

        loss.backward()                         # L_pre, all micro-batches
        sum over ranks, clip                    # the flow's own bound
        with reward.collecting():
            reward_loss.backward()              # L_SRL, all micro-batches: the flow's graphs are gone by now
            sum over ranks                      # before `merge`, since a bound is on the gradient of the global batch
        norm = reward.merge(clip=..., weight=...)
        optimizer.step()

    The bound comes before the weight: lowering the weight lowers what the reward can do, however steep it is.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self._parameters = list(parameters)
        self._own: list[Tensor | None] = [None] * len(self._parameters)

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Let `parameter.grad` be the reward's for a while."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def merge(self, *, clip: float | None, weight: float) -> float:
        """Add weight times the collected gradient, its norm bound to `clip`, to the parameters', and start anew.

        Returns the norm before the bound. When that is not finite the gradient is left out, and the norm says so;
        after a sum over ranks it is the same on all of them.
        """
        own = [gradient for gradient in self._own if gradient is not None]
        norm = bound_norm(own, clip, weight)
        if math.isfinite(norm):
            for parameter, gradient in zip(self._parameters, self._own, strict=True):
                if gradient is not None:
                    parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)
        self._own = [None] * len(self._parameters)
        return norm

    def _swap(self) -> None:
        for index, parameter in enumerate(self._parameters):
            self._own[index], parameter.grad = parameter.grad, self._own[index]
