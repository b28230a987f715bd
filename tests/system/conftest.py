"""What a module of system tests shares: a Ray instance, an S3 server, and a clean end to both."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator

import pytest

from tests.system.seaweed import Seaweed, running_seaweed


@pytest.fixture(scope="module")
def ray_local() -> Iterator[None]:
    """Start Ray on two cores with a small object store; jobs in this process use it."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    import ray

    ray.init(
        address="local",
        num_cpus=2,
        object_store_memory=150 * 1024 * 1024,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    """A real S3 server with an empty bucket `data`; what it stored goes with it."""
    folder = tmp_path_factory.mktemp("seaweed")
    with running_seaweed(folder) as server:
        server.client().create_bucket(Bucket="data")
        yield server
    shutil.rmtree(folder)
