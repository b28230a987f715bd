"""Checkpoints of a run: a folder each, whole or not there, and verifiable. Safetensors and JSON, nothing else."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from manifests.identities import digest_of_file
from uso.formats.safefile import write_weights
from uso.training.order import Position
from uso.training.parallel import sharded_like, whole

WEIGHTS, EMA, OPTIMIZER, STATE = "weights", "ema", "optimizer.safetensors", "state.json"

_NAME = re.compile(r"step-(\d{8})")


class CheckpointDamagedError(ValueError):
    """A checkpoint whose files are missing or are not what was written."""


class RunMismatchError(ValueError):
    """A checkpoint that belongs to a run of another recipe or other data."""


@dataclass(frozen=True)
class RunState:
    """What a run needs to go on, beside its weights: nothing random is among it, since draws follow from the position.

    `step` is the number of steps done, `position` the next global batch. `stream` digests everything that decides
    which samples come in which order.
    """

    step: int
    position: Position
    stream: str
    recipe: dict[str, Any]
    data: list[dict[str, Any]]
    versions: dict[str, str]
    watchdog: dict[str, Any] = field(default_factory=dict)


def checkpoints(out: Path) -> list[tuple[int, Path]]:
    """Return (step, folder) of every whole checkpoint of a run, oldest first."""
    folder = out / "checkpoints"
    found = [(int(match[1]), path) for path in folder.glob("step-*") if (match := _NAME.fullmatch(path.name))]
    return sorted((step, path) for step, path in found if (path / STATE).is_file())


def save_checkpoint(
    out: Path,
    state: RunState,
    write: Callable[[Path, Mapping[str, Tensor]], None],
    weights: Mapping[str, Tensor],
    ema: Mapping[str, Tensor] | None,
    optimizer: Mapping[str, Tensor],
    keep: int,
) -> Path:
    """Write a checkpoint aside, give it its name, and remove all but the newest `keep`.

    `write` puts weights into a folder in the formats of the outside world.
    """
    folder = out / "checkpoints"
    final = folder / f"step-{state.step:08d}"
    draft = folder / f".{final.name}.{os.getpid()}"
    for left_over in folder.glob(".step-*"):  # of a process that was killed, or of a full disk
        shutil.rmtree(left_over, ignore_errors=True)
    write(draft / WEIGHTS, weights)
    if ema is not None:
        write(draft / EMA, ema)
    write_weights(draft / OPTIMIZER, optimizer)
    files = {str(path.relative_to(draft)): digest_of_file(path) for path in sorted(draft.rglob("*")) if path.is_file()}
    (draft / STATE).write_text(json.dumps({**asdict(state), "files": files}, indent=1) + "\n")
    for path in draft.rglob("*"):
        _flush(path)
    if final.exists():
        shutil.rmtree(final)
    draft.replace(final)
    _flush(folder)
    for _, old in checkpoints(out)[:-keep]:
        _remove(old)
    return final


def load_state(folder: Path) -> RunState:
    """Return the state of a checkpoint, every file of which is held against its sha256 first.

    Raises CheckpointDamagedError naming the file at fault.
    """
    try:
        raw = json.loads((folder / STATE).read_text())
        files, position = raw.pop("files"), raw.pop("position")
        state = RunState(**raw, position=Position(**position))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointDamagedError(f"{folder / STATE}: not the state of a run ({error})") from error
    for name, digest in files.items():
        if not (folder / name).is_file():
            raise CheckpointDamagedError(f"{folder / name}: is missing; remove {folder} to go on from an older one")
        if digest_of_file(folder / name) != digest:
            raise CheckpointDamagedError(
                f"{folder / name}: is not what was written (another sha256); remove {folder} to go on from an older one"
            )
    return state


def optimizer_tensors(optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """Return an optimizer's state as named tensors, whole; with sharded weights every rank must ask."""
    return {
        f"{name}.{key}": whole(value).cpu()
        for name, parameter in parameters.items()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def load_optimizer(folder: Path, optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter]) -> None:
    """Put a checkpoint's optimizer state in place. Raises CheckpointDamagedError when it is of other parameters."""
    tensors = load_file(folder / OPTIMIZER)
    fitting = {f"{name}.{key}" for name in parameters for key in ("exp_avg", "exp_avg_sq", "step")}
    if tensors and set(tensors) != fitting:
        raise CheckpointDamagedError(f"{folder / OPTIMIZER}: is of other weights than those that this recipe trains")
    for name, parameter in parameters.items():
        if f"{name}.step" in tensors:
            optimizer.state[parameter] = {
                "step": tensors[f"{name}.step"].to(parameter.device if parameter.is_cuda else "cpu"),
                "exp_avg": sharded_like(tensors[f"{name}.exp_avg"], parameter),
                "exp_avg_sq": sharded_like(tensors[f"{name}.exp_avg_sq"], parameter),
            }


def _remove(folder: Path) -> None:
    """Remove a checkpoint so that an interruption leaves none that looks whole."""
    (folder / STATE).unlink()
    shutil.rmtree(folder)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
