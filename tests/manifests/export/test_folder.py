"""An export loads where people load data sets, holds every accepted triplet once, and names where each is from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from curation.graph.encoding import encode
from manifests.arrow_schema import arrow_schema, to_table
from manifests.audit.ledger import AuditError, Ledger
from manifests.export.folder import export
from manifests.identities import asset_id, digest_of
from manifests.licence_policy import LicencePolicy
from manifests.records import ROLES, Asset, Triplet
from manifests.shards import Sample, write_shard
from manifests.store import Store
from tests.manifests.making import triplet_row

COUNT = 7


def _image(name: str) -> bytes:
    pixels = np.random.default_rng(int(digest_of(name)[:8], 16)).integers(0, 255, (9, 7, 3), np.uint8)
    return encode(pixels, "webp")


def _asset(name: str, role: str) -> Asset:
    drawn = role == "content" and name.endswith("0")
    data = _image(f"{name}/{role}")
    return Asset.model_validate(
        {
            "ref_id": digest_of(f"{name}/{role}"),
            "asset_id": asset_id(data),
            "role": role,
            "source": "generated" if drawn else "folder",
            "locator": f"{name}.png",
            "fingerprint": "f",
            "subject": name,
            "family": "f",
            "treatment": "none",
            "style": "f",
            "split": "train",
            "licence": "CC-BY-4.0" if role == "style" else "MIT",
            "author": "A | B",
            "package": "p@1",
            **dict.fromkeys(["attribution_url", "transform", "width", "height", "bytes", "perceptual_hash"]),
            **dict.fromkeys(["refused", "detail"]),
        }
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a store of accepted triplets in two splits, and a rejected one."""
    store = Store(tmp_path / "cats")
    rows: list[dict[str, Any]] = []
    assets: list[Asset] = []
    shards = []
    for split in ("train", "heldout"):
        names = [f"{split}{number}" for number in range(COUNT)]
        samples = [
            Sample(digest_of(name), {role: _image(f"{name}/{role}") for role in ROLES}, "", {}) for name in names
        ]
        shard = write_shard(store.files, samples, split=split)  # type: ignore[arg-type]
        shards.append(shard)
        for name, sample in zip(names, samples, strict=True):
            own = {f"{role}_id": asset_id(sample.images[role]) for role in ROLES}
            own |= {f"{role}_ref": digest_of(f"{name}/{role}") for role in ROLES}
            own |= {
                "licences": ["CC-BY-4.0", "MIT"],
                "accepted": True,
                "split": split,
                "shard": shard.name,
                "offset": shard.offsets[sample.key],
            }
            rows.append(triplet_row(name, style_similarity=0.5, **own))
            assets += [_asset(name, role) for role in ROLES]
    rows.append(triplet_row("bad", reasons=["style_leak>0.5"]))
    store.commit(pa.Table.from_pylist(rows, arrow_schema(Triplet)), to_table(Asset, assets), shards)
    return store


def test_loads_with_datasets_and_each_image_is_the_one_that_was_committed(store: Store, tmp_path: Path) -> None:
    import datasets

    done = export(Ledger(store.root), tmp_path / "out")
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": COUNT, "heldout": COUNT}
    assert done.rows == 2 * COUNT
    stored = {row["candidate_id"]: row for row in store.triplets.read().to_pylist()}
    shown = loaded["train"].cast_column("content", datasets.Image(decode=False))
    for row in shown:
        assert asset_id(row["content"]["bytes"]) == stored[row["candidate_id"]]["content_id"]
    assert loaded["train"][0]["target"].size == (7, 9)


def test_croissant_is_valid_and_gives_the_records(store: Store, tmp_path: Path) -> None:
    import mlcroissant

    export(Ledger(store.root), tmp_path / "out")
    dataset = mlcroissant.Dataset(jsonld=str(tmp_path / "out" / "croissant.json"))
    assert not dataset.metadata.ctx.issues.errors
    assert not dataset.metadata.ctx.issues.warnings
    records = list(dataset.records("triplets"))
    assert len(records) == 2 * COUNT
    assert records[0]["triplets/style"].size == (7, 9)


@pytest.mark.parametrize("form", ["csv", "table"])
def test_tables_hold_everything_but_images(store: Store, tmp_path: Path, form: Any) -> None:
    import mlcroissant

    export(Ledger(store.root), tmp_path / "out", form=form, where="style_similarity > 0.4")
    records = list(mlcroissant.Dataset(jsonld=str(tmp_path / "out" / "croissant.json")).records("triplets"))
    assert len(records) == 2 * COUNT
    assert "triplets/target" not in records[0]


def test_names_authors_and_licences(store: Store, tmp_path: Path) -> None:
    export(Ledger(store.root), tmp_path / "out")
    credits = (tmp_path / "out" / "ATTRIBUTION.md").read_text()
    assert "A | B, p@1" in credits
    assert "train3.png" in credits
    assert "creativecommons.org/licenses/by/4.0" in credits
    receipt = json.loads((tmp_path / "out" / "export.json").read_text())
    for file in receipt["files"]:
        data = (tmp_path / "out" / file["file"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file["bytes"], file["sha256"])
    assert receipt["head"] == store.head()


def test_a_licence_policy_keeps_out_what_it_refuses_and_counts_it(store: Store, tmp_path: Path) -> None:
    none = LicencePolicy(deny=("CC-BY-4.0",))
    with pytest.raises(AuditError, match=r"CC-BY-4\.0 is denied: 14"):
        export(Ledger(store.root), tmp_path / "out", licences=none)
    all_of_it = export(Ledger(store.root), tmp_path / "out", licences=LicencePolicy(allow=("CC-BY-4.0", "MIT")))
    assert (all_of_it.rows, all_of_it.refused, all_of_it.apart) == (2 * COUNT, {}, 0)


def test_marks_what_was_drawn_and_nothing_else(store: Store, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    export(Ledger(store.root), tmp_path / "out", mark=True)
    for row in pq.read_table(tmp_path / "out" / "data").to_pylist():
        assert (b"trainedAlgorithmicMedia" in row["content"]["bytes"]) == (row["content_source"] == "generated")
        assert b"digitalsourcetype" not in row["style"]["bytes"]


def test_goes_on_where_it_was_cut_off(store: Store, tmp_path: Path) -> None:
    calls: list[int] = []

    def cut(done: int, _all: int) -> None:
        calls.append(done)
        if len(calls) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(Ledger(store.root), tmp_path / "out", progress=cut)
    assert not (tmp_path / "out").exists()
    first = next((tmp_path / "out.part" / "data").glob("*.parquet"))
    before = first.stat().st_mtime_ns
    done = export(Ledger(store.root), tmp_path / "out", progress=cut)
    assert done.rows == 2 * COUNT
    assert (tmp_path / "out" / "data" / first.name).stat().st_mtime_ns == before


def test_refuses_what_would_be_wrong(store: Store, tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="where"):
        export(Ledger(store.root), tmp_path / "out", where="no_such > 1")
    with pytest.raises(AuditError, match="no accepted triplet"):
        export(Ledger(store.root), tmp_path / "out", where="style_similarity > 2")
    shard = next((store.root / "shards").glob("*.tar"))
    data = bytearray(shard.read_bytes())
    data[600] ^= 1
    shard.write_bytes(bytes(data))
    with pytest.raises(AuditError, match="not what was committed"):
        export(Ledger(store.root), tmp_path / "out")
