"""Jobs on a cluster elsewhere, through Ray Jobs: sent, followed, listed, cancelled."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import shlex
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from curation.parcel import SPEC

SUBMISSION = "TRIPTYCH_SUBMISSION"
"""Tells a job by which id it was sent."""

_NAME, _STORE = "triptych_name", "triptych_store"
_STOP_SECONDS = 60
"""How long a cancelled job has to note down that it was: its driver is killed afterwards."""

_OVERRIDING = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")
_TALKATIVE = (
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
    "ray._private.runtime_env.packaging",
)
_KNOCK = 10.0
_TRUNCATED = ", last available logs (truncated to 20,000 chars):"
_PAUSE = 1.0
_DROPPED = 5
_PACKAGES = ("curation", "workers", "uso", "manifests")


class JobsError(RuntimeError):
    """The cluster's job server does not do what it was asked to; the message says why, and what to change."""


@dataclass(frozen=True)
class Sent:
    """A job as the cluster's job server has it."""

    id: str
    name: str
    store: str
    status: str
    started: datetime | None
    seconds: float | None
    said: str

    @property
    def over(self) -> bool:
        """Tell whether the job has ended, one way or another."""
        return self.status in ("SUCCEEDED", "FAILED", "STOPPED")


class Jobs:
    """The job server of one cluster, at the address of its dashboard. Raises JobsError wherever it fails."""

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        if urlsplit(self.address).scheme not in ("http", "https"):
            raise JobsError(f"--address {address}: give the head node's dashboard, as http://HEAD:8265")
        _knock(self.address)
        with _in_words(self.address), _address_holds():
            from ray.job_submission import JobSubmissionClient

            for name in _TALKATIVE:
                logging.getLogger(name).setLevel(logging.WARNING)
            self._client = JobSubmissionClient(self.address)

    def submit(
        self,
        folder: Path,
        *,
        name: str,
        store: str,
        flags: Sequence[str] = (),
        pip: Sequence[str] = (),
        environment: Sequence[str] = (),
        code: bool = False,
    ) -> str:
        """Send a packed spec, and return the job's id.

        `environment` names variables whose values are taken from this process; `pip` are requirements that are
        installed on every node; with `code` our own packages travel along, for nodes that have another version.
        """
        job_id = f"triptych-{name}-{secrets.token_hex(4)}"
        kept = {variable: os.environ[variable] for variable in environment}
        stopping = {"RAY_JOB_STOP_WAIT_TIME_S": str(_STOP_SECONDS)}
        runtime: dict[str, Any] = {
            "working_dir": str(folder),
            "env_vars": {**kept, **stopping, SUBMISSION: job_id},
        }
        if pip:
            runtime["pip"] = list(pip)
        if code:
            runtime["py_modules"] = [str(_package(package)) for package in _PACKAGES]
            runtime["excludes"] = ["__pycache__"]
        command = ("python", "-m", "curation.cli", "curate", "run", SPEC, "--store", store, *flags)
        with _in_words(self.address):
            sent: str = self._client.submit_job(
                entrypoint=shlex.join(command),
                submission_id=job_id,
                runtime_env=runtime,
                metadata={_NAME: name, _STORE: store},
            )
        return sent

    def list(self) -> Iterator[Sent]:
        """Yield the jobs that were sent by `submit`, newest first."""
        with _in_words(self.address):
            found = [details for details in self._client.list_jobs() if details.submission_id]
        ours = [_sent(details) for details in found if _NAME in (details.metadata or {})]
        yield from sorted(ours, key=lambda job: job.started or datetime.max.replace(tzinfo=UTC), reverse=True)

    def get(self, job_id: str) -> Sent:
        """Return one job."""
        with _in_words(self.address, job_id):
            return _sent(self._client.get_job_info(job_id))

    def logs(self, job_id: str) -> str:
        """Return what a job has printed so far."""
        with _in_words(self.address, job_id):
            text: str = self._client.get_job_logs(job_id)
        return text

    def follow(self, job_id: str, show: Callable[[str], None]) -> Sent:
        """Show what a job prints, from its beginning, until it ends, and return it; a lost connection is taken up."""
        from aiohttp import ClientError

        tail, dropped = _Tail(show), 0
        while True:
            before = tail.shown
            try:
                asyncio.run(self._tail(job_id, tail))
            except (ClientError, OSError, RuntimeError):
                self.get(job_id)  # says so, where there is no such job or nobody answers
            job = self._when_over(job_id)
            if job is not None:
                return job
            dropped = 0 if tail.shown > before else dropped + 1
            if dropped > _DROPPED:
                raise JobsError(f"{self.address}: the connection is lost again and again; the job goes on")
            time.sleep(_PAUSE)

    def cancel(self, job_id: str, *, wait: float = _STOP_SECONDS) -> Sent:
        """Ask a job to stop, and return it when it has, or after so many seconds: it commits nothing any more then."""
        with _in_words(self.address, job_id):
            self._client.stop_job(job_id)
        end = time.monotonic() + wait
        while True:
            job = self.get(job_id)
            if job.over or time.monotonic() > end:
                return job
            time.sleep(_PAUSE)

    async def _tail(self, job_id: str, tail: _Tail) -> None:
        tail.begin()
        async for text in self._client.tail_job_logs(job_id):
            tail.take(text)

    def _when_over(self, job_id: str) -> Sent | None:
        """Return a job that has ended. The log's end comes a moment before the server knows of it."""
        end = time.monotonic() + 5 * _PAUSE
        while True:
            job = self.get(job_id)
            if job.over:
                return job
            if time.monotonic() > end:
                return None
            time.sleep(_PAUSE / 2)


