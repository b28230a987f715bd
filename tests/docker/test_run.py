"""What the containers run, run: head and worker as Ray nodes with a token, the object store and its bucket.

There is no container engine where the tests run, so the commands of compose.yaml are started as they are, with ports
and folders of the test.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import yaml

from tests.docker.paths import DOCKER, checked, tool
from tests.docker.test_dashboard import QUERIES, rays, selectors
from tests.manifests.audit.whole_stores import whole_store
from tests.system.seaweed import free_ports

SERVICES = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]
PROGRAM = """
import ray, time
from curation import metrics

ray.init(address="auto", log_to_driver=False, logging_level="ERROR")

@ray.remote(num_cpus=1, num_gpus=0.5, resources={"accelerator_type:H100": 0.01})
def count():
    metrics.CANDIDATES.add(3, state="accepted")
    time.sleep(4)  # a worker that ends takes with it what was not exported yet
    return ray.get_runtime_context().get_node_id()

print(ray.get(count.remote()))
"""


def ray_ports(count: int) -> list[int]:
    """Return free ports above those that Ray gives its workers, 10002 to 19999, and below the outgoing ones."""
    ports: list[int] = []
    with ExitStack() as held:
        for port in range(23_000 + os.getpid() % 5_000, 32_000):
            try:
                held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            ports.append(port)
            if len(ports) == count:
                return ports
    raise RuntimeError("no free ports")


def eventually(what: str, holds: Callable[[], bool], seconds: float = 150) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.3)


def fetched(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        text: str = answer.read().decode()
    return text


@contextmanager
def started(
    command: list[str], log: Path, environment: dict[str, str], *, asked: int = signal.SIGTERM
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command in a process group of its own; it is asked to end with a signal, and killed if it does not."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment, start_new_session=True)
    try:
        yield process
    finally:
        process.send_signal(asked)
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_head_and_worker_make_a_cluster_that_asks_for_the_token_and_drains_when_told_to_stop(tmp_path: Path) -> None:
    checked(str(DOCKER / "make-secrets.sh"), str(tmp_path / "secrets"))
    port, dashboard, client, scaler, figures, *ports = ray_ports(13)
    environment = {
        **os.environ,
        "PATH": f"{Path(tool('ray')).parent}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "RAY_worker_niceness": "0",
        "RAY_metrics_report_interval_ms": "500",
        "AUTOSCALER_METRIC_PORT": str(scaler),
        "DASHBOARD_METRIC_PORT": str(figures),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(tmp_path / "secrets/ray_token"),
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "5",
        "RAY_HEAD": f"127.0.0.1:{port}",
        "RAY_ADDRESS": f"127.0.0.1:{port}",
    }

    def node(numbers: list[int]) -> list[str]:
        names = ("metrics-export", "dashboard-agent-listen", "node-manager", "object-manager")
        return [f"--{name}-port={number}" for name, number in zip(names, numbers, strict=True)] + [
            "--node-ip-address=127.0.0.1",
            "--object-store-memory=100000000",
        ]

    entrypoint = str(DOCKER / "entrypoint.sh")
    head = [entrypoint, *SERVICES["ray-head"]["command"], *node(ports[:4]), f"--port={port}"]
    head += [f"--dashboard-port={dashboard}", "--dashboard-host=127.0.0.1", f"--ray-client-server-port={client}"]
    with ExitStack() as stack:
        temp = stack.enter_context(short_folder())
        stack.enter_context(started([*head, f"--temp-dir={temp}"], tmp_path / "head.log", environment))
        eventually(
            "the head is up", lambda: healthy(ports[1]) and "Ray runtime started" in (tmp_path / "head.log").read_text()
        )
        worker = [entrypoint, "worker", "--num-cpus=1", "--num-gpus=1", '--resources={"accelerator_type:H100": 1}']
        joined = stack.enter_context(started([*worker, *node(ports[4:])], tmp_path / "worker.log", environment))
        eventually("the worker is up", lambda: healthy(ports[5]))

        with pytest.raises(urllib.error.HTTPError, match="401"):
            fetched(f"http://127.0.0.1:{dashboard}/api/version")
        token = (tmp_path / "secrets/ray_token").read_text()
        wrong = subprocess.run(
            [tool("ray"), "status"],
            env={**environment, "RAY_AUTH_TOKEN": token[::-1]},
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert wrong.returncode != 0

        placed = checked(tool("python"), "-c", PROGRAM, **environment).split()[-1]
        discovered = json.loads((temp / "prom_metrics_service_discovery.json").read_text())
        targets = {target.rsplit(":", 1)[1] for group in discovered for target in group["targets"]}
        assert {str(ports[0]), str(ports[4])} <= targets
        counted = r'ray_triptych_candidates_total{[^}]*state="accepted"[^}]*} 3\.0'
        eventually("what was counted is exported", lambda: re.search(counted, metrics_of(ports[4])) is not None)
        asked = {selector.name for _, query in QUERIES for selector in selectors(query)} & rays()
        asked -= {"ray_node_gpus_utilization"}  # there is no GPU to tell of

        def missing() -> set[str]:
            scraped = "".join(
                fetched(f"http://{target}/metrics") for group in discovered for target in group["targets"]
            )
            return asked - set(re.findall(r"^ray_\w+", scraped, flags=re.MULTILINE))

        eventually("Ray exports what the dashboard asks for", lambda: not missing())

        joined.terminate()
        joined.wait(120)
        assert f"Node {placed} received SIGTERM. Draining for up to 5" in (tmp_path / "worker.log").read_text()
        assert not healthy(ports[5])
        assert healthy(ports[1])
        logs = (tmp_path / "head.log").read_text() + (tmp_path / "worker.log").read_text()
        assert token not in logs


def metrics_of(port: int) -> str:
    return fetched(f"http://127.0.0.1:{port}/metrics")


def healthy(agent: int) -> bool:
    """Return what the images' health check says of a node."""
    command = [str(DOCKER / "health.sh")]
    return subprocess.run(command, env={**os.environ, "RAY_AGENT_PORT": str(agent)}, timeout=20).returncode == 0


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder with a name short enough for the sockets that Ray puts into it."""
    with tempfile.TemporaryDirectory(prefix="tr", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def test_the_object_store_lets_its_user_in_alone_and_gets_its_bucket_once(tmp_path: Path) -> None:
    import boto3
    from botocore.exceptions import ClientError

    checked(str(DOCKER / "make-secrets.sh"), str(tmp_path / "secrets"))
    master, volume, filer, s3, figures = free_ports(5)
    (tmp_path / "data").mkdir()
    here = {
        "-s3.config": f"{tmp_path}/secrets/s3.json",
        "-dir": f"{tmp_path}/data",
        "-ip": "127.0.0.1",
        "-ip.bind": "127.0.0.1",
        "-metricsPort": str(figures),
    }
    command = [tool("weed")]
    for argument in SERVICES["object-store"]["command"]:
        name, _, _ = argument.partition("=")
        command.append(f"{name}={here[name]}" if name in here else argument)
    command += [f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}", f"-s3.port={s3}"]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
    command += [f"-filer.localSocket={tmp_path}/f.sock", f"-s3.localSocket={tmp_path}/s.sock"]
    environment = {**os.environ, "PATH": f"{Path(tool('weed')).parent}:{os.environ['PATH']}", "GOMEMLIMIT": "512MiB"}
    health = [part.replace("8333", str(s3)) for part in SERVICES["object-store"]["healthcheck"]["test"][1:]]
    with started(command, tmp_path / "weed.log", environment, asked=signal.SIGKILL):
        eventually("the object store is healthy", lambda: subprocess.run(health).returncode == 0)
        (script,) = SERVICES["bucket"]["command"]
        bucket = [*SERVICES["bucket"]["entrypoint"], script.replace("$$", "$")]
        for _ in range(2):  # `up` runs it again, whatever is there
            checked(*bucket, **environment, MASTER=f"127.0.0.1:{master}", BUCKET="pictures")

        user = json.loads((tmp_path / "secrets/s3.json").read_text())["identities"][0]["credentials"][0]
        keys = {"aws_access_key_id": user["accessKey"], "region_name": "us-east-1"}
        address = f"http://127.0.0.1:{s3}"
        client = boto3.client("s3", endpoint_url=address, aws_secret_access_key=user["secretKey"], **keys)
        client.put_object(Bucket="pictures", Key="a", Body=b"b")
        assert client.get_object(Bucket="pictures", Key="a")["Body"].read() == b"b"
        stranger = boto3.client("s3", endpoint_url=address, aws_secret_access_key="wrong", **keys)
        with pytest.raises(ClientError, match=r"SignatureDoesNotMatch|403"):
            stranger.list_objects_v2(Bucket="pictures")
        assert "SeaweedFS_" in metrics_of(figures)


def test_the_service_wants_a_token_before_it_listens_to_other_containers(tmp_path: Path) -> None:
    store = whole_store(tmp_path / "store").root
    (port,) = free_ports(1)
    here = {"--store": f"--store={store}", "--port": f"--port={port}"}
    command = [here.get(word.partition("=")[0], word) for word in SERVICES["service"]["command"]]
    entrypoint = str(DOCKER / "entrypoint.sh")
    environment = {**os.environ, "PATH": f"{Path(tool('triptych')).parent}:{os.environ['PATH']}"}
    refused = subprocess.run([entrypoint, *command], env=environment, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 2
    assert "triptych serve token add" in refused.stderr
    made = checked(entrypoint, "triptych", "serve", "token", "add", "ana", f"--store={store}", **environment).strip()
    health = [part.replace("8000", str(port)) for part in SERVICES["service"]["healthcheck"]["test"][1:]]
    with started([entrypoint, *command], tmp_path / "service.log", environment):
        eventually("the service is healthy", lambda: subprocess.run(health).returncode == 0)
        with pytest.raises(urllib.error.HTTPError, match="401"):
            fetched(f"http://127.0.0.1:{port}/v1/datasets")
        assert "triptych_service_requests" in metrics_of(port)
    assert made not in (tmp_path / "service.log").read_text()
