"""Score: every number that the scorers of a job measure."""

from __future__ import annotations

from collections.abc import Sequence

from curation.graph.encoding import decode_stored
from curation.graph.rows import Row, reject
from curation.graph.stage import Stage
from manifests.records import ROLES
from workers.scorers.base import Scorer
from workers.scorers.embedder import Candidate, Embedder
from workers.scorers.suite import measure


class ScoreStage(Stage):
    """Shows the distinct images of a batch to every model once, and the result to every scorer.

    Labels and truth stay outside; of a row, a scorer sees the three images and the prompt.
    """

    name = "score"

    def __init__(self, embedder: Embedder, scorers: Sequence[Scorer]) -> None:
        self._embedder = embedder
        self._scorers = scorers

    def process(self, rows: list[Row]) -> None:
        """Fill the score columns; a scorer that fails rejects the row and leaves its score null."""
        places: dict[bytes, int] = {}
        candidates = [
            Candidate(
                {role: places.setdefault(row[f"{role}_image"], len(places)) for role in ROLES}, row["prompt"] or ""
            )
            for row in rows
        ]
        images = [decode_stored(data) for data in places]
        for row, seen in zip(rows, self._embedder.look(images, candidates), strict=True):
            scores, failures = measure(self._scorers, seen.trio, seen.broken)
            row.update(scores)
            for column, cause in failures.items():
                reject(row, f"scorer_failed:{column}", cause)