class _Tail:
    """Shows a log once, though it is sent from its beginning at every connection."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self.shown = 0
        self._show = show
        self._passed = 0

    def begin(self) -> None:
        self._passed = 0

    def take(self, text: str) -> None:
        self._passed += len(text)
        if self._passed > self.shown:
            self._show(text[len(text) - (self._passed - self.shown) :])
            self.shown = self._passed


def _sent(details: Any) -> Sent:
    started, ended = (_time(stamp) for stamp in (details.start_time, details.end_time))
    seconds = ((ended or datetime.now(UTC)) - started).total_seconds() if started else None
    known = details.metadata or {}
    status = getattr(details.status, "value", details.status)
    return Sent(
        id=str(details.submission_id),
        name=known.get(_NAME, ""),
        store=known.get(_STORE, ""),
        status=str(status),
        started=started,
        seconds=seconds,
        said=(details.message or "").split("\n")[0].removesuffix(_TRUNCATED),
    )


def _time(milliseconds: int | None) -> datetime | None:
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds else None


def _package(name: str) -> Path:
    import importlib

    found = importlib.import_module(name).__file__
    assert found is not None
    return Path(found).parent


@contextmanager
def _in_words(address: str, job_id: str | None = None) -> Iterator[None]:
    """Turn what Ray's client raises into JobsError."""
    from ray.exceptions import AuthenticationError

    try:
        yield
    except AuthenticationError:
        raise JobsError(
            f"{address}: the cluster wants a token, and does not know this one; set RAY_AUTH_MODE=token and "
            "RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH"
        ) from None
    except OSError as error:
        raise JobsError(f"{address}: {_first_line(error)}") from None
    except RuntimeError as error:
        if job_id is not None and ("404" in str(error) or "does not exist" in str(error)):
            raise JobsError(
                f"{job_id}: no such job at {address}; `triptych curate jobs list` names those there are"
            ) from None
        raise JobsError(f"{address}: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@contextmanager
def _address_holds() -> Iterator[None]:
    """Hide the variables by which Ray's client would go elsewhere than to the address that it was given."""
    hidden = {name: os.environ.pop(name) for name in _OVERRIDING if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)


def _knock(address: str) -> None:
    """Raise JobsError where nobody listens: Ray's client would wait for minutes."""
    parts = urlsplit(address)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname or "", port), timeout=_KNOCK).close()
    except (OSError, ValueError) as error:
        raise JobsError(
            f"--address {address}: no answer ({_first_line(error)}); is the cluster up, and its dashboard open to this "
            "machine?"
        ) from None
