"""A policy: a list of rules over score columns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from manifests.identities import digest_of
from manifests.records import JUDGED, SCORES, Layout

_JUDGE = "judge."
LAYOUT_MATCH = "judge.layout_match"
"""1 where the judge sees the layout that the candidate is meant to have, else 0."""

RULED: tuple[str, ...] = (*SCORES, *(column.replace("judge_", _JUDGE, 1) for column in JUDGED), LAYOUT_MATCH)
"""What a rule may read: scores, and the parts of a verdict."""


def ruled_value(column: str, row: Mapping[str, Any]) -> float | None:
    """Return what one of RULED is for a row of `triplets`; None where it was not measured."""
    if column == LAYOUT_MATCH:
        seen = row.get("judge_layout")
        return None if seen is None else float(seen == row["layout"])
    value: float | None = row.get(column.replace(".", "_"))
    return value


class When(BaseModel):
    """To which candidates a rule applies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: Layout


class Rule(BaseModel):
    """One bound on one score; a candidate outside of it is rejected with the rule as its reason."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str = Field(description="A score column of the manifest, or a part of the verdict: `judge.style_match`.")
    min: float | None = None
    max: float | None = None
    when: When | None = None

    @field_validator("column")
    @classmethod
    def _known(cls, column: str) -> str:
        if column not in RULED:
            raise ValueError(f"{column!r} is no score column; a rule may read: {', '.join(RULED)}")
        return column

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError(f"the rule on {self.column} has no bound: give min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"the rule on {self.column} can never hold: min {self.min} is above max {self.max}")
        return self

    @property
    def judged(self) -> bool:
        """Tell whether the rule reads a verdict rather than a score."""
        return self.column.startswith(_JUDGE)

    def value_in(self, row: Mapping[str, Any]) -> float | None:
        """Return what the rule reads of a row of `triplets`; None where it was not measured."""
        return ruled_value(self.column, row)

    def applies(self, layout: str) -> bool:
        """Tell whether the rule applies to candidates of this layout."""
        return self.when is None or self.when.layout == layout

    def to_sql(self) -> str:
        """Return the rule as a condition over the columns of `triplets`; a missing score breaks no rule."""
        if self.column == LAYOUT_MATCH:
            value = "cast(judge_layout = layout as integer)"
        else:
            value = self.column.replace(".", "_")
        bounds = [
            f"{value} {sign} {bound!r}" for sign, bound in ((">=", self.min), ("<=", self.max)) if bound is not None
        ]
        kept = f"coalesce({' and '.join(bounds)}, true)"
        return kept if self.when is None else f"(layout <> '{self.when.layout}' or {kept})"

    def broken_by(self, value: float) -> str | None:
        """Return the reason for which a value is refused, e.g. `style_leak>0.55`, or None."""
        if self.min is not None and value < self.min:
            return f"{self.column}<{self.min:g}"
        if self.max is not None and value > self.max:
            return f"{self.column}>{self.max:g}"
        return None


class Policy(BaseModel):
    """All rules that a candidate must satisfy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: tuple[Rule, ...] = ()

    @property
    def digest(self) -> str:
        """Return the digest of the rules."""
        return digest_of([rule.model_dump() for rule in self.rules])

    def to_sql(self) -> str:
        """Return the policy as a filter that `data.where` of a training recipe takes: what satisfies every rule."""
        return " and ".join(rule.to_sql() for rule in self.rules) or "true"

    def to_yaml(self) -> str:
        """Return the policy as YAML that a spec takes under `policy`."""
        return yaml.safe_dump([rule.model_dump(exclude_none=True) for rule in self.rules], sort_keys=False)


def read_policy(path: Path) -> Policy:
    """Read a policy file: a YAML list of rules. Raises ValueError (or pydantic's) naming what is wrong."""
    if not path.is_file():
        raise ValueError(f"policy file {path} does not exist; `triptych curate calibrate` writes one")
    rules: Any = yaml.safe_load(path.read_text()) or []
    if not isinstance(rules, list):
        raise ValueError(f"policy file {path} holds {type(rules).__name__}, a list of rules is needed")
    return Policy.model_validate({"rules": rules})
