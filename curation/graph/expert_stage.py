"""Stylize and de-stylize: experts make one image for each candidate."""

from __future__ import annotations

import json
from collections.abc import Sequence

from curation.graph.encoding import decode_stored, encode
from curation.graph.rows import Row, origin_of, reject
from curation.graph.stage import Stage
from manifests.identities import asset_id
from workers.experts.base import Expert, ExpertFailure, ExpertImage, ExpertRequest
from workers.experts.choice import choose_expert


class ExpertStage(Stage):
    """Asks for one image a row, and stores it with where it came from.

    Several experts of one role share the rows: each row goes to the one that its candidate id draws by `shares`, or,
    where its `<role>_choice` says so, to the one of that name in `names`. The rows of a batch that fall to the same
    expert reach it together.
    """

    def __init__(
        self, experts: Sequence[Expert], *, shares: Sequence[float], kind: str, names: Sequence[str | None] = ()
    ) -> None:
        self.name = self._role = experts[0].role
        self._experts = experts
        self._shares = shares
        self._kind = kind
        self._positions = {name: position for position, name in enumerate(names) if name is not None}
        self._image = "style" if self._role == "stylize" else "content"

    def process(self, rows: list[Row]) -> None:
        """Fill the image, its id and its origin; a request that fails rejects its row."""
        positions = [self._expert_of(row) for row in rows]
        for number, expert in enumerate(self._experts):
            own = [row for row, position in zip(rows, positions, strict=True) if position == number]
            if own:
                self._ask(expert, own)

    def _expert_of(self, row: Row) -> int | None:
        """Return the position of the expert that serves a row; a row that names none is rejected."""
        choice = row.get(f"{self._role}_choice")
        if choice is None:
            return choose_expert(row["candidate_id"], self._role, self._shares)
        if choice not in self._positions:
            reject(row, f"{self._role}_failed:no_such_expert", f"experts.{self._role} has none of the name {choice!r}")
        return self._positions.get(choice)

    def _ask(self, expert: Expert, rows: list[Row]) -> None:
        requests = [
            ExpertRequest(
                candidate_id=row["candidate_id"],
                target=decode_stored(row["target_image"]),
                target_ref=origin_of(row, "target"),
                layout=row["layout"],
                prompt=row["prompt"],
                seed=row[f"{self._role}_seed"],
                fault=row["fault"],
            )
            for row in rows
        ]
        for row, made in zip(rows, expert.generate(requests), strict=True):
            row[f"{self._role}_expert"] = expert.digest
            if isinstance(made, ExpertFailure):
                reject(row, f"{self._role}_failed:{made.reason}", made.detail)
            else:
                self._store(row, made)

    def _store(self, row: Row, made: ExpertImage) -> None:
        data = encode(made.pixels, self._kind)
        row[f"{self._image}_image"] = data
        row[f"{self._image}_id"] = asset_id(data)
        row[f"{self._image}_origin"] = made.ref.model_dump_json()
        transform = None if made.transform is None else json.dumps(made.transform, sort_keys=True)
        if self._role == "stylize":
            row["style_subject"] = made.ref.subject
            row["style_transform"] = transform
        else:
            row["transform"] = transform
