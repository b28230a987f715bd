"""Decide: the policy, applied to every row that has scores."""

from __future__ import annotations

from curation.graph.rows import Row
from curation.graph.stage import Stage
from curation.policy.decide import decide
from curation.policy.rules import Policy


class DecideStage(Stage):
    """Gives each row all of its reasons, and marks it accepted where there are none."""

    name = "decide"

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def process(self, rows: list[Row]) -> None:
        """Fill `reasons` and `accepted`."""
        for row in rows:
            row["reasons"] = decide(row, self._policy)
            row["accepted"] = not row["reasons"]
