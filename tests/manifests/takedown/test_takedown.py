"""What was taken down is gone everywhere, with all that was made of it; all else is as it was, and can be verified."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from manifests.audit.ledger import Ledger
from manifests.audit.lineage import find_nodes, lineage
from manifests.audit.training_runs import find_runs
from manifests.files import open_writable
from manifests.identities import asset_id
from manifests.moves import open_moved
from manifests.records import ROLES
from manifests.snapshot import Snapshot, SnapshotError
from manifests.store import Store
from manifests.takedown.journal import JOURNAL
from manifests.takedown.marks import TakenDown, mark_of
from manifests.takedown.run import finish, preview, take_down
from manifests.takedown.wanted import TakedownError, Wanted
from manifests.upkeep.compact import compact
from manifests.upkeep.vacuum import vacuum
from manifests.verify import verify
from tests.manifests.audit.histories import times, write_run
from tests.manifests.audit.whole_stores import asset, commit, content_of, images_of, picture, row_of, whole_store
from tests.manifests.takedown.traces import traces
from tests.system.store_workers import dies, dying, started

GONE = 12
"""This target has a content reference that was drawn from it."""

REJECTED = 14
"""The candidate of this one was rejected: thumbnails of it were kept."""

NUMBERS = range(18)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "store"
    whole_store(folder)
    return folder


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Store:
    shutil.copytree(made, tmp_path / "store")
    return Store(tmp_path / "store")


def target(number: int) -> str:
    return str(asset("target", number).asset_id)


def needles(number: int) -> list[bytes]:
    """Return what must be found nowhere: the target's bytes and id, and those of what was drawn from it."""
    data = [picture("target", number)] + ([picture("content", number)] if number % 3 == 0 else [])
    return [form for one in data for form in (one, asset_id(one).encode())]


def state(store: Store) -> dict[str, Any]:
    """Return what a reader sees of a store: rows, and the images of the data set."""
    fresh = Store(store.root)
    tables = {}
    for name in ("triplets", "assets", "judgements", "jobs"):
        rows = [{k: v for k, v in row.items() if k != "follows"} for row in fresh.tables[name].read().to_pylist()]
        tables[name] = sorted(json.dumps(row, default=str, sort_keys=True) for row in rows)
    shards = [(shard["name"], shard["sha256"]) for shard in fresh.committed_shards()]
    marks = fresh.erasures.read(["table", "leaf"]).to_pylist() if fresh.erasures.exists else []
    return {**tables, "shards": shards, "tombstones": sorted((one["table"], one["leaf"]) for one in marks)}


def samples(store: Store) -> dict[str, list[str]]:
    """Return the sha256 of the images of every sample, read as a trainer reads them."""
    snapshot = Snapshot(store.root)
    found = {}
    for row in snapshot.samples(None, None, ["candidate_id", "shard"]).to_pylist():
        members = snapshot.shard_index(row["shard"]).members(row["candidate_id"])
        places = [members[f"{role}.webp"] for role in ROLES]
        name = f"shards/{row['shard']}"
        found[row["candidate_id"]] = [
            asset_id(snapshot.files.read_range(name, place.offset, place.size)) for place in places
        ]
    return found


def test_nothing_of_an_image_or_of_what_was_made_of_it_is_found_in_any_file(store: Store) -> None:
    folder = Path(store.root)
    assert {path.split("/")[0] for path, _ in traces(folder, needles(GONE))} == {"cache", "report", "shards", "tables"}
    assert store.strip(row_of(REJECTED)["candidate_id"]) in {path for path, _ in traces(folder, needles(REJECTED))}
    before = samples(store)
    (receipt,) = take_down(store, Wanted(assets=[target(GONE)]))
    assert traces(folder, needles(GONE)) == []
    assert (receipt.images, receipt.candidates, receipt.accepted, receipt.judgements) == (2, 1, 1, 1)
    gone = row_of(GONE)["candidate_id"]
    assert samples(store) == {key: ids for key, ids in before.items() if key != gone}
    verdict = verify(Store(folder))
    assert (verdict.faults, verdict.candidates) == ([], len(NUMBERS) - 1)
    assert not (folder / JOURNAL).exists()
    take_down(store, Wanted(assets=[target(REJECTED)]))
    assert traces(folder, needles(REJECTED)) == []
    assert verify(Store(folder)).faults == []


