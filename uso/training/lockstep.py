"""Ranks that hold shards of one network must run it equally often: its weights are gathered by all of them at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from uso.training.distributed import World
from uso.training.objective import Example


def in_step(
    groups: Sequence[list[Example]], spare: Sequence[Example], world: World, *, sharded: bool
) -> Iterator[tuple[list[Example], bool]]:
    """Yield a rank's groups, each with True, and then, for as long as another rank has more, a group with False.

    What is computed on those is to count for nothing. They are the last group again, or the first of `spare` where the
    rank has no group. Weights that are whole on every rank need no such company: nothing is added then.
    """
    # Asked before the first group: running one is itself something that all ranks take part in.
    idle = world.most(len(groups)) - len(groups) if sharded else 0
    for group in groups:
        yield group, True
    for _ in range(idle):
        yield (groups[-1] if groups else [spare[0]]), False
