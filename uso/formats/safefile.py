"""Weight files opened with care: safetensors only, headers first, and errors that say what the file is instead."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

DIFFUSERS_STEM = "diffusion_pytorch_model"
SHARD_BYTES = 10 * 2**30
"""Largest file of a diffusers folder, in bytes; larger weights are split into shards, as diffusers does."""

_WEIGHT_NAME = re.compile(rf"{DIFFUSERS_STEM}(-\d{{5}}-of-\d{{5}})?\.safetensors(\.index\.json)?")

_OTHER_KINDS = (
    (b"PK\x03\x04", "a zip archive, most likely a pickled PyTorch checkpoint"),
    (b"\x80", "a pickle"),
    (b"GGUF", "a GGUF file"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself: fetch it with `git lfs pull`"),
)


class CheckpointError(ValueError):
    """A weight file that cannot be what it should be; the message names the file, the fault and the likely cause."""


@dataclass(frozen=True)
class TensorInfo:
    """Shape and dtype of a tensor as the file's header states them; dtype in safetensors' spelling, e.g. `BF16`."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class WeightFile:
    """The tensors of a safetensors file, or of the shards of a folder; nothing but headers has been read."""

    path: Path
    tensors: Mapping[str, TensorInfo]
    homes: Mapping[str, Path]
    metadata: Mapping[str, str]
    config: Mapping[str, object]

    def read(self, keys: Iterable[str] | None = None) -> dict[str, Tensor]:
        """Return the tensors of these keys (all without any), on the CPU and in the file's dtype."""
        wanted = set(self.tensors if keys is None else keys)
        state: dict[str, Tensor] = {}
        for home in dict.fromkeys(self.homes[key] for key in self.tensors if key in wanted):
            try:
                with safe_open(home, framework="pt") as file:
                    state |= {key: file.get_tensor(key) for key in file.keys() if key in wanted}  # noqa: SIM118
            except SafetensorError as error:
                raise CheckpointError(f"{home}: {error}") from error
        return state


def open_weights(path: Path) -> WeightFile:
    """Open a `.safetensors` file or a diffusers folder (also a pipeline's, for its `transformer`).

    Pickles are refused unread. Raises CheckpointError when there is no such file, when it is of another kind,
    truncated or malformed, or when an index names shards that are not there.
    """
    if not path.exists():
        raise CheckpointError(f"{path}: no such file or folder")
    if path.is_file():
        tensors, metadata = _header(path)
        return WeightFile(path, tensors, dict.fromkeys(tensors, path), metadata, {})
    folder = path / "transformer" if (path / "transformer").is_dir() else path
    config = read_json(folder / "config.json")
    if not isinstance(config, dict):
        raise CheckpointError(f"{folder / 'config.json'}: holds no settings")
    single, index = folder / f"{DIFFUSERS_STEM}.safetensors", folder / f"{DIFFUSERS_STEM}.safetensors.index.json"
    if single.is_file():
        tensors, metadata = _header(single)
        return WeightFile(folder, tensors, dict.fromkeys(tensors, single), metadata, config)
    if not index.is_file():
        raise CheckpointError(f"{folder}: neither {single.name} nor {index.name} is there; .bin weights are not loaded")
    return _open_shards(folder, index, config)


def _open_shards(folder: Path, index: Path, config: Mapping[str, object]) -> WeightFile:
    listing = read_json(index)
    weight_map = listing.get("weight_map") if isinstance(listing, dict) else None
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise CheckpointError(f"{index}: has no weight_map from tensors to files")
    tensors: dict[str, TensorInfo] = {}
    homes: dict[str, Path] = {}
    for name in sorted(set(weight_map.values())):
        shard = folder / name
        if Path(name).name != name or not shard.is_file():
            raise CheckpointError(f"{index}: names the shard {name!r}, which is not in the folder")
        header, _ = _header(shard)
        tensors |= header
        homes |= dict.fromkeys(header, shard)
    lost = sorted(key for key, name in weight_map.items() if homes.get(key) != folder / name)
    if lost:
        raise CheckpointError(f"{index}: lists {first_few(lost)} in shards that do not hold them; downloaded in part?")
    return WeightFile(folder, tensors, homes, {}, config)


def _header(path: Path) -> tuple[dict[str, TensorInfo], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
            tensors = {key: TensorInfo(tuple(part.get_shape()), part.get_dtype()) for key, part in slices.items()}
            return tensors, dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: {_what_instead(path, error)}") from error


def _what_instead(path: Path, error: Exception) -> str:
    """Return what a file seems to be that is no safetensors file, whose own first bytes could be any: a size."""
    with path.open("rb") as stream:
        start = stream.read(32)
    for magic, kind in _OTHER_KINDS:
        if start.startswith(magic):
            return f"is {kind}; only safetensors files are loaded"
    return f"not a whole safetensors file ({error}); copied or downloaded in part?"


def read_json(path: Path) -> object:
    """Return what a JSON file holds. Raises CheckpointError when it is missing or malformed."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such file") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path}: not a JSON file ({error})") from error


def write_weights(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file whole or not at all, in place of what was there. Creates missing folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        ready = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
        save_file(ready, temporary, metadata={"format": "pt"})
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def write_folder(
    folder: Path, tensors: Mapping[str, Tensor], config: Mapping[str, object], shard_bytes: int = SHARD_BYTES
) -> None:
    """Write a diffusers folder: `config.json`, and one weight file or an index with shards of up to `shard_bytes`.

    Weight files of an earlier writing are removed at the end: readers would prefer them to the new ones.
    """
    shards: list[dict[str, Tensor]] = [{}]
    size = 0
    for key, tensor in tensors.items():
        if shards[-1] and size + tensor.nbytes > shard_bytes:
            shards.append({})
            size = 0
        shards[-1][key] = tensor
        size += tensor.nbytes
    folder.mkdir(parents=True, exist_ok=True)
    index_name = f"{DIFFUSERS_STEM}.safetensors.index.json"
    written = {f"{DIFFUSERS_STEM}.safetensors"}
    if len(shards) == 1:
        write_weights(folder / f"{DIFFUSERS_STEM}.safetensors", shards[0])
    else:
        weight_map: dict[str, str] = {}
        for number, shard in enumerate(shards, start=1):
            name = f"{DIFFUSERS_STEM}-{number:05d}-of-{len(shards):05d}.safetensors"
            write_weights(folder / name, shard)
            weight_map |= dict.fromkeys(shard, name)
        total = sum(tensor.nbytes for tensor in tensors.values())
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        (folder / index_name).write_text(json.dumps(index, indent=2) + "\n")
        written = {*weight_map.values(), index_name}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    for path in list(folder.iterdir()):
        if path.name not in written and _WEIGHT_NAME.fullmatch(path.name):
            path.unlink()


def first_few(names: list[str], count: int = 3) -> str:
    """Return the first names of a list in words, and how many more there are."""
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more


def cast(tensors: Mapping[str, Tensor], dtype: torch.dtype | None) -> dict[str, Tensor]:
    """Return the tensors in this dtype; None leaves each as it is."""
    return {key: tensor if dtype is None else tensor.to(dtype) for key, tensor in tensors.items()}
