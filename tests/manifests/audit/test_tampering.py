"""Every kind of change to a store is found by verification, and named; nothing is found where nothing was changed."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.chain import DIGEST, PREVIOUS, ROOT, SHARDS, commit_root, record_leaf, row_leaf
from manifests.identities import asset_id
from manifests.merkle import link, root_of
from manifests.signing import new_key, sign
from manifests.store import Store
from manifests.takedown.run import Wanted, take_down
from manifests.upkeep.compact import compact
from manifests.upkeep.gc import collect
from manifests.upkeep.vacuum import vacuum
from manifests.verification.findings import Kind
from manifests.verify import Verdict, verify
from tests.manifests.audit.whole_stores import asset, commit, whole_store

Change = Callable[[Path], None]

NOW = timedelta()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of three commits, of which a target was taken down, signed."""
    folder = tmp_path_factory.mktemp("whole")
    store = whole_store(folder / "store")
    (folder / "before.json").write_text(json.dumps(store.triplets.read().to_pylist()))
    take_down(store, Wanted(assets=[str(asset("target", 1).asset_id)]))
    commit(store, 3)
    store.triplets.write_checkpoint(store.triplets.catch_up())
    key = folder / "key.pem"
    new_key(key)
    heads = {table.name: table.digests()[-1] for table in (store.assets, store.judgements, store.jobs, store.erasures)}
    version = store.triplets.catch_up()
    signature = sign(key, version=version, head=store.head(), candidates=1, tables=heads)
    (folder / "signature.json").write_text(json.dumps(signature))
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "copy"
    shutil.copytree(whole, copy)
    return copy


def checked(folder: Path, key: str = "key.pem.pub") -> Verdict:
    signature = json.loads((folder / "signature.json").read_text())
    return verify(Store(folder / "store"), signature=(signature, folder / key))


def shards(folder: Path) -> list[Path]:
    """Return the shards of the data set, in order of name."""
    return [folder / "store/shards" / shard["name"] for shard in Store(folder / "store").committed_shards()]


def index_of(shard: Path) -> Path:
    return shard.with_name(f"{shard.name}.index.json")


def log(folder: Path, table: str, version: int) -> Path:
    return folder / f"store/tables/{table}/_delta_log/{version:020}.json"


def entries(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_entries(path: Path, actions: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(action) + "\n" for action in actions))


def flip(path: Path, place: float = 0.5) -> None:
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 1
    path.write_bytes(data)


def data_file(folder: Path, table: str, version: int) -> Path:
    (add,) = (action["add"] for action in entries(log(folder, table, version)) if "add" in action)
    return folder / f"store/tables/{table}" / str(add["path"])


Rows = list[dict[str, Any]]


def rewrite_rows(folder: Path, table: str, version: int, change: Callable[[Rows], Rows]) -> None:
    """Change rows as somebody does who knows Delta: the file is a good one, and the log agrees with it."""
    path = data_file(folder, table, version)
    read = pq.read_table(path)
    data = io.BytesIO()
    rows = change(read.to_pylist())
    pq.write_table(pa.Table.from_pylist(rows, read.schema), data)
    path.write_bytes(data.getvalue())
    actions = entries(log(folder, table, version))
    for action in actions:
        if "add" in action:
            action["add"]["size"] = len(data.getvalue())
            action["add"]["tags"] = {"triptych.sha256": asset_id(data.getvalue())}
    write_entries(log(folder, table, version), actions)


def edit(column: str, value: Any, table: str = "triplets", version: int = 1) -> Change:
    def change(folder: Path) -> None:
        rewrite_rows(folder, table, version, lambda rows: [{**rows[0], column: value}, *rows[1:]])

    return change


def drop_row(folder: Path, table: str = "triplets", version: int = 1) -> None:
    rewrite_rows(folder, table, version, lambda rows: rows[1:])


def add_row(folder: Path, table: str = "triplets", key: str = "candidate_id") -> None:
    rewrite_rows(folder, table, 1, lambda rows: [*rows, {**rows[-1], key: "f" * 32}])


def repeat_row(folder: Path) -> None:
    rewrite_rows(folder, "triplets", 1, lambda rows: [*rows, rows[0]])


