"""Stylize and de-stylize: an expert makes one image for each candidate."""

from __future__ import annotations

import json

from curation.graph.encoding import decode_stored, encode
from curation.graph.rows import Row, origin_of, reject
from curation.graph.stage import Stage
from manifests.identities import asset_id
from workers.experts.base import Expert, ExpertFailure, ExpertRequest


class ExpertStage(Stage):
    """Asks an expert for one image a row, and stores it with where it came from."""

    def __init__(self, expert: Expert, *, kind: str) -> None:
        self.name = expert.role
        self._expert = expert
        self._kind = kind
        self._image = "style" if expert.role == "stylize" else "content"

    def process(self, rows: list[Row]) -> None:
        """Fill the image, its id and its origin; a request that fails rejects its row."""
        role = self._expert.role
        requests = [
            ExpertRequest(
                candidate_id=row["candidate_id"],
                target=decode_stored(row["target_image"]),
                target_ref=origin_of(row, "target"),
                layout=row["layout"],
                prompt=row["prompt"],
                seed=row[f"{role}_seed"],
                fault=row["fault"],
            )
            for row in rows
        ]
        for row, made in zip(rows, self._expert.generate(requests), strict=True):
            row[f"{role}_expert"] = self._expert.digest
            if isinstance(made, ExpertFailure):
                reject(row, f"{role}_failed:{made.reason}", made.detail)
                continue
            data = encode(made.pixels, self._kind)
            row[f"{self._image}_image"] = data
            row[f"{self._image}_id"] = asset_id(data)
            row[f"{self._image}_origin"] = made.ref.model_dump_json()
            if role == "stylize":
                row["style_subject"] = made.ref.subject
            elif made.transform is not None:
                row["transform"] = json.dumps(made.transform, sort_keys=True)
