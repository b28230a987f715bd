"""A contact sheet: one row a request, its references, its prompt, and the images drawn for it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont, ImageOps

from uso.images import flatten

MARGIN = 12
PAPER = (250, 250, 248)
INK = (40, 40, 40)
FAINT = (205, 205, 200)
FONT_SIZE = 14


@dataclass(frozen=True)
class SheetRow:
    """A request's row: its caption, its references with a label each, and its images with a label each."""

    caption: str
    references: Sequence[tuple[str, Image.Image]]
    images: Sequence[tuple[str, Image.Image]]


def contact_sheet(rows: Sequence[SheetRow], cell: int = 224) -> Image.Image:
    """Return the rows as one RGB image; pictures fit into squares of `cell` pixels, references first.

    Every row leaves as many places for references as the fullest row has, so that images stand under images. Raises
    ValueError without rows.
    """
    if not rows:
        raise ValueError("a contact sheet needs at least one row")
    references = max(len(row.references) for row in rows)
    columns = references + max(len(row.images) for row in rows)
    font = ImageFont.load_default(FONT_SIZE)
    line = FONT_SIZE + 4
    width = MARGIN + columns * (cell + MARGIN)
    captions = [textwrap.wrap(row.caption, max(12, int(width / (FONT_SIZE * 0.55))))[:2] or [""] for row in rows]
    heights = [MARGIN + len(lines) * line + 4 + cell + line for lines in captions]
    sheet = Image.new("RGB", (width, sum(heights) + MARGIN), PAPER)
    pen = ImageDraw.Draw(sheet)
    top = 0
    for row, lines, height in zip(rows, captions, heights, strict=True):
        pen.multiline_text((MARGIN, top + MARGIN), "\n".join(lines), fill=INK, font=font, spacing=4)
        picture_top = top + MARGIN + len(lines) * line + 4
        places = [*enumerate(row.references), *enumerate(row.images, start=references)]
        for column, (label, image) in places:
            left = MARGIN + column * (cell + MARGIN)
            fitted = ImageOps.contain(flatten(image), (cell, cell), Image.Resampling.LANCZOS)
            corner = (left + (cell - fitted.width) // 2, picture_top + (cell - fitted.height) // 2)
            sheet.paste(fitted, corner)
            pen.rectangle((left - 1, picture_top - 1, left + cell, picture_top + cell), outline=FAINT)
            pen.text((left, picture_top + cell + 2), label, fill=INK, font=font)
        top += height
    return sheet
