"""Outputs of frozen encoders on disk, each a file of its own, named by what was encoded and by which weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from manifests.identities import ID_LENGTH
from uso.encoders import FrozenEncoder
from uso.formats.safefile import write_weights


class EncoderCache:
    """A folder of encoder outputs. Any number of processes may read and write it at once: files appear whole.

    Keys hold the content's hash, and the namespace that of the encoder's weights, so nothing in it is ever stale.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, namespace: str, key: str) -> dict[str, Tensor] | None:
        """Return the tensors kept under a key, None when there are none. A torn file counts as none."""
        try:
            return load_file(self._path(namespace, key))
        except (FileNotFoundError, SafetensorError):
            return None

    def save(self, namespace: str, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Keep tensors under a key."""
        write_weights(self._path(namespace, key), tensors)

    def _path(self, namespace: str, key: str) -> Path:
        return self.folder / namespace / key[:2] / f"{key}.safetensors"


def encoder_digest(encoder: FrozenEncoder) -> str:
    """Return a digest of an encoder's class, weights and their dtypes, and of its settings."""
    digest = hashlib.sha256(f"{type(encoder).__name__} {encoder.settings!r}".encode())
    for name, tensor in sorted(encoder.model.state_dict().items()):
        digest.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:ID_LENGTH]
