"""How the policy did on candidates of known truth: by kind of fault, and overall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curation.policy.calibrate import Quality
from workers.experts.faults import GOOD, MEANING, Fault


@dataclass(frozen=True)
class FaultRow:
    """One kind of fault: how many candidates had it, and how many of them were caught."""

    kind: str
    meaning: str
    total: int
    caught: int

    @property
    def share(self) -> float:
        """Return the share that was caught, 0 to 1."""
        return self.caught / self.total


@dataclass(frozen=True)
class FaultTable:
    """All kinds of fault in some candidates, hardest first, and the quality of the filter as a whole."""

    rows: list[FaultRow]
    quality: Quality

    @property
    def hardest(self) -> FaultRow | None:
        """Return the kind of which the smallest share was caught."""
        return self.rows[0] if self.rows else None


def fault_table(rows: Sequence[Mapping[str, Any]]) -> FaultTable | None:
    """Return the table over candidates that carry a truth and reached a decision by score, or None without any.

    Candidates that failed or repeat another never reached the filter, and do not count.
    """
    known = [row for row in rows if row["truth"] is not None and row["style_similarity"] is not None]
    if not known:
        return None
    good = [row for row in known if row["truth"] == GOOD]
    bad = [row for row in known if row["truth"] != GOOD]
    kinds = []
    for kind in Fault:
        of_kind = [row for row in bad if row["truth"] == kind]
        if of_kind:
            caught = sum(not row["accepted"] for row in of_kind)
            kinds.append(FaultRow(str(kind), MEANING[kind], len(of_kind), caught))
    quality = Quality(
        kept_good=sum(row["accepted"] for row in good),
        kept_bad=sum(row["accepted"] for row in bad),
        good=len(good),
        bad=len(bad),
    )
    return FaultTable(sorted(kinds, key=lambda row: row.share), quality)
