"""Who may do what to a store through audits, and the log of who did.

Roles are an agreement among people who reach a store by the same credentials: they keep honest people within their task
and leave a trace. What must not be readable at all is the business of the disk or the bucket.
"""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from manifests.audit.errors import AuditError
from manifests.files import Files, WritableFiles
from manifests.identities import digest_of

Right = Literal["read_tables", "read_images", "take_down"]
RIGHTS: tuple[Right, ...] = get_args(Right)

PLACE = "access.json"
LOG = "access-log/"
USER = "TRIPTYCH_USER"
"""Variable that says who is at work, where the operating system's name is not it."""

ANYONE = "*"
_START = "0" * 64
_ATTEMPTS = 100


class AccessError(AuditError):
    """Somebody may not do what was asked; the message says who may."""


class Roles(BaseModel):
    """For each right, the names that have it; `*` is everybody."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    read_tables: tuple[str, ...] = (ANYONE,)
    read_images: tuple[str, ...] = (ANYONE,)
    take_down: tuple[str, ...] = (ANYONE,)

    def allows(self, who: str, right: Right) -> bool:
        """Tell whether somebody has a right."""
        names = getattr(self, right)
        return ANYONE in names or who in names


@dataclass(frozen=True)
class Entry:
    """One line of the log. Each names the digest of the one before it, so none can be taken out of the middle."""

    number: int
    time: str
    who: str
    verb: str
    subject: Mapping[str, Any]
    """What was asked for: ids, filters, options; never the content of an image."""
    outcome: str
    """`done`, `found` (the audit found something), `refused`, or `failed`."""
    previous: str

    @property
    def digest(self) -> str:
        """Return the digest by which the next entry names this one."""
        return digest_of(vars(self))


def whoami() -> str:
    """Return who is at work: TRIPTYCH_USER, else the name that the operating system has."""
    try:
        return os.environ.get(USER) or getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def read_roles(files: Files) -> Roles | None:
    """Return the roles of a store; None where it has none, so that everybody may do everything. Raises AuditError."""
    try:
        return Roles.model_validate_json(files.read(PLACE))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise AuditError(
            f"{files.root}/{PLACE}: {place}: {first['msg']}; it holds for each of {', '.join(RIGHTS)} a list of names"
        ) from None


def write_roles(files: WritableFiles, roles: Roles) -> None:
    """Give a store these roles; from now on its audits are logged."""
    files.put(PLACE, roles.model_dump_json(indent=1).encode())


def require(roles: Roles | None, who: str, right: Right) -> None:
    """Raise AccessError where somebody does not have a right."""
    if roles is not None and not roles.allows(who, right):
        holders = ", ".join(getattr(roles, right)) or "nobody"
        raise AccessError(f"{who} may not {right.replace('_', ' ')} here; {holders} may ({PLACE} of the store says so)")


def record_access(files: WritableFiles, who: str, verb: str, subject: Mapping[str, Any], outcome: str) -> Entry:
    """Append to the log, and return the entry. Many may do so at once. Raises OSError where it cannot be written."""
    for _ in range(_ATTEMPTS):
        last = _last(files)
        number, previous = (last.number + 1, last.digest) if last else (0, _START)
        time = datetime.now(UTC).isoformat(timespec="seconds")
        entry = Entry(number, time, who, verb, dict(subject), outcome, previous)
        data = json.dumps(vars(entry), ensure_ascii=False, sort_keys=True).encode()
        if files.put_if_absent(_name(number), data):
            return entry
    raise OSError(f"{files.root}: its access log is written to without end; try again")


def read_log(files: WritableFiles) -> Iterator[Entry]:
    """Yield the entries, oldest first. Raises AuditError on one that is none."""
    for name in sorted(found.name for found in files.list(LOG)):
        yield _parsed(files, name)


def faults_of(entries: Sequence[Entry]) -> list[str]:
    """Return what is wrong with a log: gaps, changed entries, a beginning that is not one."""
    faults, previous = [], _START
    for number, entry in enumerate(entries):
        if entry.number != number:
            faults.append(f"entry {number} is missing")
            return faults
        if entry.previous != previous:
            faults.append(f"entry {number} does not follow the one before it: one of the two was changed")
        previous = entry.digest
    return faults


def _last(files: WritableFiles) -> Entry | None:
    names = [found.name for found in files.list(LOG)]
    return _parsed(files, max(names)) if names else None


def _parsed(files: Files, name: str) -> Entry:
    try:
        return Entry(**json.loads(files.read(name)))
    except (ValueError, TypeError):
        raise AuditError(f"{files.root}/{name} is no entry of an access log; it was damaged") from None


def _name(number: int) -> str:
    return f"{LOG}{number:012}.json"
