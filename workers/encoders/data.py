"""The images that encoders are fitted on, and how batches are drawn from them."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from manifests.images import UNTREATED
from workers.encoders.preprocess import Pixels, to_square

_CHUNK = 64

_CLEAN = get_context("forkserver")
"""Processes that begin without the threads of this one: a fork while OpenCV's threads wait never comes to an end."""


@dataclass(frozen=True)
class Work:
    """One image that can be asked for: what it shows, whose hand, which treatment, and from where."""

    subject: str
    family: str
    treatment: str
    locator: str

    @property
    def style(self) -> str:
        """Return the name of the style: the family, and the treatment where there is one."""
        return self.family if self.treatment == UNTREATED else f"{self.family}+{self.treatment}"


class Painter(Protocol):
    """Makes the image of a work; it is sent to other processes, so it is picklable and deterministic."""

    def __call__(self, work: Work) -> Pixels:
        """Return the image of `work`, `[height, width, 3]` uint8, of any size."""


@dataclass(frozen=True)
class Pool:
    """Rendered works: `images` `[n, side, side, 3]` uint8 (may be memory-mapped), in the order of `works`."""

    works: tuple[Work, ...]
    images: NDArray[np.uint8]

    def where(self, wanted: Callable[[Work], bool]) -> NDArray[np.int64]:
        """Return the positions of the works that are wanted."""
        return np.array([position for position, work in enumerate(self.works) if wanted(work)], dtype=np.int64)


def make_pool(
    works: Sequence[Work],
    painter: Painter,
    *,
    side: int,
    folder: Path,
    version: str,
    processes: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Pool:
    """Render works once into a memory-mapped file under `folder`, or open the file that an earlier call made.

    The file is named after the works, the side and `version` (which the caller changes when the painter does), and
    appears in one step when it is complete. `progress` is called with the number of works done and of all works.
    """
    named = hashlib.sha256(json.dumps([version, side, [astuple(work) for work in works]]).encode()).hexdigest()
    goal = folder / f"pool-{named[:16]}.npy"
    if not goal.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".pool-") as scratch:
            draft = Path(scratch) / "images.npy"
            shape = (len(works), side, side, 3)
            images = np.lib.format.open_memmap(draft, mode="w+", dtype=np.uint8, shape=shape)
            done = 0
            for part in _rendered(works, painter, side, processes):
                images[done : done + len(part)] = part
                done += len(part)
                if progress is not None:
                    progress(done, len(works))
            images.flush()
            draft.replace(goal)
    return Pool(tuple(works), np.load(goal, mmap_mode="r"))


def _rendered(works: Sequence[Work], painter: Painter, side: int, processes: int) -> Iterator[Pixels]:
    chunks = [works[start : start + _CHUNK] for start in range(0, len(works), _CHUNK)]
    if processes < 2:
        for chunk in chunks:
            yield _render_chunk(chunk, painter, side)
        return
    with ProcessPoolExecutor(processes, mp_context=_CLEAN) as executor:
        yield from executor.map(_render_chunk, chunks, [painter] * len(chunks), [side] * len(chunks))


def _render_chunk(works: Sequence[Work], painter: Painter, side: int) -> Pixels:
    return np.stack([to_square(painter(work), side) for work in works])


@dataclass(frozen=True)
class Batch:
    """Positions in the pool, with the style slot and the labels of each image, all `[n]` integers."""

    positions: NDArray[np.int64]
    slots: NDArray[np.int64]
    styles: NDArray[np.int64]
    subjects: NDArray[np.int64]


class BatchSampler:
    """Draws batches in which both heads find pairs: `styles` styles of `per_style` images, over shared subjects.

    Each of `subjects` subjects is shown in as many styles as there is room for; where a style has too few of them,
    others that it has take their place. Styles are drawn evenly, however many images they have, but untreated ones are
    `untreated_weight` times as likely: they are what content references look like.
    """

    def __init__(
        self,
        works: Sequence[Work],
        *,
        styles: int,
        per_style: int,
        subjects: int,
        untreated_weight: float = 1.0,
    ) -> None:
        untreated = {work.style for work in works if work.treatment == UNTREATED}
        style_names = sorted({work.style for work in works})
        subject_names = sorted({work.subject for work in works})
        style_ids = {name: position for position, name in enumerate(style_names)}
        subject_ids = {name: position for position, name in enumerate(subject_names)}
        self._by_style: list[dict[int, list[int]]] = [{} for _ in style_names]
        for position, work in enumerate(works):
            self._by_style[style_ids[work.style]].setdefault(subject_ids[work.subject], []).append(position)
        self._subject_count = len(subject_names)
        weights = np.array([untreated_weight if name in untreated else 1.0 for name in style_names])
        self._chances = weights / weights.sum()
        self._styles = min(styles, len(style_names))
        self._per_style = per_style
        self._subjects = max(per_style, min(subjects, self._subject_count))

    def draw(self, rng: np.random.Generator) -> Batch:
        """Return one batch of `styles * per_style` images, fewer where a style has not so many subjects."""
        chosen = rng.choice(len(self._by_style), self._styles, replace=False, p=self._chances)
        subjects = rng.permutation(self._subject_count)[: self._subjects]
        positions: list[int] = []
        shown: list[int] = []
        used = {int(subject): 0 for subject in subjects}
        slots: list[int] = []
        for slot, style in enumerate(chosen):
            owned = self._by_style[style]
            for subject in self._take(owned, used, rng):
                options = owned[subject]
                positions.append(options[int(rng.integers(len(options)))])
                shown.append(subject)
                slots.append(slot)
                used[subject] = used.get(subject, 0) + 1
        return Batch(
            positions=np.array(positions, dtype=np.int64),
            slots=np.array(slots, dtype=np.int64),
            styles=chosen[slots],
            subjects=np.array(shown, dtype=np.int64),
        )

    def _take(self, owned: dict[int, list[int]], used: dict[int, int], rng: np.random.Generator) -> list[int]:
        """Return subjects that a style has: those of the batch that were used least, then any others."""
        shared = sorted((subject for subject in used if subject in owned), key=lambda subject: used[subject])
        missing = self._per_style - len(shared)
        if missing <= 0:
            return shared[: self._per_style]
        others = [subject for subject in owned if subject not in used]
        extra = rng.permutation(len(others))[:missing]
        return shared + [others[position] for position in extra]
