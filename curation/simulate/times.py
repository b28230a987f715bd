"""How long each stage takes: as told, as a store's candidates took, as a small sample takes here, or assumed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pyarrow.compute as pc

from curation.simulate.asleep import Pace
from curation.spec.model import JobSpec
from manifests.records import TIMES

if TYPE_CHECKING:
    from manifests.store import Store

Source = Literal["given", "store", "sample", "assumed"]

_ASSUMED = {"ingest": 0.02, "load": 0.005, "pack": 0.004}
"""Seconds a row of what every job does alike, at 128 to 512 pixels; taken where nothing better is known."""

_FORM = re.compile(r"(?P<stage>[a-z]+)=(?P<row>[0-9.eE-]+)(\+(?P<call>[0-9.eE-]+))?(@(?P<start>[0-9.eE-]+))?")


class UnknownTimeError(ValueError):
    """The time of a stage is not known, or was told in a form that cannot be read."""


@dataclass(frozen=True)
class StageTime:
    """The pace of a stage, the share of rows that it works on, and how that is known."""

    pace: Pace
    source: Source
    share: float = 1.0


def parse_paces(texts: Sequence[str], stages: Sequence[str]) -> dict[str, Pace]:
    """Return paces told as `stage=row`, `stage=row+call` or `stage=row+call@start`, in seconds.

    Raises UnknownTimeError on another form, a negative number, or a stage that the job does not have.
    """
    paces = {}
    for text in texts:
        match = _FORM.fullmatch(text)
        try:
            numbers = [float(match[key] or 0) for key in ("row", "call", "start")] if match else []
        except ValueError:
            numbers = []
        if not match or not numbers or min(numbers) < 0:
            raise UnknownTimeError(f"--seconds {text}: write STAGE=ROW, STAGE=ROW+CALL or STAGE=ROW+CALL@START")
        if match["stage"] not in stages:
            raise UnknownTimeError(f"--seconds {text}: the job's stages are {', '.join(stages)}")
        paces[match["stage"]] = Pace(*numbers)
    return paces


def stage_times(spec: JobSpec, given: Mapping[str, Pace], store: Store | None = None) -> dict[str, StageTime]:
    """Return the time of each stage, `ingest` first: given, else from a store, else from a sample, else assumed.

    The sample runs a dozen targets through the stages in this process, and is taken only where a model's stage is not
    known otherwise. Raises UnknownTimeError for a stage that nothing tells of.
    """
    names = ["ingest", *spec.pools()]
    times = {name: StageTime(pace, "given") for name, pace in given.items()}
    if store is not None:
        times = {**from_store(store, names), **times}
    if any(name not in times and name not in _ASSUMED for name in names):
        times = {**_from_sample(spec), **times}
    for name, seconds in _ASSUMED.items():
        times.setdefault(name, StageTime(Pace(seconds), "assumed"))
    for name in names:
        if name not in times:
            raise UnknownTimeError(f"the time of stage {name} is not known: give it, as in --seconds {name}=0.5")
    return {name: times[name] for name in names}


def from_store(store: Store, names: Sequence[str]) -> dict[str, StageTime]:
    """Return the mean time of a store's candidates in each stage that is recorded, and the share that got there."""
    columns = [f"{name}_seconds" for name in names if f"{name}_seconds" in TIMES]
    rows = store.triplets.read(columns)
    found = {}
    for column in columns:
        seen = rows.num_rows - rows[column].null_count
        if seen:
            pace = Pace(float(pc.mean(rows[column]).as_py()))
            found[column.removesuffix("_seconds")] = StageTime(pace, "store", seen / rows.num_rows)
    return found


def _from_sample(spec: JobSpec) -> dict[str, StageTime]:
    from curation.plan import make_plan

    plan = make_plan(spec)
    return {stage.name: StageTime(Pace(stage.milliseconds / 1000), "sample") for stage in plan.stages}
