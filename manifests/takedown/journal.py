"""The journal of a takedown: written before anything is changed, and deleted when nothing is left to be done."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from manifests.records import Erasure
from manifests.store import Store
from manifests.takedown.reach import Reach

FOLDER = "takedowns"

JOURNAL = f"{FOLDER}/journal.json"
"""Where it lies in a store. There is one at most."""


@dataclass(frozen=True)
class Journal:
    """All that is needed to go on: what goes, its tombstones, and what the receipt will say."""

    takedown: str
    refs: list[str]
    asset_ids: list[str]
    candidates: list[str]
    tombstones: list[dict[str, Any]]
    told: dict[str, Any]

    @property
    def reach(self) -> Reach:
        """Return what goes."""
        return Reach(set(self.refs), set(self.asset_ids), set(self.candidates))

    @property
    def erasures(self) -> list[Erasure]:
        """Return the tombstones."""
        return [Erasure.model_validate(row) for row in self.tombstones]


def begin(store: Store, journal: Journal) -> Journal:
    """Write a journal unless there is one, and return the one that counts: another takedown may have come first."""
    if store.files.put_if_absent(JOURNAL, json.dumps(asdict(journal), sort_keys=True).encode()):
        return journal
    return unfinished(store) or begin(store, journal)


def unfinished(store: Store) -> Journal | None:
    """Return the journal of a takedown that was interrupted, None where there is none."""
    try:
        return Journal(**json.loads(store.files.read(JOURNAL)))
    except FileNotFoundError:
        return None
