"""Score: every number that the embedded scorers measure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from curation.graph.encoding import decode_stored
from curation.graph.rows import Row, reject
from curation.graph.stage import Stage
from manifests.records import ROLES
from workers.scorers.base import Trio, View
from workers.scorers.suite import measure, suite

if TYPE_CHECKING:
    from workers.encoders.load import NanoEncoder


class ScoreStage(Stage):
    """Embeds the three images of each row once, and gives them to every scorer; labels and truth stay outside."""

    name = "score"

    def __init__(self, encoder: NanoEncoder, bank: NDArray[np.float32], *, neighbours: int) -> None:
        self._encoder = encoder
        self._scorers = suite(bank, neighbours=neighbours)

    def process(self, rows: list[Row]) -> None:
        """Fill the score columns; a scorer that fails rejects the row and leaves its score null."""
        pixels = [decode_stored(row[f"{role}_image"]) for row in rows for role in ROLES]
        style, subject = self._encoder.embed(pixels)
        views = [View(*parts) for parts in zip(pixels, style, subject, strict=True)]
        for position, row in enumerate(rows):
            by_role = dict(zip(ROLES, views[3 * position : 3 * position + 3], strict=True))
            trio = Trio(target=by_role["target"], style=by_role["style"], content=by_role["content"])
            scores, failures = measure(self._scorers, trio)
            row.update(scores)
            for column, cause in failures.items():
                reject(row, f"scorer_failed:{column}", cause)
