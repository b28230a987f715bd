"""The small files beside shards and tables: `index*.json` and `moves/`, against the chain that they repeat."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from manifests.chain import PARTS, Link, live_shards
from manifests.files.presence import is_there
from manifests.moves import move_files
from manifests.store import Store
from manifests.verification.findings import Finding, Kind


def check_listings(store: Store, links: Sequence[Link]) -> Iterator[Finding]:
    """Hold `index.json` and those of the splits against the shards of the data set.

    A job that was ended after a commit leaves the listings of before; the next one writes them. So one that is as of
    an earlier commit is no fault, and neither is one that is not there.
    """
    for name, split in (("index.json", None), ("index-train.json", "train"), ("index-heldout.json", "heldout")):
        try:
            listed = json.loads(store.files.read(name))["shardlist"]
            found = [(one["url"], one["nsamples"], one["filesize"], one["sha256"]) for one in listed]
        except FileNotFoundError:
            continue
        except (ValueError, KeyError, TypeError):
            yield Finding(Kind.LISTING_WRONG, name, f"{name} cannot be read")
            continue
        if not any(sorted(found) == _listed(links[:end], split) for end in range(len(links), -1, -1)):
            yield Finding(Kind.LISTING_WRONG, name, f"{name} does not list the shards of the data set")


def _listed(links: Sequence[Link], split: str | None) -> list[tuple[str, int, int, str]]:
    shards = [shard for shard in live_shards(links) if split in (None, shard["split"])]
    return sorted((f"shards/{one['name']}", one["samples"], one["bytes"], one["sha256"]) for one in shards)


def check_moves(store: Store, links: Sequence[Link]) -> Iterator[Finding]:
    """Hold the files that say where shards lie now against the chain; the last of them may be missing."""
    for name, expected in move_files(links):
        try:
            found = json.loads(store.files.read(name))
        except FileNotFoundError:
            gone = [part["shard"] for shard in expected["shards"] for part in shard[PARTS]]
            if any(not is_there(store.files, f"shards/{shard}") for shard in gone):
                yield Finding(Kind.MOVES_WRONG, name, f"{name} is missing, and shards that it moved are gone")
            continue
        except ValueError:
            found = None
        if found != expected:
            yield Finding(Kind.MOVES_WRONG, name, f"{name} does not say what the chain says of joined shards")
