"""The head of a Ray cluster as an administrator starts it, with its job server, ended by its process ids."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

_STORE = 150 * 1024 * 1024


@dataclass(frozen=True)
class Head:
    """A running head node."""

    address: str
    """For `ray.address`."""
    jobs: str
    """For `--address`."""
    log: Path


@contextmanager
def running_head(folder: Path, environment: Mapping[str, str], *, cpus: int = 2) -> Iterator[Head]:
    """Run a head node until the block ends. Raises RuntimeError with its log where it does not come up."""
    gcs, dashboard, listen, client, metrics = _free_ports(5)
    log = folder / "head.log"
    # Ray puts sockets there, whose paths may be 107 bytes long.
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as short, log.open("wb") as out:
        command = [
            *(str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--disable-usage-stats"),
            *(f"--port={gcs}", f"--num-cpus={cpus}", f"--object-store-memory={_STORE}", f"--temp-dir={short}"),
            *("--include-dashboard=true", f"--dashboard-port={dashboard}", "--node-ip-address=127.0.0.1"),
            *(f"--dashboard-agent-listen-port={listen}", f"--ray-client-server-port={client}"),
            f"--metrics-export-port={metrics}",
        ]
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **environment})
        try:
            for port in (gcs, dashboard, listen):
                _wait(port, process, log)
            yield Head(f"127.0.0.1:{gcs}", f"http://127.0.0.1:{dashboard}", log)
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in children:
        if child.is_running():
            child.kill()
    psutil.wait_procs(children, timeout=10)


def _wait(port: int, process: subprocess.Popen[bytes], log: Path, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"Ray's head did not come up:\n{log.read_text(errors='replace')[-3000:]}")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
