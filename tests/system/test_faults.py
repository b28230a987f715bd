"""A job on a cluster over S3 goes on through what clusters do, and its store is whole afterwards."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from curation.sources.iconify import IconifySource
from manifests.store import Store
from tests.system.faults import (
    Driver,
    Site,
    assert_recovered,
    running_site,
    summary_of,
    wait_for_candidates,
)
from tests.system.jobs import write_spec

LIMIT = 60
CANDIDATES = 2 * LIMIT

STAGES: dict[str, Any] = {
    "ingest": {"cpus": 0.25, "workers": [1, 2]},
    "load": {"cpus": 0.25},
    "stylize": {"cpus": 0.25, "gpus": 0.5, "workers": [1, 2]},
    "destylize": {"cpus": 0.25, "gpus": 0.5, "workers": [1, 2]},
    "score": {"cpus": 0.25, "gpus": 0.5, "workers": [1, 2]},
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, atelier: IconifySource) -> Iterator[Site]:
    del atelier
    with running_site(tmp_path_factory.mktemp("weed")) as running:
        yield running


def spec_in(folder: Path, **changes: Any) -> Path:
    return write_spec(folder, shards={"candidates": 8}, **{"stages": STAGES, "ray": {}, **changes})


@pytest.fixture(scope="module")
def candidates(site: Site, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """What the job makes where nothing happens to it."""
    root = "s3://data/undisturbed"
    text = site.start_job(spec_in(tmp_path_factory.mktemp("spec")), root, LIMIT).end()
    made = Store(root).committed_candidates()
    assert len(made) == CANDIDATES, text
    return made


def started(site: Site, tmp_path: Path, name: str, *, after: int = 8, **changes: Any) -> tuple[Driver, str]:
    """Start the job on a store of its own, and return it when so many candidates are committed."""
    root = f"s3://data/{name}"
    driver = site.start_job(spec_in(tmp_path, **changes), root, LIMIT)
    wait_for_candidates(root, after, driver)
    return driver, root


def test_nodes_go_and_come_and_processes_that_work_are_killed(site: Site, candidates: set[str], tmp_path: Path) -> None:
    driver, root = started(site, tmp_path, "nodes")
    draw = random.Random(3)
    site.kill_worker(draw)
    site.lose_node()
    site.add_node()
    site.kill_worker(draw)
    text = driver.end()
    assert driver.process.returncode == 0, text
    assert summary_of(text)["committed"] == CANDIDATES
    assert_recovered(root, candidates)


@pytest.mark.slow
def test_the_driver_is_killed_and_started_twice_over(site: Site, candidates: set[str], tmp_path: Path) -> None:
    driver, root = started(site, tmp_path, "drivers")
    driver.kill()
    before = len(Store(root).committed_candidates())
    assert 0 < before < CANDIDATES
    both = [site.start_job(spec_in(tmp_path), root, LIMIT) for _ in range(2)]
    told = [summary_of(one.end()) for one in both]
    assert [one.process.returncode for one in both] == [0, 0]
    assert before + sum(one["committed"] for one in told) == CANDIDATES
    assert_recovered(root, candidates)


@pytest.mark.slow
def test_the_store_goes_away_and_comes_back(site: Site, candidates: set[str], tmp_path: Path) -> None:
    driver, root = started(site, tmp_path, "store")
    site.kill_store()
    time.sleep(5)
    assert driver.running, driver.text()
    site.start_store()
    text = driver.end()
    assert driver.process.returncode == 0, text
    assert_recovered(root, candidates)


@pytest.mark.slow
def test_an_object_store_that_is_too_small_spills(site: Site, tmp_path: Path) -> None:
    """Pictures of 768 pixels, and room for a hundred megabytes of what lies between the stages."""
    large = {"image": {"size": 768}, "shards": {"candidates": 32}}
    root = "s3://data/spilled"
    spec = write_spec(tmp_path, **{"stages": STAGES, "ray": {}, **large})
    driver = site.start_job(spec, root, 24)
    text = driver.end(600)
    assert driver.process.returncode == 0, text
    assert_recovered(root, set(Store(root).committed_candidates()))
    assert summary_of(text)["committed"] == 48


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_soak(site: Site, tmp_path: Path) -> None:
    """Faults at random for 20 minutes, or as many as TRIPTYCH_SOAK_MINUTES says; every fault is printed."""
    from tests.system.soak import soak

    minutes = float(os.environ.get("TRIPTYCH_SOAK_MINUTES", "20"))
    seed = int(os.environ.get("TRIPTYCH_SOAK_SEED", str(random.randrange(10**6))))
    soak(site, tmp_path, minutes=minutes, seed=seed)
