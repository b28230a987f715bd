"""Whatever happens to a store, and in which order: it can be verified, and its graph and its differences are right."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from functools import reduce
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from manifests.audit.diff import diff
from manifests.audit.ledger import AuditError, Ledger
from manifests.audit.lineage import descendants, find_nodes, lineage
from manifests.store import Store
from manifests.takedown.run import take_down
from manifests.takedown.wanted import Wanted
from manifests.upkeep.compact import compact
from manifests.upkeep.vacuum import vacuum
from manifests.verify import verify
from tests.manifests.audit.whole_stores import PER_COMMIT, asset, commit, whole_store
from tests.manifests.takedown.traces import traces

STEPS = st.lists(
    st.one_of(
        st.just(("commit", 0)),
        st.just(("compact", 0)),
        st.just(("vacuum", 0)),
        st.tuples(st.just("target"), st.integers(0, 3 * PER_COMMIT)),
        st.tuples(st.just("style"), st.integers(0, 3)),
    ),
    min_size=1,
    max_size=5,
)


def walk(store: Store, steps: list[tuple[str, int]]) -> set[str]:
    """Do what a history says, and return the ids of the images that were taken down and named."""
    commits, gone = 1, set()
    for step, number in steps:
        if step == "commit":
            commit(store, commits)
            commits += 1
        elif step == "compact":
            compact(store, target=10**9)
        elif step == "vacuum":
            list(vacuum(store, older=timedelta()))
        else:
            one = str(asset(step, number).asset_id)
            if take_down(store, Wanted(assets=[one])):
                gone.add(one)
        if step == "commit":  # a job that was never told: what it brings back is taken down again
            for one in sorted(gone):
                take_down(store, Wanted(assets=[one]))
    return gone


@settings(max_examples=2, deadline=None, phases=[Phase.explicit, Phase.generate])
@example([("style", 0), ("commit", 0), ("compact", 0)])
@given(STEPS)
def test_after_any_history_a_store_is_sound_and_nothing_comes_back(steps: list[tuple[str, int]]) -> None:
    check(steps)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_after_any_of_many_histories_it_is_so(steps: list[tuple[str, int]]) -> None:
    check(steps)


def check(steps: list[tuple[str, int]]) -> None:
    """Do what a history says, and hold the store against all that is promised."""
    with tempfile.TemporaryDirectory() as folder:
        store = whole_store(Path(folder) / "store", 1)
        gone = walk(store, steps)
        verdict = verify(Store(store.root))
        assert verdict.faults == []
        assert traces(Path(store.root), [one.encode() for one in gone]) == []
        assert_inverse(Ledger(store.root, cache=Path(folder) / "cache"))
        assert_differences_compose(store, Path(folder) / "cache")


def assert_inverse(ledger: Ledger) -> None:
    """What a candidate was made of has it among its descendants, and the other way round."""
    for row in ledger.rows("select candidate_id from (" + ledger.triplets.select() + ") order by 1")[:4]:
        (node,) = find_nodes(ledger, row["candidate_id"])
        for one in lineage(ledger, node).nodes:
            assert node in descendants(ledger, one).nodes
        for one in descendants(ledger, node).nodes:
            assert node in lineage(ledger, one).nodes


def assert_differences_compose(store: Store, cache: Path) -> None:
    """The differences from one version to the next, one after another, are that of the first and the last.

    Versions of which a takedown or a vacuum deleted data files can no longer be opened, and say so.
    """
    readable = []
    for version in range(store.triplets.catch_up() + 1):
        try:
            readable.append(Ledger(store.root, version, cache=cache))
            readable[-1].rows(f"select candidate_id, accepted from ({readable[-1].triplets.select()})")
        except AuditError:
            readable = [one for one in readable if one.version != version]
    steps = [diff(before, after) for before, after in pairwise(readable)]
    if steps:
        assert (
            reduce(lambda first, second: first.then(second), steps).changes == diff(readable[0], readable[-1]).changes
        )
