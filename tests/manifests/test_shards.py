"""Shards are the same bytes for the same samples, and outside readers read them."""

import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
import webdataset
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.files import open_writable
from manifests.identities import asset_id
from manifests.records import ROLES
from manifests.shards import Sample, index_of, read_samples, write_shard
from tests.manifests.making import sample

names = st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=6, unique=True)


@settings(max_examples=25, deadline=None)
@given(names, st.randoms())
def test_order_of_samples_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, words: list[str], random: object
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    first = write_shard(open_writable(folder / "a"), [sample(word) for word in words], split="train")
    random.shuffle(words)  # type: ignore[attr-defined]
    second = write_shard(open_writable(folder / "b"), [sample(word) for word in words], split="train")
    assert first == second
    assert (folder / "a/shards" / first.name).read_bytes() == (folder / "b/shards" / second.name).read_bytes()


@settings(max_examples=25, deadline=None)
@given(names, st.binary(max_size=2000))
def test_the_bytes_are_those_of_webdatasets_own_writer(
    tmp_path_factory: pytest.TempPathFactory, words: list[str], data: bytes
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    made = [replace(sample(word), images=dict.fromkeys(ROLES, data)) for word in words]
    shard = write_shard(open_writable(folder), made, split="train")
    theirs = io.BytesIO()
    with webdataset.TarWriter(theirs, encoder=False, mtime=0, user="triptych", group="triptych") as writer:
        for one in sorted(made, key=lambda one: one.key):
            members = {f"{role}.webp": one.images[role] for role in ROLES}
            record = json.dumps(one.record, sort_keys=True, ensure_ascii=False).encode()
            writer.write({"__key__": one.key, **members, "txt": one.prompt.encode(), "json": record})
    ours = (folder / "shards" / shard.name).read_bytes()
    assert ours == theirs.getvalue()
    assert json.loads((folder / "shards" / f"{shard.name}.index.json").read_text()) == index_of(
        ours, name=shard.name, split="train"
    )


def test_webdataset_reads_every_member(tmp_path: Path) -> None:
    made = [sample(name) for name in ("cat", "dog", "whale")]
    shard = write_shard(open_writable(tmp_path), made, split="train")
    read = {
        item["__key__"]: item
        for item in webdataset.WebDataset(str(tmp_path / "shards" / shard.name), shardshuffle=False)
    }
    assert set(read) == {one.key for one in made}
    for one in made:
        assert {role: read[one.key][f"{role}.webp"] for role in ROLES} == one.images
        assert read[one.key]["txt"].decode() == one.prompt
        assert json.loads(read[one.key]["json"]) == one.record


def test_index_finds_every_member_without_reading_the_tar(tmp_path: Path) -> None:
    shard = write_shard(open_writable(tmp_path), [sample("cat"), sample("dog")], split="heldout")
    index = json.loads((tmp_path / "shards" / f"{shard.name}.index.json").read_text())
    data = (tmp_path / "shards" / shard.name).read_bytes()
    assert index["sha256"] == shard.sha256 == asset_id(data)
    assert index["split"] == "heldout"
    for entry in index["samples"]:
        for member in entry["members"]:
            content = data[member["offset"] : member["offset"] + member["size"]]
            assert asset_id(content) == member["sha256"]
        assert shard.offsets[entry["key"]] == min(member["offset"] for member in entry["members"])


def test_members_carry_no_time_or_owner(tmp_path: Path) -> None:
    shard = write_shard(open_writable(tmp_path), [sample("cat")], split="train")
    with tarfile.open(tmp_path / "shards" / shard.name) as archive:
        assert {member.mtime for member in archive} == {0}
    assert [key for key, _ in read_samples(tmp_path / "shards" / shard.name)] == [sample("cat").key]


@pytest.mark.parametrize("key", ["", "a.b", "a/b", "x" * 65])
def test_keys_that_readers_would_cut_are_refused(tmp_path: Path, key: str) -> None:
    one = sample("cat")
    with pytest.raises(ValueError, match="key"):
        write_shard(open_writable(tmp_path), [Sample(key, one.images, one.prompt, one.record)], split="train")


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="twice"):
        write_shard(open_writable(tmp_path), [sample("cat"), sample("cat")], split="train")


def test_nothing_is_left_when_writing_fails(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one"):
        write_shard(open_writable(tmp_path), [], split="train")
    assert not list(tmp_path.iterdir())
