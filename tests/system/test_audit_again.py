"""Auditors on a real job's store: candidates made again, evaluation images found, and a log of who looked."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from curation.job import run_job
from curation.sources.iconify import IconifySource
from manifests.audit.ledger import Ledger
from manifests.audit.pictures import pictures_of
from manifests.store import Store
from tests.system.jobs import small_spec
from tests.system.test_cli import triptych


@pytest.fixture(scope="module")
def store(ray_local: None, atelier: IconifySource, tmp_path_factory: pytest.TempPathFactory) -> Path:
    del ray_local, atelier
    folder = tmp_path_factory.mktemp("audited")
    run_job(small_spec(folder), Store(folder / "store"), limit=24)
    return folder / "store"


def rows(store: Path) -> list[dict[str, Any]]:
    return Store(store).triplets.read().to_pylist()  # type: ignore[no-any-return]


def asked(*words: str | Path, who: str = "ana") -> Any:
    return triptych("audit", *words, env={**os.environ, "TRIPTYCH_USER": who})


def test_accepted_and_rejected_candidates_are_made_again_to_the_bit(store: Path) -> None:
    chosen = [next(row for row in rows(store) if row["accepted"] is accepted) for accepted in (True, False)]
    for row in chosen:
        done = asked("reproduce", row["candidate_id"], "--store", store, "--json")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["sameness"] == "bit-exact"
        assert found["changes"] == []
        assert found["scores"] == {}
        if row["accepted"]:
            assert found["accepted"] == [True, True]
            assert [image["role"] for image in found["images"]] == ["target", "content", "style"]


def test_what_has_changed_since_is_named(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from curation.context import gallery_of
    from curation.reproduce import reproduce

    row = next(row for row in rows(store) if row["accepted"])
    read = IconifySource.read
    monkeypatch.setattr("curation.reproduce.expert_digests", lambda *_: ["another"])
    monkeypatch.setattr("curation.reproduce.version", lambda _: "0.0.1")
    gallery_of.cache_clear()
    found = reproduce(Ledger(store), row["candidate_id"], scores=False)
    assert any("stylize expert" in change for change in found.changes)
    assert any(change.startswith("ray was ") for change in found.changes)
    assert found.sameness == "bit-exact"

    def darker(source: IconifySource, ref: Any, *, size: int) -> bytes:
        image = Image.open(io.BytesIO(read(source, ref, size=size)))
        out = io.BytesIO()
        image.point(lambda value: value // 2).save(out, "PNG")
        return out.getvalue()

    monkeypatch.setattr(IconifySource, "read", darker)
    gallery_of.cache_clear()
    changed = reproduce(Ledger(store), row["candidate_id"], scores=False)
    gallery_of.cache_clear()
    assert changed.sameness in ("different", "not made")
    assert changed.findings


def test_evaluation_images_are_found_and_gate_the_export(store: Path, tmp_path: Path) -> None:
    ledger = Ledger(store)
    accepted = [row for row in rows(store) if row["accepted"]][:3]
    originals = [
        Image.open(io.BytesIO(pictures_of(ledger, row["candidate_id"], row["shard"])[0].data)).convert("RGB")
        for row in accepted
    ]
    evaluation = tmp_path / "bench" / "style"
    evaluation.mkdir(parents=True)
    originals[0].save(evaluation / "copy.png")
    originals[1].resize((200, 200)).save(evaluation / "smaller.jpg", quality=70)
    ImageOps.mirror(originals[2]).save(evaluation / "mirrored.png")
    page = tmp_path / "pairs.html"
    found = asked("contamination", "--store", store, "--against", tmp_path / "bench", "--html", page, "--json")
    assert found.returncode == 1, found.stderr
    result = json.loads(found.stdout)
    by_asset = {pair["asset_id"]: pair["evidence"] for pair in result["pairs"]}
    assert {row["target_id"] for row in accepted} <= set(by_asset)
    assert {row["candidate_id"] for row in accepted} <= set(result["candidates"])
    assert page.read_text().count("<article>") == len(result["pairs"])
    out = tmp_path / "export"
    refused = asked("export", "--store", store, "--out", out, "--form", "csv", "--against", tmp_path / "bench")
    assert refused.returncode == 1
    assert "--drop" in refused.stderr
    assert not out.exists()
    dropped = asked(
        *(
            "export",
            "--store",
            store,
            "--out",
            out,
            "--form",
            "csv",
            "--against",
            tmp_path / "bench",
            "--drop",
            "--json",
        )
    )
    assert dropped.returncode == 0, dropped.stderr
    written = json.loads(dropped.stdout)
    assert written["rows"] == sum(row["accepted"] for row in rows(store)) - len(result["candidates"])


def test_unrelated_images_are_not_found_and_a_broken_one_is_said(store: Path, tmp_path: Path) -> None:
    (tmp_path / "bench").mkdir()
    noise = Image.effect_noise((96, 96), 80).convert("RGB")
    noise.save(tmp_path / "bench" / "noise.png")
    clean = asked("contamination", "--store", store, "--against", tmp_path / "bench")
    assert clean.returncode == 0, clean.stdout + clean.stderr
    (tmp_path / "bench" / "broken.png").write_bytes(b"no image")
    broken = asked("contamination", "--store", store, "--against", tmp_path / "bench")
    assert broken.returncode == 1
    assert "not compared: bench/broken.png" in broken.stdout


def test_a_store_with_roles_refuses_and_logs(store: Path, tmp_path: Path) -> None:
    one = rows(store)[0]["candidate_id"]
    assert "no roles" in asked("access", "--store", store).stdout
    granted = asked("access", "--store", store, "--grant", "take_down=ana", "--grant", "read_images=ana")
    assert granted.returncode == 0, granted.stderr
    assert asked("explain", one, "--store", store, who="eve").returncode == 0
    refused = asked("explain", one, "--store", store, "--html", tmp_path / "x.html", who="eve")
    assert refused.returncode == 2
    assert "eve may not read images here; ana may" in refused.stderr
    assert asked("access", "--store", store, "--grant", "take_down=eve", who="eve").returncode == 2
    logged = json.loads(asked("log", "--store", store, "--json").stdout)
    assert logged["faults"] == []
    told = [(entry["who"], entry["verb"], entry["outcome"]) for entry in logged["entries"]]
    assert told == [
        ("ana", "access", "done"),
        ("eve", "explain", "done"),
        ("eve", "explain", "refused"),
        ("eve", "access", "refused"),
    ]
    assert asked("takedown", "--store", store, "--author", "A. Painter of Secrets", "--dry-run").returncode == 1
    assert "Secrets" not in "".join(path.read_text() for path in (store / "access-log").iterdir())
    assert asked("log", "--store", store).returncode == 0
    (store / "access-log" / f"{1:012}.json").unlink()
    assert asked("log", "--store", store).returncode == 1
