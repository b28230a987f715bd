"""The Ray instance of a job: a cluster to connect to, or a local one that ends with the process."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from curation.capacity import bundles, shortage
from curation.spec.model import JobSpec

_log = logging.getLogger(__name__)
_PAUSE = 2.0
_KNOCK = 10.0
_MB = 1024 * 1024
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}
"""Set unless the user did: workers share the cores, so none of them starts a thread for each; Ray's own warnings about
how Ray Data restarts actors are no news to a user."""


class ClusterError(RuntimeError):
    """The cluster cannot run the job; the message says what to change: a field of the spec, for one."""


@contextmanager
def connected(address: str | None, *, cpus: int | None, object_store_mb: int) -> Iterator[None]:
    """Connect to Ray for a while: to a cluster, or to a local instance of so many cores that ends with it.

    Where the process is connected already, that connection is used and left as it is. Raises ClusterError when Ray does
    not start in time.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

    ours = not ray.is_initialized()
    if ours and address is None:
        _start(cpus, object_store_mb)
    elif ours and address is not None:
        _join(address)
    try:
        yield
    finally:
        if ours:
            ray.shutdown()


def _join(address: str) -> None:
    import ray

    try:
        _knock(address)
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
    except Exception as error:  # Ray raises nothing more particular
        why = str(error).strip().splitlines()
        raise ClusterError(
            f"ray.address: no cluster could be joined at {address}: {why[0] if why else type(error).__name__}; give "
            "the address of its head node as HEAD:6379, or `auto` on one of its nodes"
        ) from error


def _knock(address: str) -> None:
    """Raise OSError where nobody listens: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=_KNOCK).close()


def _start(cpus: int | None, object_store_mb: int) -> None:
    import ray

    try:
        ray.init(
            address="local",
            num_cpus=cpus,
            object_store_memory=object_store_mb * _MB,
            include_dashboard=False,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
    except Exception as error:  # Ray raises nothing more particular
        if "timed out during startup" not in str(error):
            raise
        raise ClusterError(
            "Ray did not start within the 30 seconds that it gives itself, so this machine is too busy; start again "
            "later: what is done already is kept"
        ) from error


@contextmanager
def cluster(spec: JobSpec) -> Iterator[None]:
    """Connect to Ray for the length of a job, and check that the job fits before any work starts.

    Where the spec says how long to wait, the cluster's autoscaler is asked for what is missing first.
    """
    with connected(spec.ray.address, cpus=spec.ray.cpus, object_store_mb=spec.ray.object_store_mb):
        import ray

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        limit = spec.ray.object_store_limit_mb
        context.execution_options.resource_limits = ray.data.ExecutionResources.for_limits(
            object_store_memory=limit * _MB if limit else None
        )
        with _told_to_end(), _room(spec):
            yield


@contextmanager
def _told_to_end() -> Iterator[None]:
    """Let SIGTERM, by which clusters and containers stop a job, end it as Ctrl-C does: noted down, and resumable."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _room(spec: JobSpec) -> Iterator[None]:
    """Check that the job fits, and hold on to the nodes that had to be asked for. Raises ClusterError."""
    lacking = shortage(spec, _nodes())
    if lacking is None:
        yield
        return
    if not spec.ray.wait_seconds:
        raise ClusterError(lacking)
    from ray.autoscaler.sdk import request_resources

    _log.warning("waiting up to %d s for nodes: %s", spec.ray.wait_seconds, lacking)
    request_resources(bundles=bundles(spec))
    try:
        end = time.monotonic() + spec.ray.wait_seconds
        while (lacking := shortage(spec, _nodes())) is not None:
            if time.monotonic() > end:
                raise ClusterError(f"{lacking}; waited {spec.ray.wait_seconds} s (ray.wait_seconds) for more nodes")
            time.sleep(_PAUSE)
        yield
    finally:
        request_resources(bundles=[])


def _nodes() -> list[dict[str, float]]:
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]
