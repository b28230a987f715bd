"""A store on S3 gives the rows and bytes of the folder it was copied from, against a real server."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from manifests.arrow_schema import to_table
from manifests.files import delta_options, open_files
from manifests.identities import asset_id
from manifests.records import ROLES, Asset
from manifests.snapshot import Snapshot, SnapshotError
from manifests.store import Store
from manifests.where import WhereError
from tests.manifests.making import commit, sample
from tests.system.relay import Relay
from tests.system.seaweed import SECRET, STRANGER, STRANGER_SECRET, Seaweed

NAMES = ["cat", "dog", "fox", "gnu", "hen"]
COLUMNS = ["candidate_id", "subject", "licences", "shard", "offset", "target_width", "content_height"]
ROOT = "s3://data/sets/animals"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    made = Store(tmp_path_factory.mktemp("animals") / "store")
    commit(made, NAMES[:2], rejected=("eel",))
    commit(made, NAMES[2:])
    values: dict[str, Any] = dict.fromkeys(Asset.model_fields)
    values |= dict.fromkeys(("locator", "fingerprint", "subject", "family", "treatment", "style", "source"), "x")
    values |= {"split": "train", "width": 96}
    images = [(role, asset_id(sample(name).images[role])) for name in NAMES for role in ROLES]
    assets = [
        Asset.model_validate({**values, "role": role, "ref_id": image, "asset_id": image, "height": 64 + number})
        for number, (role, image) in enumerate(images)
    ]
    made.add_assets(to_table(Asset, assets))
    return made


@pytest.fixture
def uploaded(seaweed: Seaweed, store: Store, monkeypatch: pytest.MonkeyPatch) -> Seaweed:
    """The server with the store on it, and an environment in which readers reach it."""
    seaweed.upload(store.root, "data", "sets/animals")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    set_environment(monkeypatch, seaweed.environment())
    return seaweed


def set_environment(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def subjects(snapshot: Snapshot, where: str | None = None) -> list[str]:
    return sorted(snapshot.samples(where, "train", ["subject"])["subject"].to_pylist())


@pytest.mark.parametrize("root", [ROOT, f"{ROOT}/", Path(ROOT)])
@pytest.mark.usefixtures("uploaded")
def test_rows_are_those_of_the_folder(store: Store, root: str | Path) -> None:
    remote, local = Snapshot(root), Snapshot(store.root)
    assert (remote.version, remote.digest) == (local.version, local.digest)
    for where in (None, "subject > 'dog' and array_length(licences) is null"):
        assert remote.samples(where, "train", COLUMNS).equals(local.samples(where, "train", COLUMNS))
    assert remote.root == ROOT
    assert remote.files.local_path("shards") is None


@pytest.mark.usefixtures("uploaded")
def test_bytes_are_those_of_the_folder_from_many_threads(store: Store) -> None:
    remote, local = Snapshot(ROOT), Snapshot(store.root)
    rows = local.samples(None, None, ["candidate_id", "shard"]).to_pylist()

    def same(row: dict[str, str]) -> bool:
        places = remote.shard_index(row["shard"]).members(row["candidate_id"])
        assert places == local.shard_index(row["shard"]).members(row["candidate_id"])
        name = f"shards/{row['shard']}"
        return all(
            remote.files.read_range(name, place.offset, place.size)
            == local.files.read_range(name, place.offset, place.size)
            for place in places.values()
        )

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(same, rows * 10))
    whole = f"shards/{rows[0]['shard']}"
    assert remote.files.read(whole) == local.files.read(whole)
    assert remote.files.read_range(whole, 7, 0) == b""


def test_a_pinned_version_does_not_see_later_commits(uploaded: Seaweed, store: Store, tmp_path: Path) -> None:
    first, second = Snapshot(ROOT, 0), Snapshot(ROOT)
    grown = Store(tmp_path / "grown")
    shutil.copytree(store.root, grown.root)
    commit(grown, ["owl"])
    uploaded.client().create_bucket(Bucket="growing")
    uploaded.upload(store.root, "growing")
    before = Snapshot("s3://growing")
    uploaded.upload(grown.root, "growing")
    assert subjects(first) == subjects(Snapshot("s3://growing", 0)) == ["cat", "dog"]
    assert subjects(before) == subjects(Snapshot("s3://growing", second.version)) == NAMES
    assert subjects(Snapshot("s3://growing")) == [*NAMES, "owl"]
    assert Snapshot("s3://growing", second.version).digest == second.digest == before.digest
    assert Snapshot("s3://growing").digest == grown.head()


def test_rows_that_delta_rewrote_on_s3_are_read(uploaded: Seaweed, store: Store) -> None:
    uploaded.client().create_bucket(Bucket="rewritten")
    uploaded.upload(store.root, "rewritten")
    before = Snapshot("s3://rewritten")
    table = DeltaTable("s3://rewritten/tables/triplets", storage_options=delta_options("s3://rewritten"))
    table.delete("subject = 'gnu'")
    after = Snapshot("s3://rewritten")
    assert subjects(after, "subject <> 'cat'") == ["dog", "fox", "hen"]
    assert subjects(before) == NAMES
    assert after.digest != before.digest
    assert after.samples(None, None, COLUMNS).schema == before.samples(None, None, COLUMNS).schema


@pytest.mark.usefixtures("uploaded")
def test_faults_of_a_reader_are_told_as_for_a_folder() -> None:
    with pytest.raises(WhereError, match="there is no column style_leek"):
        subjects(Snapshot(ROOT), "style_leek > 0.5")
    with pytest.raises(SnapshotError, match="there is no version 9 yet, the newest is 1"):
        Snapshot(ROOT, 9)
    with pytest.raises(SnapshotError, match="s3://data/elsewhere: is no store"):
        Snapshot("s3://data/elsewhere")
    files = open_files(ROOT)
    with pytest.raises(FileNotFoundError, match="no such object"):
        files.read_range("shards/none.tar", 0, 1)
    with pytest.raises(OSError, match="ends before"):
        files.read_range("tables/triplets/_delta_log/00000000000000000000.json", 10, 10**6)
    with pytest.raises(OSError, match="ends before"):
        files.read_range("tables/triplets/_delta_log/00000000000000000000.json", 10**6, 10)


@pytest.mark.parametrize(
    ("root", "changes", "fault"),
    [
        ("s3://nowhere/animals", {}, "s3://nowhere: no such bucket at http://127.0.0.1"),
        (ROOT, {"AWS_SECRET_ACCESS_KEY": f"not-the-{SECRET}"}, "SignatureDoesNotMatch: the secret key is wrong"),
        (ROOT, {"AWS_ACCESS_KEY_ID": "AKIANOBODY"}, "InvalidAccessKeyId: the server does not know the access key"),
        (
            ROOT,
            {"AWS_ACCESS_KEY_ID": STRANGER, "AWS_SECRET_ACCESS_KEY": STRANGER_SECRET},
            "AccessDenied: this user may not read it",
        ),
        (ROOT, {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "no credentials for S3 were found; set AWS_"),
        (ROOT, {"AWS_PROFILE": "nobody"}, r"config profile \(nobody\) could not be found; set AWS_"),
        (
            ROOT,
            {"AWS_ENDPOINT_URL": "http://someone:hush@127.0.0.1:1"},
            "no answer from http://127.0.0.1:1 .*server up",
        ),
        (ROOT, {"AWS_ENDPOINT_URL": "no address"}, "S3 cannot be set up"),
    ],
)
@pytest.mark.usefixtures("uploaded")
def test_what_cannot_be_reached_says_why_in_a_line_without_secrets(
    root: str, changes: dict[str, str], fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_environment(monkeypatch, changes)
    with pytest.raises(ValueError, match=fault) as caught:
        Snapshot(root)
    no_secret_in(caught.value, "hush", changes.get("AWS_ACCESS_KEY_ID"), changes.get("AWS_SECRET_ACCESS_KEY"))


def test_a_server_that_goes_away_is_told_from_a_damaged_sample(
    uploaded: Seaweed, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Relay(uploaded.port)) as relay:
        set_environment(monkeypatch, uploaded.environment(endpoint=relay.endpoint))
        snapshot = Snapshot(ROOT)
        rows = snapshot.samples(None, None, ["candidate_id", "shard"]).to_pylist()
        place = snapshot.shard_index(rows[0]["shard"]).members(rows[0]["candidate_id"])["target.webp"]
    reads: list[tuple[type[Exception], Callable[[], object]]] = [
        (ConnectionError, lambda: snapshot.files.read_range(f"shards/{rows[0]['shard']}", place.offset, place.size)),
        (ConnectionError, lambda: snapshot.shard_index(rows[-1]["shard"])),
        (SnapshotError, lambda: subjects(snapshot, "subject > 'c'")),
        (SnapshotError, lambda: Snapshot(ROOT)),
    ]
    for kind, read in reads:
        with pytest.raises(kind, match=f"no answer from {relay.endpoint} .*is the server up") as caught:
            read()
        no_secret_in(caught.value)


def test_an_answer_that_breaks_off_is_asked_for_again(uploaded: Seaweed, monkeypatch: pytest.MonkeyPatch) -> None:
    body = os.urandom(300_000)
    uploaded.client().put_object(Bucket="data", Key="large", Body=body)
    with closing(Relay(uploaded.port)) as relay:
        set_environment(monkeypatch, uploaded.environment(endpoint=relay.endpoint))
        files = open_files("s3://data")
        relay.break_off(answers=2, after=100_000)
        assert files.read_range("large", 1000, 250_000) == body[1000:251_000]
        assert relay.broken == 2
        relay.break_off(answers=99, after=100)
        with pytest.raises(ConnectionError, match=f"data/large: no answer from {relay.endpoint}"):
            files.read("large")


@pytest.mark.usefixtures("uploaded")
def test_a_child_process_reads_over_connections_of_its_own() -> None:
    files = open_files(ROOT)
    name = "tables/triplets/_delta_log/00000000000000000000.json"
    whole = files.read(name)
    child = os.fork()
    if child == 0:
        os._exit(0 if all(files.read(name) == whole for _ in range(20)) else 1)
    assert all(files.read(name) == whole for _ in range(20))
    assert os.waitpid(child, 0)[1] == 0


def no_secret_in(error: Exception, *more: str | None) -> None:
    assert "\n" not in str(error)
    for secret in (SECRET, STRANGER_SECRET, STRANGER, *filter(None, more)):
        assert secret not in str(error)