def test_it_is_gone_after_compactions_too_where_deltalake_wrote_bounds_of_columns_into_the_log(store: Store) -> None:
    folder = Path(store.root)
    compact(store, target=10**9)
    commit(store, 3)
    for table in (store.triplets, store.assets, store.judgements):
        table.delta().optimize.compact()
    store.triplets.write_checkpoint(store.triplets.catch_up())
    assert any("_delta_log" in path for path, _ in traces(folder, [target(n)[:20].encode() for n in NUMBERS]))
    take_down(store, Wanted(assets=[target(GONE)]))
    assert traces(folder, [*needles(GONE), target(GONE)[:20].encode()]) == []
    assert verify(Store(folder)).faults == []
    assert len(samples(store)) == 15
    compact(store, target=10**9)
    list(vacuum(store, older=timedelta()))
    assert verify(Store(folder)).faults == []
    assert len(samples(store)) == 15


def test_one_takedown_after_another_leaves_roots_that_can_be_computed(store: Store) -> None:
    for number in (3, 1, 4, 2):
        take_down(store, Wanted(assets=[target(number)]))
        assert verify(Store(store.root)).faults == []
    take_down(store, Wanted(authors=["A. Painter"]))
    assert verify(Store(store.root)).faults == []
    assert store.committed_shards() == []
    assert Store(store.root).triplets.read().num_rows == 0
    commit(store, 3)
    assert verify(Store(store.root)).faults == []


@pytest.mark.parametrize(
    ("wanted", "candidates"),
    [
        (Wanted(assets=[target(5)[:12]]), 1),
        (Wanted(sources=["folder:style-1.png"]), 5),
        (Wanted(sources=["target-5.png"]), 1),
        (Wanted(licences=["MIT"]), 18),
        (Wanted(licences=["CC0-1.0"]), 0),
        (Wanted(authors=["A. Painter"]), 18),
        (Wanted(looks=[str(asset("target", 5).perceptual_hash)]), 1),
        (Wanted(refs=[content_of(4).ref_id]), 1),
    ],
)
def test_images_are_named_in_many_ways(store: Store, wanted: Wanted, candidates: int) -> None:
    found = preview(store, wanted)
    assert len(found.candidates) == candidates
    assert bool(found.images) == bool(candidates)
    assert state(store) == state(store), "a preview changes nothing"


def test_looks_within_the_distance_are_the_same_look(store: Store) -> None:
    near = f"{int(str(asset('target', 5).perceptual_hash), 16) ^ 0b111:064x}"
    assert preview(store, Wanted(looks=[near], distance=2)).images == []
    assert len(preview(store, Wanted(looks=[near], distance=3)).candidates) == 1


def test_too_short_an_id_is_refused() -> None:
    with pytest.raises(TakedownError, match="8 digits"):
        Wanted(assets=["abc"])


def test_training_runs_and_checkpoints_that_saw_it_are_named(store: Store, tmp_path: Path) -> None:
    keys = [row_of(number)["candidate_id"] for number in (3, 4)]
    runs = find_runs([write_run(tmp_path / "runs/one", keys), write_run(tmp_path / "runs/two", keys[1:])])
    (receipt,) = take_down(store, Wanted(assets=[target(3)]), runs=runs, times=times)
    (run,) = receipt.training
    assert run["run"].endswith("one")
    assert run["checkpoints"][-1] == {"checkpoint": "step-00000020", "times": 2}
    assert "step-00000020 (2 times)" in receipt.words()


def test_a_receipt_proves_to_who_has_the_image_that_it_was_meant(store: Store) -> None:
    (receipt,) = take_down(store, Wanted(assets=[target(GONE)]))
    assert mark_of(receipt.salt, target(GONE)) in receipt.asset_marks
    written = json.loads((Path(store.root) / f"takedowns/{receipt.takedown}.json").read_text())
    assert written["heads"]["triplets"] == store.head()
    taken = TakenDown(Store(store.root))
    assert taken.refresh()
    assert taken.hold(target(GONE))
    assert taken.hold(None, asset("target", GONE).perceptual_hash)
    assert not taken.hold(target(4), asset("target", 4).perceptual_hash)


