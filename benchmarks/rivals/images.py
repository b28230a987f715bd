"""The images that all of them work on: files of artwork in many styles, and renders as the photorealistic side."""

from __future__ import annotations

import hashlib
from pathlib import Path

from PIL import Image

from curation.gallery import Gallery, style_name
from curation.ingest.limits import Limits
from curation.sources.iconify import IconifySource
from workers.treatments.base import Treatment
from workers.treatments.registry import TREATMENTS

REALISTIC = "photographs"
_LAST = ("duotone", "pixel", "none", "pencil", "halftone")


def write_images(folder: Path, count: int, size: int) -> None:
    """Write so many PNG files as `<style>/<subject>.png`, once; renders lie in the folder `photographs`."""
    done = folder / ".done"
    wanted = f"{count} {size}"
    if done.is_file() and done.read_text() == wanted:
        return
    painters: dict[str, Treatment | None] = {name: None if name == "none" else TREATMENTS[name]() for name in _LAST}
    gallery = Gallery([IconifySource()], painters, size=size, limits=Limits())
    left = count
    drawn = sorted(gallery.refs, key=lambda ref: hashlib.sha256(ref.subject.encode()).hexdigest())
    for ref in drawn:
        real = not gallery.treatments_of(ref.family)
        for treatment in ["none"] if real else _LAST:
            if not left or (not real and not gallery.realistic(ref.subject)):
                break
            style = REALISTIC if real else style_name(ref.locator.partition("/")[0], treatment)
            path = folder / style.replace("+", "-") / f"{ref.subject}.png"
            if path.exists():
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(gallery.load(ref.treated(treatment)).pixels).save(path)
            left -= 1
    done.write_text(wanted)
