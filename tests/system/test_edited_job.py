"""A whole job on Ray with an endpoint that captions, one that stylizes, and a Kontext pipeline that de-stylizes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from curation.experts import ExpertError, expert_digests
from curation.job import Summary, run_job
from curation.report.experts import known_experts
from curation.sources.iconify import IconifySource
from curation.spec.model import JobSpec
from manifests.shards import read_samples
from manifests.store import Store
from manifests.verify import verify
from tests.system.edits_endpoint import Asked, EditsEndpoint, Said, handing, inverted, refusing, running_edits
from tests.system.endpoint import Endpoint, running_endpoint, saying
from tests.system.jobs import small_spec
from tests.workers.experts.pipelines import build_kontext

LIMIT = 12


@pytest.fixture(scope="module")
def kontext(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_kontext(tmp_path_factory.mktemp("pipeline") / "kontext")


@pytest.fixture(scope="module")
def captions() -> Iterator[Endpoint]:
    with running_endpoint(lambda _asked: saying("a pencil drawing of a small thing on a table")) as server:
        yield server


@pytest.fixture(scope="module")
def edits() -> Iterator[EditsEndpoint]:
    with running_edits() as server:
        yield server


@pytest.fixture(scope="module", autouse=True)
def _ready(atelier: IconifySource, ray_local: None) -> None:
    del atelier, ray_local


def keys(kontext: Path, captions: Endpoint, edits: EditsEndpoint) -> dict[str, Any]:
    painting = {"kind": "diffusers", "name": "kontext", "pipeline": str(kontext), "size": 32, "steps": 1, "batch": 4}
    bought = {"kind": "http", "name": "endpoint", "base_url": edits.url, "model": "image-1", "price": 0.04}
    chat = {"base_url": captions.url, "model": "vlm", "retries": 1}
    return {
        "experts": {
            "stylize": [{**bought, "retries": 1, "concurrency": 4}, {"kind": "retrieval", "name": "spare", "share": 0}],
            "destylize": [{**painting, "dtype": "float32"}],
        },
        "captions": {"kind": "openai", "style_words": "strip", "empty_share": 0.5, **chat},
        "faults": {"share": 0.0},
        "policy": [],
    }


@pytest.fixture(scope="module")
def job(
    tmp_path_factory: pytest.TempPathFactory, kontext: Path, captions: Endpoint, edits: EditsEndpoint
) -> tuple[JobSpec, Store, Summary]:
    """Return a job in which the endpoint once refused, and once sent no image."""
    count = 0

    def sometimes(asked: Asked) -> Said:
        nonlocal count
        with edits.lock:
            count += 1
            number = count
        return {3: refusing(400, "not this one"), 7: handing(b"no image")}.get(number, inverted(asked))

    edits.reply = sometimes
    folder = tmp_path_factory.mktemp("job")
    spec, store = small_spec(folder, **keys(kontext, captions, edits)), Store(folder / "store")
    return spec, store, run_job(spec, store, limit=LIMIT)


def test_every_candidate_is_in_the_manifest_with_who_wrote_and_drew_it(job: tuple[JobSpec, Store, Summary]) -> None:
    spec, store, summary = job
    rows = store.triplets.read().to_pylist()
    assert summary.status == "finished"
    assert len(rows) == 2 * LIMIT
    assert summary.progress.reasons["stylize_failed:http_400"] == 1
    assert summary.progress.reasons["stylize_failed:not_an_image"] == 1
    made = [row for row in rows if row["accepted"]]
    assert len(made) == 2 * LIMIT - summary.progress.duplicates * 2 - 2
    for row in made:
        assert row["destylize_expert"] == expert_digests(spec, "destylize")[0]
        assert row["stylize_expert"] == expert_digests(spec, "stylize")[0]
        assert row["prompt"] in ("", "a small thing on a table")
        assert (row["captioner"] is not None) == bool(row["prompt"])
        assert row["prompt"] or row["layout"] == "preserved"
        assert row["stylize_seconds"] > 0
    prompts = {row["prompt"] for row in made if row["layout"] == "preserved"}
    assert prompts == {"", "a small thing on a table"}
    assets = {row["ref_id"]: row for row in store.assets.read().to_pylist()}
    moves = [json.loads(assets[row["content_ref"]]["transform"]).get("move") for row in made]
    assert [move is not None for move in moves] == [row["layout"] == "shifted" for row in made]
    described = known_experts(store.jobs.read().to_pylist())
    assert described[expert_digests(spec, "stylize")[0]]["price"] == 0.04
    assert described[expert_digests(spec, "destylize")[0]]["library"].startswith("diffusers ")
    assert verify(store).faults == []
    assert sum(1 for shard in (Path(store.root) / "shards").glob("*.tar") for _ in read_samples(shard)) == len(made)


def test_a_job_that_starts_over_buys_nothing_that_it_had_bought(
    tmp_path: Path, job: tuple[JobSpec, Store, Summary], captions: Endpoint, edits: EditsEndpoint
) -> None:
    spec, first, _ = job
    edits.reply = inverted
    bought, said = len(edits.asked), len(captions.asked)
    shutil.copytree(Path(first.root) / "cache", tmp_path / "cache")  # as after a kill: bought, and nothing committed
    second = Store(tmp_path)
    run_job(spec, second, limit=LIMIT)
    assert len(edits.asked) - bought == 1  # the image that was refused, and so not bought
    assert len(captions.asked) == said
    before, after = (
        {row["candidate_id"]: row for row in store.triplets.read().to_pylist()} for store in (first, second)
    )
    assert before.keys() == after.keys()
    for candidate, row in before.items():
        if "stylize_failed:http_400" not in row["reasons"]:
            same = ("style_id", "content_id", "prompt", "reasons")
            assert [row[key] for key in same] == [after[candidate][key] for key in same]


def test_an_endpoint_that_refuses_the_key_ends_the_job_before_any_candidate_is_spent(
    tmp_path: Path, kontext: Path, captions: Endpoint, edits: EditsEndpoint
) -> None:
    edits.listing = refusing(401, "unknown key")
    store = Store(tmp_path / "store")
    with pytest.raises(ExpertError, match=r"experts.stylize\[0\]: image-1 cannot be asked \(http_401: unknown key\)"):
        run_job(small_spec(tmp_path, **keys(kontext, captions, edits)), store, limit=2)
    assert store.triplets.read().num_rows == 0