def test_a_trainer_of_an_older_version_is_told_why_it_cannot_go_on(store: Store) -> None:
    opened = Snapshot(store.root)
    row = next(
        row
        for row in opened.samples(None, None, ["candidate_id", "shard", "offset"]).to_pylist()
        if row["candidate_id"] == row_of(GONE)["candidate_id"]
    )
    take_down(store, Wanted(assets=[target(GONE)]))
    with pytest.raises(FileNotFoundError, match="taken down"):
        open_moved(store.root).read_range(f"shards/{row['shard']}", row["offset"], 512)
    with pytest.raises(SnapshotError, match="taken down since; pin version 3"):
        Snapshot(store.root, 2).samples(None, None, ["candidate_id"])
    assert Snapshot(store.root, 3).samples(None, None, ["candidate_id"]).num_rows == 11


def test_lineage_of_what_is_left_is_whole(store: Store) -> None:
    take_down(store, Wanted(sources=["folder:style-1.png"]))
    ledger = Ledger(store.root)
    (node,) = find_nodes(ledger, row_of(4)["candidate_id"])
    graph = lineage(ledger, node)
    files = {one.key for one in graph.nodes if one.kind == "file"}
    assert files == {f"folder:{one.locator}" for one in images_of(4).values()}


def test_what_is_not_there_is_no_takedown(store: Store) -> None:
    before = state(store)
    assert take_down(store, Wanted(assets=["0" * 64])) == []
    assert finish(store) is None
    assert state(store) == before


def take_down_dying(root: str, after: int) -> None:
    """Take an image down, and end before the write of this number."""
    take_down(dying(root, after), Wanted(assets=[target(GONE)]))


def take_down_in_process(root: str) -> None:
    take_down(Store(root), Wanted(assets=[target(GONE)]))


def test_ended_before_any_of_its_writes_it_ends_the_same_when_run_again(made: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    shutil.copytree(made, whole)
    take_down(Store(whole), Wanted(assets=[target(GONE)]))
    expected = state(Store(whole))
    after = 0
    while True:
        folder = tmp_path / f"after-{after}"
        shutil.copytree(made, folder)
        died = dies(take_down_dying, str(folder), after)
        take_down(Store(folder), Wanted(assets=[target(GONE)]))
        assert state(Store(folder)) == expected, after
        assert traces(folder, needles(GONE)) == [], after
        assert verify(Store(folder)).faults == [], after
        shutil.rmtree(folder)
        if not died:
            break
        after += 1 if after < 6 else 5
    assert after > 10


@pytest.mark.slow
def test_killed_at_ten_random_moments_it_ends_the_same(made: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    shutil.copytree(made, whole)
    take_down(Store(whole), Wanted(assets=[target(GONE)]))
    expected, killed = state(Store(whole)), 0
    draw = random.Random(8)
    for number in range(10):
        folder = tmp_path / f"killed-{number}"
        shutil.copytree(made, folder)
        process = started(take_down_in_process, str(folder))
        while process.is_alive() and not (folder / JOURNAL).exists():
            process.join(0.002)
        process.join(draw.uniform(0, 0.2))
        if process.is_alive() and process.pid is not None:
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
        process.join()
        take_down(Store(folder), Wanted(assets=[target(GONE)]))
        assert state(Store(folder)) == expected
        assert traces(folder, needles(GONE)) == []
        assert verify(Store(folder)).faults == []
    assert killed >= 5


def test_drafts_of_journals_go_too(store: Store) -> None:
    draft = Path(store.root) / "takedowns/.0123.part"
    draft.parent.mkdir()
    draft.write_text(target(GONE))
    take_down(store, Wanted(assets=[target(GONE)]))
    assert not draft.exists()
    assert list(open_writable(store.root).unfinished()) == []


def test_what_a_job_commits_meanwhile_is_found_by_the_next_round(store: Store) -> None:
    assert replace(Wanted(assets=[target(19)]), authors=["nobody"]).by == ["assets", "authors"]
    assert take_down(store, Wanted(assets=[target(19)])) == []
    commit(store, 3)
    (receipt,) = take_down(store, Wanted(assets=[target(19)]))
    assert receipt.candidates == 1
