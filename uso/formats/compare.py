"""Holding a file's header against the tensors that it should have."""

from __future__ import annotations

import math

from uso.formats.family import foreign_kind
from uso.formats.layout import Entry
from uso.formats.safefile import CheckpointError, WeightFile, first_few

FLOAT_DTYPES = ("F32", "F16", "BF16", "F64")


def require(file: WeightFile, entries: list[Entry], what: str) -> None:
    """Check that a file holds just these entries, in these shapes and in a floating dtype.

    Raises CheckpointError otherwise: the first few tensors that are missing, unexpected, of another shape or another
    dtype, and the likely cause. Only headers are read.
    """
    wanted = {item.key: item.shape for item in entries}
    missing = [key for key in wanted if key not in file.tensors]
    unexpected = [key for key in file.tensors if key not in wanted]
    present = {key: info for key, info in file.tensors.items() if key in wanted}
    misshapen = [
        f"{key} {list(info.shape)} instead of {list(wanted[key])}"
        for key, info in present.items()
        if info.shape != wanted[key]
    ]
    mistyped = [f"{key} {info.dtype}" for key, info in present.items() if info.dtype not in FLOAT_DTYPES]
    faults = [
        f"{len(names)} {label} ({first_few(names)})"
        for label, names in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("of another shape", misshapen),
            ("of a dtype that is no float", mistyped),
        )
        if names
    ]
    if faults:
        cause = _likely_cause(missing, unexpected, misshapen, mistyped, len(wanted))
        raise CheckpointError(f"{file.path} is not {what}: tensors {', '.join(faults)}; likely cause: {cause}")


def _likely_cause(
    missing: list[str], unexpected: list[str], misshapen: list[str], mistyped: list[str], wanted: int
) -> str:
    kind = foreign_kind(dict.fromkeys(unexpected))
    if kind:
        return kind
    if mistyped:
        return "quantised weights; take the bf16 original"
    if any("guidance" in key for key in missing):
        return "FLUX.1-schnell, which has no guidance embedding, instead of FLUX.1-dev"
    if missing and unexpected and len(missing) > wanted // 2:
        return "a file of another kind, or one saved under other names"
    if missing and not unexpected:
        return "a shard, or a file that was saved in part or trained on some blocks only"
    if unexpected:
        return "a network with more blocks, or weights that belong to another part of the model"
    return "a network of another size" if len(misshapen) > math.sqrt(wanted) else "a damaged or edited file"
