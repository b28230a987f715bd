"""Load: the target of each candidate, as it was ingested."""

from __future__ import annotations

from curation.gallery import Gallery, UnavailableError
from curation.graph.encoding import encode
from curation.graph.rows import Row, origin_of, reject
from curation.graph.stage import Stage
from manifests.identities import asset_id


class LoadStage(Stage):
    """Encodes each row's target and checks that it still is what ingest saw."""

    name = "load"

    def __init__(self, gallery: Gallery, *, kind: str) -> None:
        self._gallery = gallery
        self._kind = kind

    def process(self, rows: list[Row]) -> None:
        """Fill `target_image`."""
        encoded: dict[str, bytes] = {}
        for row in rows:
            ref = origin_of(row, "target")
            try:
                if row["target_ref"] not in encoded:
                    encoded[row["target_ref"]] = encode(self._gallery.load(ref).pixels, self._kind)
            except UnavailableError as error:
                reject(row, f"load_failed:{error.reason}", error.detail)
                continue
            data = encoded[row["target_ref"]]
            if asset_id(data) != row["target_id"]:
                reject(row, "load_failed:changed", f"{ref.locator} is no longer the image that was ingested")
            else:
                row["target_image"] = data
