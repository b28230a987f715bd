"""Who an encoder from a folder or the hub is."""

from __future__ import annotations

from pathlib import Path

from manifests.identities import digest_of, digest_of_file
from uso.encoders import split_source


def source_digest(source: str) -> str:
    """Return the sha256 of a folder's weights (a digest of all where there are several), `hub:NAME` for a hub name."""
    name, subfolder = split_source(source)
    folder = Path(name) / subfolder
    if not folder.is_dir():
        return f"hub:{source}"
    weights = {path.name: digest_of_file(path) for path in sorted(folder.glob("*.safetensors"))}
    return next(iter(weights.values())) if len(weights) == 1 else digest_of(weights)
