"""Jobs over a user's own files: photographs, folders with hostile files among good ones, and webdataset tars."""

from __future__ import annotations

import csv
import io
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

from curation.job import run_job
from manifests.store import Store
from manifests.verify import verify
from tests.curation.ingest.hostile import write_hostile
from tests.system.jobs import small_spec

pytestmark = pytest.mark.usefixtures("ray_local")
PHOTOS = ("astronaut", "coffee", "chelsea", "rocket", "retina", "hubble_deep_field")


def write_photographs(folder: Path) -> None:
    folder.mkdir()
    for name in PHOTOS:
        picture = cv2.resize(getattr(data, name)(), (300, 220), interpolation=cv2.INTER_AREA)
        Image.fromarray(picture).save(folder / f"{name}.jpg", quality=92)


def test_photographs_become_triplets_at_their_own_aspect(tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos")
    spec = small_spec(
        tmp_path,
        sources=[{"kind": "procedural", "path": "photos", "licence": "CC0-1.0"}],
        image={"size": 128},
        treatments=["pencil", "mosaic"],
        targets={},
        faults={"share": 0.0},
        policy=[],
    )
    store = Store(tmp_path / "store")
    summary = run_job(spec, store)
    assert summary.progress.targets == len(PHOTOS) * 2
    assert summary.progress.accepted > len(PHOTOS)
    rows = [row for row in store.triplets.read().to_pylist() if row["accepted"]]
    assets = {row["ref_id"]: row for row in store.assets.read().to_pylist()}
    for row in rows:
        target, content, style = (assets[row[f"{role}_ref"]] for role in ("target", "content", "style"))
        assert (target["width"], target["height"]) == (128, 94)
        assert content["locator"] == target["locator"]
        assert content["treatment"] == "none"
        assert style["treatment"] == target["treatment"]
        assert style["locator"] != target["locator"]
        assert target["licence"] == "CC0-1.0"
        assert (content["transform"] is None) == (row["layout"] == "preserved")
    distance = {
        layout: np.median([row["layout_distance"] for row in rows if row["layout"] == layout])
        for layout in ("preserved", "shifted")
    }
    assert distance["preserved"] < distance["shifted"] - 0.1
    assert verify(store).faults == []


def test_broken_and_hostile_files_become_rows_and_good_ones_go_through(tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    expected = write_hostile(folder)
    assert len(expected) >= 40
    subjects = []
    for position, name in enumerate(PHOTOS):
        picture = cv2.resize(getattr(data, name)(), (96, 96), interpolation=cv2.INTER_AREA)
        for style, pixels in (("photo", picture), ("negative", 255 - picture)):
            file = f"good-{style}-{position}.png"
            Image.fromarray(np.ascontiguousarray(pixels)).save(folder / file)
            subjects.append({"file": file, "subject": name, "style": style})
    subjects += [{"file": name, "subject": f"bad {name}", "style": "negative"} for name in expected]
    with (tmp_path / "table.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["file", "subject", "style"])
        writer.writeheader()
        writer.writerows(subjects)
    spec = small_spec(
        tmp_path,
        sources=[{"kind": "folder", "path": "mixed", "table": "table.csv", "realistic_style": "photo"}],
        targets={},
        faults={"share": 0.0},
        policy=[],
        deduplicate={"max_distance": 0},
    )
    store = Store(tmp_path / "store")
    summary = run_job(spec, store)
    refused = {row["locator"]: row["refused"] for row in store.assets.read().to_pylist() if row["refused"]}
    assert refused == {name: str(reason) for name, reason in expected.items()}
    rows = store.triplets.read().to_pylist()
    bad = [row for row in rows if row["subject"].startswith("bad ")]
    assert len(bad) == 2 * len(expected)
    for row in bad:
        assert row["reasons"] == [f"ingest:{expected[row['subject'].removeprefix('bad ')]}"]
    assert summary.progress.accepted > len(PHOTOS)
    assert verify(store).faults == []


def test_webdataset_tars_are_curated(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "in.tar", "w") as archive:

        def add(name: str, content: bytes) -> None:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))

        for name in PHOTOS:
            picture = cv2.resize(getattr(data, name)(), (80, 80), interpolation=cv2.INTER_AREA)
            for style, pixels in (("photo", picture), ("negative", 255 - picture)):
                buffer = io.BytesIO()
                Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG")
                add(f"{name}-{style}.png", buffer.getvalue())
                add(f"{name}-{style}.json", f'{{"subject": "{name}", "style": "{style}", "licence": "MIT"}}'.encode())
        add("../escape.png", b"x")
    spec = small_spec(
        tmp_path,
        sources=[{"kind": "webdataset", "urls": ["in.tar"], "realistic_style": "photo"}],
        targets={},
        faults={"share": 0.0},
        policy=[],
    )
    store = Store(tmp_path / "store")
    summary = run_job(spec, store)
    assert summary.progress.accepted > len(PHOTOS)
    assert summary.progress.refused == 1
    reasons = {reason for row in store.triplets.read().to_pylist() for reason in row["reasons"]}
    assert "ingest:unsafe_path" in reasons
    assert all(row["licences"] == ["MIT"] for row in store.triplets.read().to_pylist() if row["accepted"])
