"""Logs of the command and of its workers: lines for people or JSON for machines, without secrets.

Messages go through the standard `logging` module under the names of our packages. `extra={"stage": ..., "candidates":
[...]}` on a message says what it is about; the job's id is added to each.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal, TextIO

from uso.training.watch.credentials import without_credentials

Level = Literal["debug", "info", "warning", "error"]
Form = Literal["text", "json"]

PACKAGES = ("curation", "workers", "uso", "manifests")
"""Whose messages are shown; other libraries keep to their own settings."""

_ABOUT = ("job", "stage", "candidates")
_MOST_IDS = 20
_HIDDEN = "[hidden]"
_SECRET_NAME = re.compile(r"(KEY|SECRET|TOKEN|PASSWORD|PASSPHRASE|CREDENTIAL)", re.IGNORECASE)
_SECRET_TEXT = re.compile(
    r"(?P<keep>\bBearer\s+|\bX-Amz-(?:Signature|Credential|Security-Token)=|"
    r"\b[\w-]*(?:secret|password|passphrase|token|api[_-]?key|access[_-]?key)[\w-]*[\"']?\s*[=:]\s*[\"']?)"
    r"[^\s\"'&,;]+",
    re.IGNORECASE,
)
_SHORTEST = 8


@dataclass(frozen=True)
class LogSettings:
    """What is logged and how; small enough to be handed to every worker."""

    level: Level = "warning"
    form: Form = "text"
    job: str | None = None

    def apply(self, stream: TextIO | None = None) -> None:
        """Make the messages of our packages go to a stream (standard error unless given) in this form."""
        global _current
        _current = self
        handler = logging.StreamHandler(stream) if stream else _ToStderr()
        handler.setFormatter(JsonLines(self.job) if self.form == "json" else TextLines(self.job))
        for name in PACKAGES:
            logger = logging.getLogger(name)
            logger.handlers = [handler]
            logger.setLevel(self.level.upper())


class _ToStderr(logging.StreamHandler[TextIO]):
    """Writes to whatever standard error is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


_current: LogSettings | None = None


def current() -> LogSettings | None:
    """Return the settings in force in this process, or None where logging was left as it is."""
    return _current


def name_job(job: str) -> None:
    """Say which job the messages from now on belong to, where logging was set up."""
    if _current is not None:
        replace(_current, job=job).apply()


def hide_secrets(text: str, environment: Mapping[str, str] | None = None) -> str:
    """Return a text without values of secret environment variables, passwords in addresses, tokens and signatures."""
    for name, value in (os.environ if environment is None else environment).items():
        if len(value) >= _SHORTEST and _SECRET_NAME.search(name):
            text = text.replace(value, _HIDDEN)
    return _SECRET_TEXT.sub(rf"\g<keep>{_HIDDEN}", str(without_credentials(text)))


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message; job, stage and candidates where known; error."""

    def __init__(self, job: str | None = None) -> None:
        super().__init__()
        self._job = job

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": hide_secrets(record.getMessage()),
            **_about(record, self._job),
        }
        if record.exc_info:
            line["error"] = hide_secrets(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


class TextLines(logging.Formatter):
    """A line for people: time, level, message, and what it is about."""

    def __init__(self, job: str | None = None) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._job = job

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text."""
        about = " ".join(f"{key}={_words(value)}" for key, value in _about(record, self._job).items())
        return hide_secrets(super().format(record)) + (f" [{about}]" if about else "")


def _about(record: logging.LogRecord, job: str | None) -> dict[str, object]:
    found = {key: getattr(record, key, None) for key in _ABOUT}
    found["job"] = found["job"] or job
    ids = found["candidates"]
    if isinstance(ids, list) and len(ids) > _MOST_IDS:
        found["candidates"] = [*ids[:_MOST_IDS], f"and {len(ids) - _MOST_IDS} more"]
    return {key: value for key, value in found.items() if value}


def _words(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
