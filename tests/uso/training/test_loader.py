"""The loader: the same stream for any ranks and workers, bytes held against the manifest, filters and mixtures."""

from __future__ import annotations

import shutil
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from manifests.identities import digest_of
from manifests.store import Store
from tests.uso.training.stores import make_store
from uso.training.catalog import Catalog, Slots
from uso.training.loader import DamagedSampleError, LoaderSettings, TripletLoader
from uso.training.order import Position
from uso.training.sources import NoSamplesError, Shapes, StoreSource, resolve

SHAPES = Shapes(64, 64)


@pytest.fixture(scope="module")
def catalog(store: Store) -> Catalog:
    return resolve([StoreSource(str(store.root))], SHAPES)


def ids(catalog: Catalog, world: int, workers: int, count: int, start: Position = Position()) -> list[list[str]]:  # noqa: B008
    settings = LoaderSettings(seed=3, batch=8, window=16, workers=workers)
    loaders = [TripletLoader(catalog, settings, rank=rank, world=world) for rank in range(world)]
    streams = [loader.batches(start) for loader in loaders]
    return [[name for stream in streams for name in next(stream).ids] for _ in range(count)]


@pytest.mark.parametrize(("world", "workers"), [(1, 1), (2, 3), (3, 2), (8, 1)])
def test_the_stream_of_global_batches_does_not_depend_on_ranks_and_workers(
    catalog: Catalog, world: int, workers: int
) -> None:
    assert ids(catalog, world, workers, 9) == ids(catalog, 1, 2, 9)


def test_a_stream_goes_on_elsewhere_with_other_ranks(catalog: Catalog) -> None:
    whole = ids(catalog, 1, 2, 14)
    loader = TripletLoader(catalog, LoaderSettings(seed=3, batch=8, window=16))
    position = list(islice(loader.batches(), 5))[-1].following
    halfway = ids(catalog, 2, 1, 4, position)
    position = list(islice(loader.batches(), 9))[-1].following
    assert whole[:5] + halfway + ids(catalog, 1, 3, 5, position) == whole


def test_images_are_those_of_the_store(catalog: Catalog, store: Store) -> None:
    from manifests.shards import read_samples

    stored = dict(
        pair for shard in store.committed_shards() for pair in read_samples(store.root / "shards" / shard["name"])
    )
    batch = next(TripletLoader(catalog, LoaderSettings(batch=8)).batches())
    for sample in batch.samples:
        for role in ("target", "content", "style"):
            import io

            expected = np.asarray(Image.open(io.BytesIO(stored[sample.id][f"{role}.webp"])).convert("RGB"))
            assert np.array_equal(sample.images[role], expected)
        assert sample.prompt == stored[sample.id]["txt"].decode()
    assert batch.stack("target").shape == (8, 3, 64, 64)


def test_batches_have_one_shape_for_target_and_content(tmp_path: Path) -> None:
    mixed = make_store(tmp_path / "mixed", 40, sizes=[(64, 64), (96, 48), (48, 80)], shard=7)
    catalog = resolve([StoreSource(str(mixed.root))], SHAPES)
    assert len(catalog.buckets) == 3
    loader = TripletLoader(catalog, LoaderSettings(batch=4))
    shapes = set()
    for batch in islice(loader.batches(), 12):
        target, content = batch.stack("target").shape, batch.stack("content").shape
        shapes.add((target, content))
        assert all(side % 16 == 0 for side in (*target[2:], *content[2:]))
    assert len(shapes) == 3


def test_a_filter_is_applied_before_the_start(store: Store) -> None:
    where = "layout = 'shifted' and style_similarity > 0.5"
    catalog = resolve([StoreSource(str(store.root), where=where)], SHAPES)
    numbers = [number for number in range(48) if number % 2 == 0 and number % 10 / 10 > 0.5]
    assert sorted(catalog.ids().to_pylist()) == sorted(digest_of(["sample", number]) for number in numbers)


@pytest.mark.parametrize("where", ["layut = 'shifted'", "layout = ", "style_similarity > 0.1; drop table t"])
def test_a_wrong_filter_is_told_before_the_start(store: Store, where: str) -> None:
    with pytest.raises(ValueError, match="where"):
        resolve([StoreSource(str(store.root), where=where)], SHAPES)


