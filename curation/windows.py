"""Windows of targets: a job proposes, subtracts and feeds so many candidates at a time, so its driver stays small."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from curation.candidates import IngestedTarget
from curation.spec.model import JobSpec

CANDIDATES = 131_072
"""Candidates in a window, about: some 700 MB in the driver. Workers are started anew for each window, and load their
models again, which is why it is no smaller."""


def windows(
    targets: Sequence[IngestedTarget], spec: JobSpec, *, candidates: int = CANDIDATES
) -> Iterator[list[IngestedTarget]]:
    """Yield the targets in windows, in the order in which shards are filled (`in_shard_order`).

    A window has about so many candidates and fills its shards evenly, so that a job from scratch makes the same shards
    whatever the window; targets of the same image are in the same one, so that none of their candidates is there twice.
    """
    each = spec.layouts.preserved + spec.layouts.shifted
    shard = spec.shards.candidates
    step = math.lcm(each, shard) // each
    most = max(1, candidates // (step * each)) * step
    ordered = sorted(targets, key=_place)
    start = 0
    while start < len(ordered):
        end = min(start + most, len(ordered))
        while end < len(ordered) and _place(ordered[end]) == _place(ordered[end - 1]):
            end += 1
        yield ordered[start:end]
        start = end


def _place(target: IngestedTarget) -> tuple[bool, str]:
    """Return what puts a target in its place: training first, then by the hash of its image."""
    return target.ref.split == "heldout", target.asset_id or target.ref_id
