"""What the actors of a bench run: one draws the pictures of a system, one measures pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from curation.bench.suite import Suite, SuiteSpec
from uso.bench.artist import load_artist
from uso.bench.bench_set import BenchItem, BenchSet
from uso.bench.pictures import Album, Sheet
from uso.bench.settings import DrawSettings
from uso.bench.system import System


class DrawWorker:
    """Draws batches of sheets with a system loaded once, and writes the pictures that are not there."""

    def __init__(self, system: System, settings: DrawSettings, out: Path, device: str) -> None:
        self._artist = load_artist(system, settings, device)
        self._album = Album(out, system)
        self._settings = settings

    def __call__(self, batch: Sequence[Sheet]) -> int:
        """Return how many pictures of a batch were written."""
        pictures = self._artist.draw([sheet.order for sheet in batch])
        return sum(
            self._album.save(sheet, picture, self._settings) for sheet, picture in zip(batch, pictures, strict=True)
        )


@dataclass(frozen=True)
class Measure:
    """One picture to be measured: what it was drawn for, where it lies, and where its scores go."""

    item: BenchItem
    picture: Path
    scores: Path


class ScoreWorker:
    """Measures pictures with encoders loaded once, and writes the scores of each into a file of its own."""

    def __init__(self, spec: SuiteSpec, bench: BenchSet) -> None:
        self._suite = Suite(spec)
        self._bench = bench

    def __call__(self, batch: Sequence[Measure]) -> int:
        """Return how many pictures were measured."""
        found = self._suite.score(self._bench, [each.item for each in batch], [each.picture for each in batch])
        for each, scores in zip(batch, found, strict=True):
            each.scores.parent.mkdir(parents=True, exist_ok=True)
            draft = each.scores.with_name(f".{uuid4().hex}")
            draft.write_text(json.dumps(scores, sort_keys=True))
            draft.replace(each.scores)
        return len(batch)