def test_a_filter_that_matches_nothing_is_told(store: Store) -> None:
    with pytest.raises(NoSamplesError, match="no accepted samples"):
        resolve([StoreSource(str(store.root), where="style_similarity > 5")], SHAPES)


def test_held_out_subjects_are_never_among_the_training_samples(catalog: Catalog, store: Store) -> None:
    heldout = resolve([StoreSource(str(store.root))], SHAPES, split="heldout")
    assert len(heldout) == 8
    assert not set(heldout.ids().to_pylist()) & set(catalog.ids().to_pylist())


def test_later_commits_do_not_change_a_pinned_run(tmp_path: Path) -> None:
    made = make_store(tmp_path / "growing", 20)
    before = resolve([StoreSource(str(made.root))], SHAPES)
    version = before.sources[0].snapshot.version
    stream = ids(before, 1, 2, 5)
    make_store(tmp_path / "growing", 10, first=500)
    pinned = resolve([StoreSource(str(made.root), version=version)], SHAPES)
    assert pinned.digest == before.digest
    assert ids(pinned, 1, 2, 5) == stream
    assert len(resolve([StoreSource(str(made.root))], SHAPES)) == 30


def test_mixtures_follow_their_weights_and_need_all_of_them(tmp_path: Path, store: Store) -> None:
    other = make_store(tmp_path / "other", 16, first=2000)
    stores = [StoreSource(str(store.root), weight=1.0), StoreSource(str(other.root), weight=3.0)]
    catalog = resolve(stores, SHAPES)
    loader = TripletLoader(catalog, LoaderSettings(batch=8))
    sources = [sample.entry.source for batch in islice(loader.batches(), 40) for sample in batch.samples]
    assert sources.count(1) == pytest.approx(3 * sources.count(0), abs=8)
    with pytest.raises(ValueError, match="every store a weight"):
        resolve([stores[0], StoreSource(str(other.root))], SHAPES)


def test_a_flipped_bit_is_found_on_first_read_and_can_be_skipped(tmp_path: Path, store: Store) -> None:
    copy = tmp_path / "damaged"
    shutil.copytree(store.root, copy)
    catalog = resolve([StoreSource(str(copy))], SHAPES)
    victim = catalog.entry(5)
    place = _place(copy, victim.shard, victim.id, "target")
    path = copy / "shards" / victim.shard
    data = bytearray(path.read_bytes())
    data[place + 40] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedSampleError, match=r"sha256 differs|another sha256") as caught:
        list(islice(TripletLoader(catalog, LoaderSettings(batch=8)).batches(), 6))
    assert caught.value.sample == victim.id
    skipping = TripletLoader(catalog, LoaderSettings(batch=8, on_error="skip"))
    batches = list(islice(skipping.batches(), 6))
    assert [error.sample for batch in batches for error in batch.damaged] == [victim.id]
    assert sum(len(batch.samples) for batch in batches) == 47


def test_a_missing_shard_is_an_error_that_names_sample_and_mend(tmp_path: Path, store: Store) -> None:
    copy = tmp_path / "lacking"
    shutil.copytree(store.root, copy)
    catalog = resolve([StoreSource(str(copy))], SHAPES)
    (copy / "shards" / catalog.entry(0).shard).unlink()
    with pytest.raises(DamagedSampleError, match="triptych store verify"):
        list(islice(TripletLoader(catalog, LoaderSettings(batch=8)).batches(), 6))


def test_prompts_can_be_made_from_the_manifest(store: Store) -> None:
    catalog = resolve([StoreSource(str(store.root))], SHAPES, prompt="{subject} in {style}")
    batch = next(TripletLoader(catalog, LoaderSettings(batch=8)).batches())
    assert all(sample.prompt.split(" in ")[1].startswith("ink ") for sample in batch.samples)


def test_experts_see_the_images_in_other_places(store: Store) -> None:
    slots = Slots(target="content", content="target", style=None)
    catalog = resolve([StoreSource(str(store.root))], SHAPES, slots=slots)
    batch = next(TripletLoader(catalog, LoaderSettings(batch=8)).batches())
    assert set(batch.samples[0].images) == {"target", "content"}


def _place(root: Path, shard: str, key: str, member: str) -> int:
    import json

    index = json.loads((root / "shards" / f"{shard}.index.json").read_text())
    sample = next(sample for sample in index["samples"] if sample["key"] == key)
    return int(next(part["offset"] for part in sample["members"] if part["name"].startswith(member)))
