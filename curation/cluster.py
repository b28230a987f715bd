"""The Ray instance of a job: a cluster to connect to, or a local one that ends with the process."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from curation.spec.model import JobSpec

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
    elif ours:
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
    try:
        yield
    finally:
        if ours:
            ray.shutdown()


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
    """Connect to Ray for the length of a job, and check that the job fits before any work starts."""
    with connected(spec.ray.address, cpus=spec.ray.cpus, object_store_mb=spec.ray.object_store_mb):
        import ray

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        _check_fits(spec, ray.cluster_resources())
        yield


def demand(spec: JobSpec) -> tuple[float, float]:
    """Return the CPUs and GPUs that the stages of the candidate graph hold while it runs, at their fewest workers."""
    stages = spec.pools().values()
    return sum(s.cpus * s.workers[0] for s in stages), sum(s.gpus * s.workers[0] for s in stages)


def _check_fits(spec: JobSpec, resources: dict[str, float]) -> None:
    for kind, needed in zip(("CPU", "GPU"), demand(spec), strict=True):
        there = resources.get(kind, 0.0)
        if needed > there + 1e-9:
            field = "cpus" if kind == "CPU" else "gpus"
            raise ClusterError(
                f"stages: the workers of all stages together hold {needed:g} {kind}s, the cluster has {there:g}; "
                f"lower stages.*.{field} or stages.*.workers"
            )
