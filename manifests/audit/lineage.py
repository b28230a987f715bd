"""What something was made of, and what was made of it."""

from __future__ import annotations

from collections.abc import Sequence

from manifests.audit.graph import KINDS, Graph, Kind, Node, walk
from manifests.audit.kinship import Kinship
from manifests.audit.ledger import AuditError, Ledger
from manifests.audit.lookup import candidate, images
from manifests.audit.training_runs import Times, TrainingRun

LIMIT = 5_000
"""Nodes after which a walk stops, and says so."""


def lineage(
    ledger: Ledger, node: Node, *, runs: Sequence[TrainingRun] = (), times: Times | None = None, limit: int = LIMIT
) -> Graph:
    """Return everything that a node was made of, back to the packages and files of the sources."""
    return _walk(ledger, node, runs, times, limit, forwards=False)


def descendants(
    ledger: Ledger, node: Node, *, runs: Sequence[TrainingRun] = (), times: Times | None = None, limit: int = LIMIT
) -> Graph:
    """Return everything that was made of a node, on to commits, training runs and checkpoints."""
    return _walk(ledger, node, runs, times, limit, forwards=True)


def find_nodes(ledger: Ledger, name: str) -> list[Node]:
    """Return what a person names: an id or its first digits, or `kind:key`, e.g. `package:@iconify-json/noto@1.2.6`.

    An image that came by several ways is as many nodes. Raises AuditError where there is nothing of the name.
    """
    kind, colon, key = name.partition(":")
    if colon and kind in KINDS and kind not in ("image", "candidate"):
        return [_checked(ledger, Node(_kind(kind), key))]
    if name.endswith(".tar"):
        return [_checked(ledger, Node("shard", name))]
    prefix = key if colon and kind in ("image", "candidate") else name
    row = candidate(ledger, prefix) if kind != "image" else None
    rows = images(ledger, prefix) if kind != "candidate" else []
    if row is not None and rows:
        raise AuditError(f"{prefix}: a candidate and an image begin so; give more digits")
    if row is not None:
        return [Node("candidate", row["candidate_id"])]
    if rows:
        return [Node("image", image["ref_id"]) for image in rows]
    raise AuditError(
        f"{name}: nothing of this name is in version {ledger.version} of {ledger.root}; give the id of a candidate or "
        "image, or package:NAME, file:SOURCE:LOCATOR, shard:NAME, commit:VERSION, run:FOLDER, checkpoint:FOLDER"
    )


def _checked(ledger: Ledger, node: Node) -> Node:
    if node.kind == "shard" and node.key not in ledger.shards:
        raise AuditError(f"{node.key}: no commit of {ledger.root} has this shard")
    if node.kind == "commit" and not (node.key.isdigit() and int(node.key) <= ledger.version):
        raise AuditError(f"{node.key}: versions of {ledger.root} are 0 to {ledger.version}")
    return node


def _kind(text: str) -> Kind:
    return next(kind for kind in KINDS if kind == text)


def _walk(
    ledger: Ledger, node: Node, runs: Sequence[TrainingRun], times: Times | None, limit: int, *, forwards: bool
) -> Graph:
    kinship = Kinship(ledger, runs, times)
    kinship.name_start(node)
    expand = kinship.children if forwards else kinship.parents
    nodes, edges, complete = walk(node, expand, forwards=forwards, limit=limit)
    notes = [*kinship.notes]
    if not complete:
        notes.append(f"the walk was cut off after {limit:,} things; give a larger limit to see all")
    return Graph(node, tuple(nodes), tuple(edges), kinship.labels, complete, tuple(notes))
