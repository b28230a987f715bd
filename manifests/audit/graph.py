"""A directed graph of what became of what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["package", "file", "image", "candidate", "shard", "commit", "run", "checkpoint"]

KINDS: tuple[Kind, ...] = ("package", "file", "image", "candidate", "shard", "commit", "run", "checkpoint")
"""In the order in which one becomes the next."""


@dataclass(frozen=True, order=True)
class Node:
    """One thing: its kind, and its key among those of its kind."""

    kind: Kind
    key: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.key}"


@dataclass(frozen=True, order=True)
class Edge:
    """One thing became, or is part of, another. `certain` is false where a record does not suffice to tell."""

    source: Node
    target: Node
    label: str = ""
    certain: bool = True


@dataclass(frozen=True)
class Graph:
    """What a walk from one thing reached, that thing first."""

    start: Node
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    labels: Mapping[str, str]
    """What a person calls a node, by its text."""

    complete: bool
    """False where the walk was cut off at its limit."""

    notes: tuple[str, ...] = ()
    """What could not be told, and what is missing to tell it."""

    def of_kind(self, kind: Kind) -> list[Node]:
        """Return the nodes of a kind, the start left out."""
        return [node for node in self.nodes if node.kind == kind and node != self.start]

    def label(self, node: Node) -> str:
        """Return what a person calls a node."""
        return self.labels.get(str(node), node.key)


Expand = Callable[[Sequence[Node]], Iterable[Edge]]


def walk(start: Node, expand: Expand, *, forwards: bool, limit: int) -> tuple[list[Node], list[Edge], bool]:
    """Return the nodes and edges that are reached from a node, level by level, and whether that is all of them.

    `expand` gives all edges out of (`forwards`) or into some nodes. Edges between nodes that are not kept for the limit
    are left out.
    """
    seen = {start: None}
    edges: dict[Edge, None] = {}
    level, complete = [start], True
    while level:
        following: dict[Node, None] = {}
        for edge in expand(level):
            node = edge.target if forwards else edge.source
            if node not in seen and node not in following:
                if len(seen) + len(following) >= limit:
                    complete = False
                    continue
                following[node] = None
            edges[edge] = None
        seen |= following
        level = list(following)
    return list(seen), list(edges), complete
