"""A run of the bench: draw what is missing, measure what is not measured, tell what came out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from filelock import FileLock, Timeout

from curation.bench.pool import Pool
from curation.bench.suite import SuiteSpec, describe_suite
from curation.bench.workers import DrawWorker, Measure, ScoreWorker
from curation.cluster import connected
from manifests.identities import digest_of
from uso.bench.artist import BaselineArtist
from uso.bench.bench_set import BenchSet
from uso.bench.pictures import Album, Sheet, lay_out, plan_batches
from uso.bench.results import Results, Row, in_order
from uso.bench.settings import DrawSettings
from uso.bench.summary import Summary
from uso.bench.system import System
from uso.bench.write import write_results

SCORES = "scores"
_DIGEST_SHOWN = 16
_MEASURED_AT_ONCE = 64
_STORE_MB = 160
"""Object store of a local Ray: only sheets and counts go through it, pictures go through files."""

Show = Callable[[str, int, int], None]
"""Called with what is done, how much of it, and of how much."""


@dataclass(frozen=True)
class RunSpec:
    """What is compared on which set, how it is drawn and measured, and what of the cluster it may use."""

    bench: BenchSet
    systems: tuple[System, ...]
    settings: DrawSettings
    suite: SuiteSpec
    out: Path
    workers: int = 1
    cpus: float = 1.0
    gpus: float = 0.0
    device: str = "cpu"
    address: str | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        names = [system.name for system in self.systems]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two systems are called {name!r}; give each a name of its own")
        if not names:
            raise ValueError("no system to compare; name at least one with --system")


def run_bench(spec: RunSpec, show: Show | None = None) -> tuple[Results, Summary]:
    """Draw, measure and write the results, and return them with their figures; what an earlier run left is kept.

    Everything is decided by the set, the systems' weights and the settings, and each picture and its scores appear
    whole or not at all: a run that was killed and started again ends with the same table. Raises ValueError or OSError
    naming what is at fault: another run that writes into the same folder, for one.
    """
    spec.suite.check()
    sheets = lay_out(spec.bench, spec.settings, spec.limit)
    for system in spec.systems:
        system.digest  # noqa: B018 - files that are not there are found before any work starts
    with _alone(spec.out), ExitStack() as stack:
        connect = cache(lambda: stack.enter_context(connected(spec.address, cpus=None, object_store_mb=_STORE_MB)))
        for system in spec.systems:
            _draw(spec, system, sheets, connect, show)
        _measure(spec, sheets, connect, show)
        results = _gather(spec, sheets)
        return results, write_results(results, spec.out)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    out.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise ValueError(
            f"{out}: another run of the bench writes into it; wait for it, or name another --out"
        ) from error


def _draw(
    spec: RunSpec, system: System, sheets: Sequence[Sheet], connect: Callable[[], None], show: Show | None
) -> None:
    album = Album(spec.out, system)
    album.clear_partial()
    asked = album.answers(sheets)
    there = sum(album.has(sheet) for sheet in asked)
    what = f"drawing {system.name}"

    def told(more: int) -> None:
        nonlocal there
        there += more
        if show is not None:
            show(what, there, len(asked))

    told(0)
    if system.baseline is not None:
        artist = BaselineArtist(system)
        for sheet in asked:
            if not album.has(sheet):
                told(album.save(sheet, artist.draw([sheet.order])[0], spec.settings))
        return
    batches = list(album.missing(plan_batches(asked, spec.settings.batch)))
    if batches:
        connect()
        make = partial(DrawWorker, system, spec.settings, spec.out, spec.device)
        workers = min(spec.workers, len(batches))
        with Pool[list[Sheet], int](make, workers=workers, cpus=spec.cpus, gpus=spec.gpus) as pool:
            for written in pool.map(batches):
                told(written)


def _measure(spec: RunSpec, sheets: Sequence[Sheet], connect: Callable[[], None], show: Show | None) -> None:
    """Measure the pictures that have no scores yet, all systems in one go."""
    every = [
        Measure(sheet.sample.item, Album(spec.out, system).path(sheet), _scores_file(spec, system, sheet))
        for system in spec.systems
        for sheet in Album(spec.out, system).answers(sheets)
    ]
    todo = [each for each in every if not each.scores.is_file()]
    done = len(every) - len(todo)
    if show is not None:
        show("measuring", done, len(every))
    batches = [todo[start : start + _MEASURED_AT_ONCE] for start in range(0, len(todo), _MEASURED_AT_ONCE)]
    if not batches:
        return
    connect()
    make = partial(ScoreWorker, spec.suite, spec.bench)
    workers = min(spec.workers, len(batches))
    with Pool[list[Measure], int](make, workers=workers, cpus=spec.cpus, gpus=spec.gpus) as pool:
        for measured in pool.map(batches):
            done += measured
            if show is not None:
                show("measuring", done, len(every))


def _gather(spec: RunSpec, sheets: Sequence[Sheet]) -> Results:
    rows = []
    for system in spec.systems:
        album = Album(spec.out, system)
        answered = {sheet.number for sheet in album.answers(sheets)}
        for sheet in sheets:
            scores, picture = {}, None
            if sheet.number in answered:
                scores = in_order(json.loads(_scores_file(spec, system, sheet).read_text()))
                picture = album.path(sheet).relative_to(spec.out).as_posix()
            item = sheet.sample.item
            rows.append(
                Row(
                    system=system.name,
                    number=sheet.number,
                    sample=sheet.id,
                    task=sheet.task,
                    subject=item.subject,
                    style=item.style,
                    prompt=item.prompt,
                    seed=sheet.sample.seed,
                    content=item.content,
                    style_image=item.styles[0] if item.styles else None,
                    truth=item.truth,
                    picture=picture,
                    scores=scores,
                )
            )
    return Results(
        set_name=spec.bench.name,
        set_folder=str(spec.bench.folder.resolve()),
        set_digest=spec.bench.digest,
        settings=spec.settings.told() | {"limit": spec.limit},
        suite=describe_suite(spec.suite),
        encoders=spec.suite.stated,
        systems=tuple(system.told() for system in spec.systems),
        rows=tuple(rows),
        credits=tuple(dict(credit) for credit in spec.bench.credits),
    )


def _scores_file(spec: RunSpec, system: System, sheet: Sheet) -> Path:
    """Return where a picture's scores lie: beside those of the same encoders, so that others do not mix in."""
    picture = Album(spec.out, system).path(sheet)
    identity = spec.bench.identity(sheet.sample.item)
    name = digest_of([picture.stem, identity])
    return spec.out / SCORES / spec.suite.digest[:_DIGEST_SHOWN] / picture.parent.name / f"{name}.json"
