"""What the loop needs of a thing to be trained; flow matching and the autoencoder are the two there are."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch
from PIL import Image
from torch import Tensor, nn

from manifests.records import Role
from uso.training.distributed import World
from uso.training.loader import Lookup, Sample
from uso.training.recipe import GridSpec
from uso.velocity import Conditions


@dataclass(frozen=True)
class Example:
    """One sample as an objective trains on it, on the CPU: what is to be predicted, the noise on it, and when.

    `clean` and `noise` are latents `[C, h, w]` (the autoencoder's are an image and the noise of its posterior),
    `time` is in 0..1, `conditions` those of a single sample. `kind` tells which examples may go through together.
    """

    sample: Sample
    kind: Hashable
    clean: Tensor
    noise: Tensor
    time: float
    conditions: Conditions | None = None


class Objective(Protocol):
    """Something to be trained.

    `parameters` are what is trained, by name, in one order on every rank; `device` is where they are.
    """

    parameters: dict[str, nn.Parameter]
    device: torch.device
    lookup: Lookup | None
    """What the loader asks before it reads an image."""
    always_read: tuple[Role, ...]
    """Images that are needed even where their encoding is known."""

    def prepare(self, samples: Sequence[Sample]) -> list[Example]:
        """Return samples ready to be trained on, with the draws of their pass."""

    def prepare_heldout(self, samples: Sequence[Sample], time: float) -> list[Example]:
        """Return samples ready to be measured on: nothing is dropped, the time is given, the noise is the sample's."""

    def losses(self, examples: Sequence[Example]) -> Tensor:
        """Return the loss `[n]` of each of some examples of one kind, with a graph to the parameters."""

    def flops(self, example: Example) -> float:
        """Return the floating-point operations of a training step on one example."""

    def draw(self, samples: Sequence[Sample], grids: GridSpec) -> Image.Image:
        """Return a picture of what the model makes of held-out samples, references beside it."""

    def parallelise(self, world: World) -> None:
        """Apply what the recipe says of checkpointing, compilation and sharding."""

    def write(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """Write what is trained, with these weights, in the formats of the outside world."""

    def read(self, folder: Path) -> None:
        """Take over what `write` wrote."""

    def export(self, out: Path, weights: Mapping[str, Tensor], samples: Sequence[Sample]) -> list[Path]:
        """Write the finished product for others to use, and return where it lies; `samples` are there to measure on."""


def shaped_groups(examples: Sequence[Example], micro: int) -> list[list[Example]]:
    """Return examples of several batches in groups of one kind and one shape, of at most `micro`."""
    return groups_of([replace(each, kind=(each.kind, each.sample.bucket)) for each in examples], micro)


def groups_of(examples: Sequence[Example], micro: int) -> list[list[Example]]:
    """Return examples in groups of one kind, of at most `micro`, kinds in order of appearance."""
    alike: dict[Hashable, list[Example]] = {}
    for example in examples:
        alike.setdefault(example.kind, []).append(example)
    return [part[start : start + micro] for part in alike.values() for start in range(0, len(part), micro)]
