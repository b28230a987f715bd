"""A small cluster over a real S3 server, and what happens to such things: nodes, workers, drivers and the store go."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from manifests.store import Store
from manifests.upkeep.gc import collect
from manifests.verify import verify
from tests.system.seaweed import Seaweed, running_seaweed

ROOT = Path(__file__).parents[2]
_MB = 2**20
_NODE: dict[str, Any] = {"num_cpus": 2, "num_gpus": 2}
"""The GPUs are Ray's word alone: stages that ask for them are placed by them."""


@dataclass
class Site:
    """Nodes of Ray, of which the head does no work, and an S3 server with the bucket `data`."""

    address: str
    store_mb: int
    seaweed: Seaweed
    cluster: Any
    nodes: list[Any] = field(default_factory=list)
    said: Callable[[str], None] = lambda _what: None
    """Is told what was done to the site."""

    def add_node(self) -> None:
        self.nodes.append(self.cluster.add_node(**_NODE, object_store_memory=self.store_mb * _MB))
        self.said(f"a node joined: {len(self.nodes)}")

    def lose_node(self, which: int = 0) -> None:
        """Take a node away as a spot market does when it gives no notice."""
        self.cluster.remove_node(self.nodes.pop(which), allow_graceful=False)
        self.said(f"a node was lost: {len(self.nodes)} left")

    def kill_worker(self, draw: random.Random | None = None) -> bool:
        """Kill a process that does the job's work, and tell whether there was one."""
        workers = [process for node in self.nodes for process in _workers(node)]
        if not workers:
            return False
        victim = (draw or random.Random(0)).choice(workers)
        with contextlib.suppress(psutil.NoSuchProcess):
            name = victim.cmdline()[0]
            victim.kill()
            self.said(f"killed {name}")
        return True

    def kill_store(self) -> None:
        self.seaweed.kill()
        self.said("the S3 server was killed")

    def start_store(self) -> None:
        self.seaweed.restart()
        self.said("the S3 server is back")

    def start_job(self, spec: Path, root: str, limit: int) -> Driver:
        """Start a driver on this cluster."""
        command = [sys.executable, "-m", "curation.cli", "curate", "run", str(spec), "--store", root]
        flags = ["--limit", str(limit), "--no-report", "--json", "--set", f"ray.address={self.address}"]
        out = tempfile.TemporaryFile("w+")  # noqa: SIM115 - it ends with the driver
        process = subprocess.Popen([*command, *flags], stdout=out, stderr=subprocess.STDOUT, text=True, cwd=ROOT)
        return Driver(process, out)


@dataclass
class Driver:
    """The process of a job."""

    process: subprocess.Popen[str]
    out: Any

    def end(self, seconds: float = 300) -> str:
        """Wait until it has ended, and return what it said."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the job did not end within {seconds:g} s:\n{self.text()[-4000:]}") from None
        return self.text()

    def text(self) -> str:
        self.out.seek(0)
        text: str = self.out.read()
        return text

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def running(self) -> bool:
        return self.process.poll() is None


def summary_of(text: str) -> dict[str, Any]:
    """Return the summary at the end of what a job said."""
    found: dict[str, Any] = json.loads(text[text.index("\n{\n") :] if not text.startswith("{") else text)
    return found


@contextmanager
def running_site(folder: Path, *, nodes: int = 2, store_mb: int = 100) -> Iterator[Site]:
    """Run a site until the block ends; the environment of this process reaches both its parts."""
    with running_seaweed(folder) as seaweed, _environment(seaweed):
        from ray.cluster_utils import Cluster

        seaweed.client().create_bucket(Bucket="data")
        head = {"num_cpus": 0, "object_store_memory": store_mb * _MB, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            site = Site(cluster.address, store_mb, seaweed, cluster)
            for _ in range(nodes):
                site.add_node()
            yield site
        finally:
            cluster.shutdown()
            seaweed.kill()


def assert_recovered(root: str, candidates: set[str]) -> None:
    """Every candidate once, every byte as its commit says, and nothing left over after gc."""
    store = Store(root)
    ids = store.triplets.read(["candidate_id"])["candidate_id"].to_pylist()
    assert len(ids) == len(set(ids))
    assert set(ids) == candidates
    assert verify(store).faults == []
    from datetime import timedelta

    list(collect(store, grace=timedelta(0)))
    shards = {shard["name"] for shard in store.committed_shards()}
    there = {found.name.rpartition("/")[2] for found in store.files.list("shards/")}
    assert {name for name in there if name.endswith(".tar")} == shards
    assert there == shards | {f"{name}.index.json" for name in shards}
    assert list(store.files.unfinished()) == []
    assert verify(Store(root)).faults == []


def wait_for_candidates(root: str, count: int, driver: Driver, seconds: float = 240) -> None:
    """Wait until a store holds so many candidates; a driver that ends before that fails the test."""
    store, end = Store(root), time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if store.triplets.exists and len(store.committed_candidates()) >= count:
                return
        assert driver.running, driver.text()[-4000:]
        time.sleep(0.5)
    raise AssertionError(f"no {count} candidates within {seconds:g} s:\n{driver.text()[-4000:]}")


def _workers(node: Any) -> list[psutil.Process]:
    """Return the processes of a node that do a job's work: of actors, and of tasks."""
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    found = []
    for process in raylet.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            name = (process.cmdline() or [""])[0]
            if name.startswith("ray::") and not name.startswith(("ray::IDLE", "ray::Dashboard", "ray::RuntimeEnv")):
                found.append(process)
    return found


@contextmanager
def _environment(seaweed: Seaweed) -> Iterator[None]:
    wanted = {
        **seaweed.environment(),
        "RAY_AUTH_MODE": "disabled",  # what other modules have started Ray with in this process is kept by it
        "OMP_NUM_THREADS": "1",
        "RAY_BACKEND_LOG_LEVEL": "fatal",
    }
    hidden = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "RAY_ADDRESS", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
    before = {name: os.environ.get(name) for name in (*wanted, *hidden)}
    for name in hidden:
        os.environ.pop(name, None)
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
