"""A real S3 server for a test: SeaweedFS on free loopback ports, in a temporary folder, ended by its process id."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LOG = "weed.log"

GRPC = 10_000
"""Every port p of SeaweedFS opens p + 10000 beside it."""

KEY, SECRET = "AKIATRIPTYCHOWNER", "owners-secret-that-no-message-may-show"
STRANGER, STRANGER_SECRET = "AKIATRIPTYCHSTRANGER", "strangers-secret-that-no-message-may-show"
READER, READER_SECRET = "AKIATRIPTYCHREADER", "readers-secret-that-no-message-may-show"


@dataclass
class Seaweed:
    """A running server with three users.

    The owner may do everything, the reader may read and list, the stranger may do so in the bucket `elsewhere` only.
    """

    port: int
    process: subprocess.Popen[bytes]
    command: list[str]
    folder: Path

    def kill(self) -> None:
        """End the server without notice; asked to end, it waits for connections that clients keep open."""
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        """Start the server again over what it has stored, and wait until it answers."""
        self.process = _start(self.command, self.folder)
        _wait(self, self.folder / _LOG, seconds=120)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self, *, key: str = KEY, secret: str = SECRET, endpoint: str | None = None) -> dict[str, str]:
        """Return what a reader sets to reach the server, and what keeps the machine's own AWS settings out."""
        return {
            "AWS_ENDPOINT_URL": endpoint or self.endpoint,
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self) -> Any:
        """Return a boto3 client of the user who may do everything."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=10),
        )

    def upload(self, folder: Path, bucket: str, prefix: str = "") -> None:
        """Put every file below a folder into a bucket; what is there already is written over."""
        client = self.client()
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                client.put_object(
                    Bucket=bucket, Key=f"{prefix}/{path.relative_to(folder)}".lstrip("/"), Body=path.read_bytes()
                )


@contextmanager
def running_seaweed(folder: Path, *, volumes: int = 50, volume_mb: int = 1024) -> Iterator[Seaweed]:
    """Run a server until the block ends, with room for so many volumes of so many megabytes.

    Raises RuntimeError with its log where it does not come up.
    """
    master, volume, filer, s3 = free_ports(4)
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": _users()}))
    command = [
        str(Path(sys.executable).with_name("weed")),
        *("server", "-filer", "-s3", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
        *(f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}", f"-s3.port={s3}"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={config}"),
        *(f"-filer.localSocket={folder}/filer.sock", f"-s3.localSocket={folder}/s3.sock"),
        *(f"-master.volumeSizeLimitMB={volume_mb}", f"-volume.max={volumes}"),
    ]
    server = Seaweed(s3, _start(command, folder), command, folder)
    try:
        _wait(server, folder / _LOG)
        yield server
    finally:
        server.kill()


def _start(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "GOMEMLIMIT": "512MiB"}
    with (folder / _LOG).open("ab") as out:
        return subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=folder, env=environment)


def free_ports(count: int) -> list[int]:
    """Return ports of which the number 10000 above is free as well, below the range that outgoing connections use."""
    with ExitStack() as held:
        ports: list[int] = []
        while len(ports) < count:
            port = random.randrange(12_000, 22_000)
            try:
                for number in (port, port + GRPC):
                    held.enter_context(socket.socket()).bind(("127.0.0.1", number))
            except OSError:
                continue
            ports.append(port)
        return ports


def _wait(server: Seaweed, log: Path, seconds: float = 60) -> None:
    """Wait until a first object is stored: the port opens some time before that."""
    from botocore.exceptions import BotoCoreError, ClientError

    client, end = server.client(), time.monotonic() + seconds
    while time.monotonic() < end and server.process.poll() is None:
        try:
            with suppress(client.exceptions.BucketAlreadyExists, client.exceptions.BucketAlreadyOwnedByYou):
                client.create_bucket(Bucket="elsewhere")
            client.put_object(Bucket="elsewhere", Key="ready", Body=b"ready")
            return
        except (BotoCoreError, ClientError):
            time.sleep(0.2)
    raise RuntimeError(f"SeaweedFS did not come up:\n{log.read_text(errors='replace')[-2000:]}")


def _users() -> list[dict[str, Any]]:
    may: list[tuple[str, str, str, list[str]]] = [
        ("owner", KEY, SECRET, ["Admin", "Read", "List", "Tagging", "Write"]),
        ("reader", READER, READER_SECRET, ["Read", "List"]),
        ("stranger", STRANGER, STRANGER_SECRET, ["Read:elsewhere", "List:elsewhere"]),
    ]
    return [
        {"name": name, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": actions}
        for name, key, secret, actions in may
    ]
