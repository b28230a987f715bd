"""The evidence of a contamination as a page: each pair side by side, in one file that needs no other."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from curation.contamination import Contaminated, Pair, picture
from curation.gallery import fit
from curation.ingest.decode import decode
from curation.ingest.limits import Limits
from manifests.audit.ledger import Ledger
from workers.scorers.base import Pixels

_SHOWN = 200
_SIDE = 192


def contamination_page(ledger: Ledger, found: Contaminated, folders: Sequence[Path]) -> str:
    """Return the page, with the nearest 200 pairs."""
    by_name = {folder.resolve().name: folder for folder in folders}
    shown = [(pair, _uri(_ours(ledger, pair)), _uri(_theirs(by_name, pair))) for pair in found.pairs[:_SHOWN]]
    environment = Environment(
        loader=PackageLoader("curation.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("contamination.html.j2").render(found=found, shown=shown)


def _ours(ledger: Ledger, pair: Pair) -> Pixels:
    rows = ledger.rows(
        f"SELECT shard FROM ({ledger.triplets.select()}) WHERE candidate_id = $id", {"id": pair.candidate_id}
    )
    return picture(ledger, rows[0]["shard"], pair.candidate_id, pair.role)


def _theirs(folders: dict[str, Path], pair: Pair) -> Pixels:
    folder, _, inside = pair.evaluation.partition("/")
    return decode((folders[folder] / inside).read_bytes(), Limits()).pixels


def _uri(pixels: Pixels) -> str:
    out = io.BytesIO()
    Image.fromarray(fit(pixels, _SIDE)).save(out, "WEBP", quality=85)
    return f"data:image/webp;base64,{base64.b64encode(out.getvalue()).decode()}"
