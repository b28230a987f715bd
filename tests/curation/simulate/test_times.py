"""Times of stages: told, taken from a store, or refused with the form that is wanted."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from curation.simulate.asleep import Pace
from curation.simulate.times import StageTime, UnknownTimeError, from_store, parse_paces, stage_times
from curation.spec.model import JobSpec
from manifests.arrow_schema import arrow_schema, to_table
from manifests.records import Asset, Triplet
from manifests.store import Store
from tests.manifests.making import triplet_row

_NAMES = ("ingest", "load", "stylize", "destylize", "score", "pack")


@pytest.mark.parametrize(
    ("text", "pace"),
    [
        ("stylize=0.5", Pace(0.5)),
        ("stylize=0.5+2", Pace(0.5, 2)),
        ("stylize=0.5@40", Pace(0.5, 0, 40)),
        ("stylize=1e-3+2@40", Pace(0.001, 2, 40)),
    ],
)
def test_a_pace_is_told_in_seconds(text: str, pace: Pace) -> None:
    assert parse_paces([text], _NAMES) == {"stylize": pace}


@pytest.mark.parametrize(
    "text", ["stylize", "stylize=", "stylize=a", "stylize=-1", "stylize=1e", "stylize=1-1", "judge=1"]
)
def test_a_pace_that_cannot_be_meant_is_refused_with_the_flag(text: str) -> None:
    with pytest.raises(UnknownTimeError, match=f"--seconds {text}"):
        parse_paces([text], _NAMES)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "store")
    rows = [triplet_row(f"c{n}", stylize_seconds=0.4 + 0.1 * n, destylize_seconds=0.2 if n else None) for n in range(3)]
    made.commit(pa.Table.from_pylist(rows, arrow_schema(Triplet)), to_table(Asset, []), [])
    return made


def test_a_store_tells_what_its_candidates_took_and_how_many_got_there(store: Store) -> None:
    found = from_store(store, _NAMES)
    assert found.keys() == {"stylize", "destylize"}
    assert found["stylize"].pace.row == pytest.approx(0.5)
    assert found["destylize"].share == pytest.approx(2 / 3)


def test_what_is_told_goes_before_the_store_and_what_nobody_knows_is_assumed_and_says_so(store: Store) -> None:
    spec = JobSpec.model_validate({"name": "a", "sources": [{"kind": "iconify"}]})
    times = stage_times(spec, {"stylize": Pace(9), "score": Pace(1)}, store)
    assert list(times) == list(_NAMES)
    assert times["stylize"] == StageTime(Pace(9), "given")
    assert {name: time.source for name, time in times.items()} == {
        "ingest": "assumed",
        "load": "assumed",
        "stylize": "given",
        "destylize": "store",
        "score": "given",
        "pack": "assumed",
    }