def stray_row(folder: Path) -> None:
    """A row of a commit that there is not."""
    rewrite_rows(folder, "assets", 1, lambda rows: [*rows, {**rows[0], "ref_id": "e" * 32, "follows": None}])


def flip_data(folder: Path) -> None:
    flip(data_file(folder, "triplets", 1))


def lose_data(folder: Path) -> None:
    data_file(folder, "judgements", 1).unlink()


def cut_data(folder: Path) -> None:
    path = data_file(folder, "jobs", 1)
    path.write_bytes(path.read_bytes()[:-10])


def flip_shard(folder: Path) -> None:
    flip(shards(folder)[0])


def cut_shard(folder: Path) -> None:
    path = shards(folder)[0]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def lose_shard(folder: Path) -> None:
    shards(folder)[0].unlink()


def rename_shard(folder: Path) -> None:
    shards(folder)[0].rename(folder / "store/shards" / f"{'0' * 32}.tar")


def exchange_shards(folder: Path) -> None:
    first, second = shards(folder)[:2]
    first.rename(folder / "third")
    second.rename(first)
    (folder / "third").rename(second)


def members(shard: Path) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(shard) as archive:
        return [(member, archive.extractfile(member).read()) for member in archive]  # type: ignore[union-attr]


def write_tar(shard: Path, content: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    with tarfile.open(shard, "w", format=tarfile.USTAR_FORMAT) as archive:
        for member, data in content:
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def swap_images(folder: Path, other: int) -> None:
    """Exchange the first targets of two shards, or the first two of one."""
    first, second = shards(folder)[0], shards(folder)[other]
    ours, theirs = members(first), members(second)
    here = next(n for n, (member, _) in enumerate(ours) if member.name.endswith("target.webp"))
    places = [n for n, (member, _) in enumerate(theirs) if member.name.endswith("target.webp")]
    there = places[1 if other == 0 else 0]
    a, b = ours[here][1], theirs[there][1]
    if other == 0:
        theirs = ours
    ours[here], theirs[there] = (ours[here][0], b), (theirs[there][0], a)
    write_tar(first, ours)
    write_tar(second, theirs)


def index_field(field: str, value: int) -> Change:
    def change(folder: Path) -> None:
        path = index_of(shards(folder)[0])
        index = json.loads(path.read_text())
        index["samples"][0]["members"][0][field] += value
        path.write_text(json.dumps(index))

    return change


def index_count(folder: Path) -> None:
    path = index_of(shards(folder)[0])
    index = json.loads(path.read_text())
    path.write_text(json.dumps({**index, "samples": index["samples"][1:]}))


def index_of_replaced(folder: Path) -> None:
    """The index of a shard that a takedown replaced, by which readers of its rows go."""
    live = {shard.name for shard in shards(folder)}
    (path, *_) = (
        path
        for path in sorted((folder / "store/shards").glob("*.index.json"))
        if path.name.removesuffix(".index.json") not in live
    )
    index = json.loads(path.read_text())
    index["samples"][0]["members"][0]["offset"] += 512
    path.write_text(json.dumps(index))


def lose_index(folder: Path) -> None:
    index_of(shards(folder)[0]).unlink()


def flip_index(folder: Path) -> None:
    path = index_of(shards(folder)[0])
    path.write_bytes(path.read_bytes().replace(b'"sha256"', b'"sha257"', 1))


def listing_count(folder: Path) -> None:
    path = folder / "store/index.json"
    listed = json.loads(path.read_text())
    listed["shardlist"][0]["nsamples"] += 1
    path.write_text(json.dumps(listed))


def lose_entry(folder: Path, table: str = "triplets") -> None:
    log(folder, table, 1).unlink()


def lose_last_entry(folder: Path) -> None:
    version = max(int(path.stem) for path in log(folder, "triplets", 0).parent.glob("*.json"))
    log(folder, "triplets", version).unlink()


def entry_word(key: str, value: str, table: str = "triplets") -> Change:
    def change(folder: Path) -> None:
        actions = entries(log(folder, table, 1))
        actions[0]["commitInfo"][key] = value
        write_entries(log(folder, table, 1), actions)

    return change


def flip_entry(folder: Path) -> None:
    path = log(folder, "triplets", 1)
    path.write_bytes(path.read_bytes().replace(b'"commitInfo"', b'"commitInfo', 1))


def entry_rows(folder: Path) -> None:
    """The log says another number of rows than the file has."""
    actions = entries(log(folder, "triplets", 1))
    for action in actions:
        if "add" in action:
            action["add"]["stats"] = json.dumps({"numRecords": 99})
    write_entries(log(folder, "triplets", 1), actions)


def entry_shards(folder: Path) -> None:
    """A commit that says another sha256 of its shard."""
    actions = entries(log(folder, "triplets", 1))
    described = json.loads(actions[0]["commitInfo"][SHARDS])
    described[0]["sha256"] = "0" * 64
    actions[0]["commitInfo"][SHARDS] = json.dumps(described)
    write_entries(log(folder, "triplets", 1), actions)


def rewrite_history(folder: Path) -> None:
    """Edit a score of the last commit, and compute everything anew that can be computed."""
    version = max(int(path.stem) for path in log(folder, "triplets", 0).parent.glob("*.json"))
    rewrite_rows(folder, "triplets", version, lambda rows: [*rows[:2], {**rows[2], "style_leak": 0.99}, *rows[3:]])
    rows = pq.read_table(data_file(folder, "triplets", version)).to_pylist()
    actions = entries(log(folder, "triplets", version))
    info = actions[0]["commitInfo"]
    info[ROOT] = commit_root(rows, json.loads(info[SHARDS]))
    info[DIGEST] = link(info[PREVIOUS], info[ROOT])
    write_entries(log(folder, "triplets", version), actions)
    for name in log(folder, "triplets", 0).parent.glob("*checkpoint*"):
        name.unlink()


def rewrite_jobs(folder: Path) -> None:
    """The same in the table of jobs."""
    version = 3
    rewrite_rows(folder, "jobs", version, lambda rows: [{**rows[0], "spec": "name: other\n"}])
    rows = pq.read_table(data_file(folder, "jobs", version)).to_pylist()
    actions = entries(log(folder, "jobs", version))
    info = actions[0]["commitInfo"]
    info[ROOT] = root_of([record_leaf(row) for row in rows])
    info[DIGEST] = link(info[PREVIOUS], info[ROOT])
    write_entries(log(folder, "jobs", version), actions)


def edit_checkpoint(folder: Path) -> None:
    (path,) = log(folder, "triplets", 0).parent.glob("*.checkpoint.parquet")
    read = pq.read_table(path)
    rows = read.to_pylist()
    places = [place for place, row in enumerate(rows) if row["add"]]
    pq.write_table(pa.Table.from_pylist([row for n, row in enumerate(rows) if n != places[0]], read.schema), path)


def lose_checkpoint(folder: Path) -> None:
    (path,) = log(folder, "triplets", 0).parent.glob("*.checkpoint.parquet")
    path.unlink()


def edit_moves(folder: Path) -> None:
    path = folder / "store/moves/000000.json"
    said = json.loads(path.read_text())
    said["shards"][0]["parts"][0]["at"] += 512
    path.write_text(json.dumps(said))


def lose_moves(folder: Path) -> None:
    (folder / "store/moves/000000.json").unlink()


def lose_tombstones(folder: Path) -> None:
    shutil.rmtree(folder / "store/tables/erasures")


def edit_statement(folder: Path) -> None:
    path = folder / "signature.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "candidates": 7}))


def sign_with_another(folder: Path) -> None:
    new_key(folder / "other.pem")
    store = Store(folder / "store")
    heads = {"jobs": store.jobs.digests()[-1]}
    version = store.triplets.catch_up()
    signature = sign(folder / "other.pem", version=version, head=store.head(), candidates=1, tables=heads)
    (folder / "signature.json").write_text(json.dumps(signature))


def bring_back(folder: Path) -> None:
    """Put a row back that was taken down, as it was."""
    leaves = {row["leaf"] for row in Store(folder / "store").erasures.read().to_pylist()}
    before = json.loads((folder / "before.json").read_text())
    row = next(row for row in before if row_leaf(row).hex() in leaves)
    rewrite_rows(folder, "triplets", 4, lambda rows: [*rows, row])


def begin_again(folder: Path) -> None:
    (folder / "store/takedowns/journal.json").write_text("{}")


TAMPERING: dict[str, tuple[Change, set[Kind]]] = {
    "a bit of a shard": (flip_shard, {Kind.SHARD_DAMAGED}),
    "a shard cut off": (cut_shard, {Kind.SHARD_TRUNCATED}),
    "a shard lost": (lose_shard, {Kind.SHARD_MISSING}),
    "a shard renamed": (rename_shard, {Kind.SHARD_MISSING}),
    "two shards exchanged": (exchange_shards, {Kind.SHARD_DAMAGED}),
    "two images of a shard exchanged": (partial(swap_images, other=0), {Kind.IMAGE_SWAPPED}),
    "images of two shards exchanged": (partial(swap_images, other=1), {Kind.IMAGE_SWAPPED}),
    "an index lost": (lose_index, {Kind.INDEX_MISSING}),
    "a letter of an index": (flip_index, {Kind.INDEX_WRONG}),
    "an offset in an index": (index_field("offset", 512), {Kind.INDEX_WRONG}),
    "a size in an index": (index_field("size", 1), {Kind.INDEX_WRONG}),
    "a sample less in an index": (index_count, {Kind.INDEX_WRONG}),
    "an offset in the index of a replaced shard": (index_of_replaced, {Kind.INDEX_WRONG}),
    "a count in index.json": (listing_count, {Kind.LISTING_WRONG}),
    "a bit of a data file": (flip_data, {Kind.DATA_FILE_DAMAGED}),
    "a data file lost": (lose_data, {Kind.DATA_FILE_MISSING}),
    "a data file cut off": (cut_data, {Kind.DATA_FILE_DAMAGED}),
    "a score": (edit("style_similarity", 0.99), {Kind.ROW_EDITED, Kind.RECORD_DIFFERS}),
    "a decision": (edit("accepted", False), {Kind.ROW_EDITED, Kind.SAMPLE_UNKNOWN}),
    "a prompt": (edit("prompt", "another"), {Kind.ROW_EDITED, Kind.RECORD_DIFFERS}),
    "a licence of a candidate": (edit("licences", ["CC0-1.0"]), {Kind.ROW_EDITED}),
    "where a candidate is from": (edit("style_ref", "0" * 32), {Kind.ROW_EDITED}),
    "a licence of an image": (edit("licence", "CC0-1.0", "assets"), {Kind.ROW_EDITED}),
    "an author": (edit("author", "Somebody", "assets"), {Kind.ROW_EDITED}),
    "what a judge said": (edit("answers", ["no"], "judgements"), {Kind.ROW_EDITED}),
    "the spec of a job": (edit("spec", "name: other\n", "jobs"), {Kind.ROW_EDITED}),
    "a candidate deleted": (drop_row, {Kind.ROW_DELETED, Kind.SAMPLE_UNKNOWN}),
    "an image deleted": (partial(drop_row, table="assets"), {Kind.ROW_DELETED}),
    "a judgement deleted": (partial(drop_row, table="judgements"), {Kind.ROW_DELETED}),
    "a job deleted": (partial(drop_row, table="jobs"), {Kind.ROW_DELETED}),
    "a candidate added": (add_row, {Kind.ROW_ADDED}),
    "a job added": (partial(add_row, table="jobs", key="job_id"), {Kind.ROW_ADDED}),
    "an image added outside the chain": (stray_row, {Kind.ROW_ADDED}),
    "a candidate repeated": (repeat_row, {Kind.ROW_REPEATED, Kind.ROW_ADDED}),
    "an entry of the log lost": (lose_entry, {Kind.LOG_ENTRY_MISSING, Kind.CHAIN_BROKEN}),
    "the last entry of the log lost": (lose_last_entry, {Kind.HISTORY_REWRITTEN, Kind.LISTING_WRONG}),
    "an entry of the log of images lost": (partial(lose_entry, table="assets"), {Kind.LOG_ENTRY_MISSING}),
    "an entry of the log cut off": (flip_entry, {Kind.LOG_ENTRY_DAMAGED}),
    "a count in the log": (entry_rows, {Kind.DATA_FILE_DAMAGED}),
    "a root": (entry_word(ROOT, "0" * 64), {Kind.COMMIT_REWRITTEN}),
    "a digest": (entry_word(DIGEST, "0" * 64), {Kind.COMMIT_REWRITTEN, Kind.CHAIN_BROKEN}),
    "the commit before": (entry_word(PREVIOUS, "0" * 64), {Kind.CHAIN_BROKEN}),
    "a root of the judgements": (entry_word(ROOT, "0" * 64, "judgements"), {Kind.COMMIT_REWRITTEN}),
    "what a commit says of a shard": (entry_shards, {Kind.SHARD_DAMAGED, Kind.ROW_EDITED}),
    "a checkpoint": (edit_checkpoint, {Kind.CHECKPOINT_EDITED}),
    "a checkpoint lost": (lose_checkpoint, {Kind.CHECKPOINT_EDITED}),
    "where a shard was moved": (edit_moves, {Kind.MOVES_WRONG}),
    "the list of moves lost": (lose_moves, {Kind.MOVES_WRONG}),
    "a tombstone deleted": (partial(drop_row, table="erasures", version=0), {Kind.TOMBSTONE_MISSING}),
    "a tombstone edited": (edit("salt", "0" * 32, "erasures", 0), {Kind.TOMBSTONE_EDITED}),
    "all tombstones deleted": (lose_tombstones, {Kind.TOMBSTONE_MISSING, Kind.HISTORY_REWRITTEN}),
    "a row that was taken down": (bring_back, {Kind.ERASED_REMAINS}),
    "a takedown that was interrupted": (begin_again, {Kind.TAKEDOWN_UNFINISHED}),
    "history, with all hashes": (rewrite_history, {Kind.HISTORY_REWRITTEN}),
    "history of the jobs, with all hashes": (rewrite_jobs, {Kind.HISTORY_REWRITTEN}),
    "a signed statement": (edit_statement, {Kind.SIGNATURE_FORGED}),
    "a signature of another key": (sign_with_another, {Kind.SIGNED_BY_ANOTHER}),
}


@pytest.mark.parametrize("name", TAMPERING)
def test_what_was_tampered_with_is_found_and_named(folder: Path, name: str) -> None:
    change, expected = TAMPERING[name]
    change(folder)
    verdict = checked(folder)
    assert expected <= {finding.kind for finding in verdict.findings}, verdict.findings
    assert all(finding.place and finding.text for finding in verdict.findings)


def test_nothing_is_found_where_nothing_was_changed(whole: Path) -> None:
    verdict = checked(whole)
    assert (verdict.findings, verdict.notes) == ([], [])
    assert verdict.shards == 4
    assert verdict.heads.keys() == {"assets", "triplets", "judgements", "jobs", "erasures"}


def test_nothing_is_found_after_upkeep(folder: Path) -> None:
    store = Store(folder / "store")
    compact(store, target=10**9)
    assert checked(folder).findings == []
    list(collect(store, grace=NOW))
    assert checked(folder).findings == []
    list(vacuum(store, older=NOW))
    assert checked(folder).findings == []


@pytest.fixture
def interrupted(whole: Path, tmp_path: Path) -> Path:
    state = tmp_path / "state.jsonl"
    calls = 0

    def stop(_done: int, _all: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify(Store(whole / "store"), workers=1, state=state, progress=stop)
    return state


def test_an_interrupted_verification_goes_on_and_reads_again_what_changed(folder: Path, interrupted: Path) -> None:
    done = [json.loads(line) for line in interrupted.read_text().splitlines()]
    assert len(done) >= 2
    flip_shard(folder)
    found = verify(Store(folder / "store"), state=interrupted).findings
    assert Kind.SHARD_DAMAGED in {one.kind for one in found}
    assert not interrupted.exists(), "what was checked long ago is not trusted"


def test_a_sample_reads_some_shards_and_all_tables(folder: Path) -> None:
    store = Store(folder / "store")
    drawn = [verify(store, sample=0.25, seed=seed) for seed in range(3)]
    assert [(one.shards, one.checked) for one in drawn] == [(4, 1)] * 3
    flip_shard(folder)
    found = [bool(verify(store, sample=0.5, seed=seed).findings) for seed in range(12)]
    assert set(found) == {True, False}
    drop_row(folder)
    assert not verify(store, sample=0.25).sound
