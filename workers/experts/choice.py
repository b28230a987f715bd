"""Which of several experts makes a candidate's image."""

from __future__ import annotations

from collections.abc import Sequence

from manifests.identities import seed_of
from workers.experts.base import ExpertRole

_SEEDS = 2**63


def choose_expert(candidate: str, role: ExpertRole, shares: Sequence[float]) -> int:
    """Return the position of the expert that serves a candidate, drawn by shares that add up to 1.

    Follows from the candidate's id and the role alone, so whoever asks, before or after an interruption, gets the
    same answer. An expert whose share is 0 is never drawn.
    """
    point = seed_of(candidate, f"expert/{role}") / _SEEDS
    reached = 0.0
    for position, share in enumerate(shares):
        reached += share
        if point < reached:
            return position
    return max(position for position, share in enumerate(shares) if share > 0)
