"""Rendering of vector drawings."""

from __future__ import annotations

from curation.corpus.catalogue import Drawing

NEAR_BLACK = "#1f1f24"
"""What the ink of the monochrome sets becomes; they state none of their own."""


def svg_of(drawing: Drawing) -> str:
    """Return a whole SVG document of a drawing, its view box padded about the middle to a square."""
    side = max(drawing.width, drawing.height)
    left = drawing.left - (side - drawing.width) / 2
    top = drawing.top - (side - drawing.height) / 2
    body = drawing.body.replace("currentColor", NEAR_BLACK)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{left:g} {top:g} {side:g} {side:g}">{body}</svg>'
    )


def render(drawing: Drawing, size: int) -> bytes:
    """Return a drawing as an RGBA PNG of `size` x `size` pixels, on a transparent ground.

    Raises ValueError where resvg cannot read the markup. Text is not drawn: fonts differ between machines.
    """
    import resvg_py

    png: bytes = resvg_py.svg_to_bytes(svg_string=svg_of(drawing), width=size, height=size, skip_system_fonts=True)
    return bytes(png)
