"""Caption: the prompt of every row, from what the source says or from a model that looks at the target."""

from __future__ import annotations

from collections.abc import Collection

from curation.graph.encoding import decode_stored
from curation.graph.rows import Row, origin_of, reject
from curation.graph.stage import Stage
from manifests.identities import seed_of
from workers.captions.base import Captioner, NoCaption
from workers.captions.style_words import names_of, without_style

_SEEDS = 2**63


class CaptionStage(Stage):
    """Fills `prompt`: empty for a share of the rows whose layout is preserved, a caption for all others.

    Without a `captioner` the caption is the `template`, filled in with what the source calls the subject. Rows of one
    target have one caption, which is asked for once a batch. Which rows have the empty prompt follows from their ids.
    """

    name = "caption"

    def __init__(
        self,
        captioner: Captioner | None,
        *,
        template: str,
        strip: bool,
        empty_share: float,
        worded: Collection[str] = (),
    ) -> None:
        self._captioner = captioner
        self._template = template
        self._strip = strip
        self._empty_share = empty_share
        self._worded = frozenset(worded)

    def process(self, rows: list[Row]) -> None:
        """Fill prompts and who wrote them; a row without a caption is rejected."""
        wordless: list[Row] = []
        for row in rows:
            if self._empty(row):
                row["prompt"] = ""
            elif row["layout"] == "preserved" or row.get("route") not in self._worded:
                wordless.append(row)
        captions = self._captions(wordless)
        for row in wordless:
            self._fill(row, captions[row["target_ref"]])

    def _empty(self, row: Row) -> bool:
        if row["layout"] != "preserved":
            return False
        return seed_of(row["candidate_id"], "empty prompt") < self._empty_share * _SEEDS

    def _captions(self, rows: list[Row]) -> dict[str, str | NoCaption]:
        """Return the caption of each target, by its reference."""
        targets = {row["target_ref"]: row for row in rows}
        if self._captioner is None:
            return {ref: self._template.format(subject=origin_of(row, "target").spoken) for ref, row in targets.items()}
        pictures = [decode_stored(row["target_image"]) for row in targets.values()]
        return dict(zip(targets, self._captioner.caption(pictures), strict=True))

    def _fill(self, row: Row, caption: str | NoCaption) -> None:
        row["captioner"] = self._captioner.digest if self._captioner is not None else None
        if isinstance(caption, NoCaption):
            row["prompt"] = ""
            reject(row, f"caption_failed:{caption.reason}", caption.detail)
            return
        row["prompt"] = without_style(caption, names_of(row["style"])) if self._strip else caption
        if not row["prompt"]:
            reject(row, "caption_failed:only_style", f"nothing is left of {caption!r} without words of style")
