"""What is exported: accepted triplets at one version, with licence and author of each image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from manifests.audit.ledger import AuditError, Ledger
from manifests.licence_policy import LicencePolicy, Part, Verdict
from manifests.records import JUDGED, ROLES, SCORES

TEXT: tuple[str, ...] = (
    "candidate_id",
    "split",
    "prompt",
    "layout",
    "subject",
    "style",
    "style_subject",
    "generation_digest",
    "policy_digest",
)
"""Columns of `triplets` that are exported as they are, beside scores and grades."""

STYLE_NAME = "style_name"
"""What the column `style` is called in an export, where `style` is the image of the style reference."""

LINEAGE: tuple[str, ...] = ("source", "locator", "treatment", "package", "licence", "author", "attribution_url")
"""What is said of each image, as `<role>_<name>`."""

_CONTAMINATED = "an image is one of the evaluation images, or nearly so"

_HIDDEN = ("shard", "offset", "licences")


class Selection:
    """The rows of an export, in the order in which they lie: by split, shard and offset."""

    refused: dict[str, int]
    """Triplets that the licence policy keeps out, by reason."""
    apart: int
    """Triplets that the licence policy puts into the other part."""

    def __init__(
        self,
        ledger: Ledger,
        where: str | None = None,
        policy: LicencePolicy | None = None,
        part: Part = "main",
        without: Sequence[str] = (),
    ) -> None:
        """Select accepted triplets; `where` is SQL over `triplets`. Raises AuditError where it cannot be read.

        Only what a licence policy lets pass is selected, and of that what belongs to this part. Candidates in `without`
        are contaminated, and kept out.
        """
        self.ledger = ledger
        self.where = where
        self.refused, self.apart = {}, 0
        table = self._read()
        clean = table.filter(pc.invert(pc.is_in(table["candidate_id"], value_set=pa.array(without, pa.string()))))
        self._table = clean if policy is None else self._passing(clean, policy, part)
        if clean.num_rows < table.num_rows:
            self.refused[_CONTAMINATED] = table.num_rows - clean.num_rows

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def splits(self) -> dict[str, int]:
        """Return how many rows each split has; `train` comes first."""
        counted = self._table["split"].value_counts().to_pylist()
        return {each["values"]: each["counts"] for each in sorted(counted, key=lambda each: each["values"] != "train")}

    def licences(self) -> list[str]:
        """Return the licences of all images, sorted; `unknown` stands for one that was not stated."""
        found = {value or "unknown" for role in ROLES for value in self._table[f"{role}_licence"].unique().to_pylist()}
        return sorted(found)

    def rows(self, split: str, size: int) -> Iterator[list[dict[str, Any]]]:
        """Yield the rows of a split, so many at a time."""
        own = self._table.filter(pc.equal(self._table["split"], split))
        for start in range(0, own.num_rows, size):
            yield own.slice(start, size).to_pylist()

    def without_images(self) -> pa.Table:
        """Return all rows, as they are exported beside images."""
        return self._table.drop_columns(list(_HIDDEN))

    def _passing(self, table: pa.Table, policy: LicencePolicy, part: Part) -> pa.Table:
        verdicts: dict[tuple[str, ...], Verdict] = {}
        refused: Counter[str] = Counter()
        kept = []
        for licences in table["licences"].to_pylist():
            verdict = verdicts.setdefault(tuple(licences), policy.verdict(licences))
            refused.update(verdict.reasons)
            self.apart += verdict.part not in (None, part)
            kept.append(verdict.part == part)
        self.refused = dict(refused)
        return table.filter(pa.array(kept, pa.bool_()))

    def _read(self) -> pa.Table:
        shown = [*TEXT, *(f"{role}_id" for role in ROLES), *SCORES, *JUDGED, "judge_layout", *_HIDDEN]
        listed = ", ".join(f't."{name}" AS "{STYLE_NAME if name == "style" else name}"' for name in shown)
        for role in ROLES:
            listed += "".join(f', {role}."{name}" AS {role}_{name}' for name in LINEAGE)
        joins = " ".join(f"LEFT JOIN images {role} ON {role}.ref_id = t.{role}_ref" for role in ROLES)
        columns = ", ".join(f'any_value("{name}") AS "{name}"' for name in LINEAGE)
        images = f"SELECT ref_id, {columns} FROM ({self.ledger.assets.select()}) GROUP BY ref_id"
        chosen = f"SELECT * FROM ({self.ledger.triplets.select()}) WHERE accepted AND shard IS NOT NULL"
        if self.where is not None:
            chosen += f" AND ({self.where})"
        sql = (
            f"WITH images AS ({images}), chosen AS ({chosen}) SELECT {listed} FROM chosen t {joins} "
            'ORDER BY t.split DESC, t.shard, t."offset"'
        )
        try:
            return self.ledger.arrow(sql)
        except Exception as error:  # DuckDB's own classes need it imported
            if self.where is None:
                raise
            raise AuditError(f"--where {self.where!r}: {str(error).splitlines()[0]}") from None


def licence_of(licences: Sequence[str]) -> str:
    """Return the licence of the whole for a data card: the only one, or `other` where there are several."""
    return licences[0].lower() if len(licences) == 1 else "other"
