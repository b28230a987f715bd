"""The nano encoder as everything else uses it: images in, two unit vectors out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from workers.encoders.network import NanoTower, TowerShape
from workers.encoders.preprocess import Pixels, to_square

SHIPPED = Path(__file__).parent / "weights" / "nano.safetensors"
"""The weights that ship with the package; their recipe and measured figures lie beside them as `nano.json`."""

_BATCH = 16


class NanoEncoder:
    """A fitted tower with its weights loaded.

    Images go through in batches of one fixed size, so an image's vectors do not depend on what it is embedded with.
    Raises ValueError where the file is not the weights of a tower.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or SHIPPED
        self._tower = _load(self._path)
        self._digest: str | None = None

    @property
    def digest(self) -> str:
        """Return the sha256 of the weights file, in hexadecimal."""
        if self._digest is None:
            with self._path.open("rb") as file:
                self._digest = hashlib.file_digest(file, "sha256").hexdigest()
        return self._digest

    @property
    def width(self) -> int:
        """Return the width of the vectors."""
        return self._tower.shape.width

    def embed(self, images: Sequence[Pixels]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return `(style, subject)`, each `[n, width]` float32 of unit length, of sRGB images of any sizes."""
        return embed_with(self._tower, images)


def embed_with(tower: NanoTower, images: Sequence[Pixels]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return `(style, subject)`, each `[n, width]` float32, of images under a tower in evaluation mode."""
    side, width = tower.shape.side, tower.shape.width
    vectors = np.empty((2, len(images), width), np.float32)
    batch = np.zeros((_BATCH, side, side, 3), np.uint8)
    with torch.inference_mode():
        for start in range(0, len(images), _BATCH):
            part = images[start : start + _BATCH]
            for place, pixels in enumerate(part):
                batch[place] = to_square(pixels, side)
            ready = torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 255
            for kind, embedded in enumerate(tower(ready.contiguous(memory_format=torch.channels_last))):
                vectors[kind, start : start + len(part)] = embedded[: len(part)].numpy()
    return vectors[0], vectors[1]


def save_tower(tower: NanoTower, path: Path) -> None:
    """Write a tower's weights as float16 safetensors, its shape in the header."""
    tensors = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in tower.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".tmp")
    save_file(tensors, draft, metadata={"shape": tower.shape.model_dump_json()})
    draft.chmod(0o644)
    draft.replace(path)


def _load(path: Path) -> NanoTower:
    try:
        with safe_open(path, framework="pt") as file:
            shape = TowerShape.model_validate_json((file.metadata() or {})["shape"])
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 - not a dict
        tower = NanoTower(shape)
        own = tower.state_dict()
        counters = {name: own[name] for name in own if name.endswith("num_batches_tracked")}
        tower.load_state_dict(tensors | counters)
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        cause = str(error).splitlines()[0]
        raise ValueError(f"{path} does not hold the weights of a nano encoder: {cause}") from error
    return tower.eval()
