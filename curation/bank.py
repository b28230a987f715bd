"""Reference banks for CSLS: style vectors of many images, drawn by a job or kept in a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from curation.gallery import Gallery, fit
from curation.ingest.decode import decode
from curation.ingest.refusal import Refused
from curation.scoring_error import ScoringError
from curation.sources.image_names import IMAGE_EXTENSIONS
from curation.spec.model import JobSpec
from workers.scorers.base import Pixels
from workers.towers.base import Tower, Vectors

_KEY = "style"
_PART = 64
_SHOWN = 12

Progress = Callable[[int], None]


class BankError(ScoringError):
    """A reference bank cannot be built or used; the message says why, and the mend."""


@dataclass(frozen=True)
class BankFacts:
    """What a bank's file says of itself: the tower that made it, and what of. It holds vectors, and no images."""

    tower: str
    kind: str
    images: int
    width: int
    made_of: str


def draw_bank(spec: JobSpec, gallery: Gallery, tower: Tower, *, images: int) -> Vectors:
    """Return the style vectors `[images, width]` of training images drawn evenly from all styles.

    Images that cannot be read are left out; held-out subjects are never in it. Where there are fewer than
    `scores.neighbours`, the first repeats.
    """
    pictures = list(spec_pictures(spec, gallery, images)) or [np.full((32, 32, 3), 255, np.uint8)]
    bank = tower.embed(pictures, _head(tower))
    missing = max(0, spec.scores.neighbours - len(bank))
    return np.concatenate([bank, np.repeat(bank[:1], missing, axis=0)]) if missing else bank


def spec_pictures(spec: JobSpec, gallery: Gallery, count: int) -> Iterator[Pixels]:
    """Yield up to `count` training images of a spec's sources, drawn evenly from all styles by the spec's seed."""
    rng = np.random.default_rng(spec.seed)
    styles = [style for style in gallery.styles() if len(gallery.styled(style, "train"))]
    for position in range(count if styles else 0):
        choices = gallery.styled(styles[position % len(styles)], "train")
        ref = choices[int(rng.integers(len(choices)))]
        try:
            yield gallery.load(ref).pixels
        except LookupError:
            continue


def folder_pictures(folder: Path, spec: JobSpec, count: int) -> Iterator[Pixels]:
    """Yield up to `count` images below a folder that ingest lets in, drawn by the spec's seed, in the job's size."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_EXTENSIONS)
    order = np.random.default_rng(spec.seed).permutation(len(paths))[:count]
    for place in order:
        try:
            yield fit(decode(paths[place].read_bytes(), spec.limits).pixels, spec.image.size)
        except (Refused, OSError):
            continue


def embed_bank(pictures: Iterator[Pixels], tower: Tower, progress: Progress) -> Vectors:
    """Return the style vectors of pictures, telling now and then how many are done. Raises BankError without any."""
    parts: list[Vectors] = []
    waiting: list[Pixels] = []
    done = 0

    def flush() -> None:
        nonlocal done
        if waiting:
            parts.append(tower.embed(waiting, _head(tower)))
            done += len(waiting)
            progress(done)
            waiting.clear()

    for picture in pictures:
        waiting.append(picture)
        if len(waiting) == _PART:
            flush()
    flush()
    if not parts:
        raise BankError("no image could be read, so there is no bank; check the sources, or --folder")
    return np.concatenate(parts)


def save_bank(path: Path, vectors: Vectors, facts: BankFacts) -> None:
    """Write a bank as safetensors, replacing an earlier one in a single move."""
    from safetensors.numpy import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".tmp")
    save_file({_KEY: np.ascontiguousarray(vectors)}, draft, metadata={"bank": json.dumps(asdict(facts))})
    draft.chmod(0o644)
    draft.replace(path)


def bank_facts(path: Path) -> BankFacts:
    """Return what a bank's file says of itself. Raises BankError where it is none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return BankFacts(**json.loads((file.metadata() or {})["bank"]))
    except (SafetensorError, OSError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise BankError(f"{path}: is no reference bank; `triptych bank build` makes one") from error


def load_bank(path: Path, tower: str, *, kind: str) -> Vectors:
    """Return a bank's vectors `[images, width]`. Raises BankError where another tower than `tower` made them."""
    from safetensors.numpy import load_file

    facts = bank_facts(path)
    if facts.tower != tower:
        raise BankError(
            f"scores.bank: {path} was made by {facts.kind} {facts.tower[:_SHOWN]}, scores.style is {kind} "
            f"{tower[:_SHOWN]}; build a bank with this spec: `triptych bank build SPEC --out {path.name}`"
        )
    vectors: Vectors = load_file(path)[_KEY]
    return vectors


def _head(tower: Tower) -> str | None:
    return _KEY if _KEY in tower.heads else None
