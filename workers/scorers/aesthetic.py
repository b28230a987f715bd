"""How people would rate the target's looks."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import numpy as np

from workers.scorers.base import Scorer, Trio, Vector

_LAYER = re.compile(r"(?:module\.)?(?:layers\.(\d+)\.)?(weight|bias)$")


class Aesthetic(Scorer):
    """LAION's aesthetic predictor on the unit vector of a CLIP, about 1 to 10; high is good.

    `layers` are the predictor's matrices `[out, in]` and biases `[out]`, in order. The released network has no
    activations between them, and its dropout does nothing when it predicts.
    """

    column: ClassVar[str] = "aesthetic"
    reads: ClassVar[tuple[str, ...]] = ("aesthetic",)

    def __init__(self, layers: list[tuple[Vector, Vector]]) -> None:
        self._layers = layers

    def score(self, trio: Trio) -> float:
        """Return the predicted rating."""
        values = trio.target.seen["aesthetic"]
        for weight, bias in self._layers:
            values = weight @ values + bias
        return float(values[0])


def load_head(path: Path) -> list[tuple[Vector, Vector]]:
    """Return the layers of a predictor from safetensors, or from the released .pth, of which no code is run.

    Names are those of the releases: `layers.0.weight` and so on, or a single `weight` and `bias`. Raises ValueError
    where the file is neither, or its layers do not fit together and end in one number.
    """
    import torch

    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
        tensors = {name: np.asarray(tensor.float().numpy()) for name, tensor in state.items()}
    except Exception as error:
        cause = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path}: holds no weights that can be read safely: {cause}") from error
    found: dict[int, dict[str, Vector]] = {}
    for name, values in tensors.items():
        match = _LAYER.match(name)
        if match is None:
            raise ValueError(f"{path}: {name} is no weight of an aesthetic predictor (layers.N.weight, layers.N.bias)")
        found.setdefault(int(match[1] or 0), {})[match[2]] = values
    layers = []
    for number in sorted(found):
        lacking = {"weight", "bias"} - found[number].keys()
        if lacking:
            raise ValueError(f"{path}: layer {number} has no {lacking.pop()}")
        layers.append((found[number]["weight"], found[number]["bias"]))
    chained = all(after[0].shape[1] == before[0].shape[0] for before, after in pairwise(layers))
    if not layers or not chained or len(layers[-1][1]) != 1:
        shapes = ", ".join(str(list(weight.shape)) for weight, _ in layers) or "none"
        raise ValueError(f"{path}: its layers do not lead from a vector to one number; they are {shapes}")
    return layers
