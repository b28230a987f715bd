"""Rights and the access log around every verb of an audit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

import typer

from curation.cli.failure import fail

if TYPE_CHECKING:
    from manifests.audit.access import Right
    from manifests.files import WritableFiles

_UNLOGGED = ("as_json", "store")
_PICTURES = {"explain": "html", "export": None, "contamination": "html", "datasheet": None, "reproduce": None}
"""Verbs that show pictures; of some, only where an option asks for them."""

_OUTCOMES = {0: "done", 1: "found"}


def logged(verb: Callable[..., None]) -> Callable[..., None]:
    """Return a verb that is held against the roles of its store, and logged there; without roles it is as it was.

    A store that cannot be written to is audited all the same, and it is said that nothing was logged.
    """

    @wraps(verb)
    def held(**options: Any) -> None:
        with _held(verb.__name__.rstrip("_"), options):
            verb(**options)

    return held


@contextmanager
def _held(verb: str, options: dict[str, Any]) -> Iterator[None]:
    from manifests.audit.access import AccessError, read_roles, require, whoami
    from manifests.audit.errors import AuditError
    from manifests.files import open_writable

    try:
        files = open_writable(options["store"])
        roles = read_roles(files)
    except AuditError as error:
        raise fail(str(error)) from None
    except (OSError, ValueError, ImportError):  # opening it for the audit says what is wrong with it
        roles = None
    if roles is None:
        yield
        return
    who = whoami()
    asked = {key: _plain(value) for key, value in options.items() if value not in (None, False, [], ())}
    subject = {key: value for key, value in asked.items() if key not in _UNLOGGED}
    if verb == "takedown":  # its log is not to name what is to be forgotten
        subject = {"by": sorted(subject)}
    try:
        for right in _rights(verb, options):
            require(roles, who, right)
    except AccessError as error:
        _write(files, who, verb, subject, "refused")
        raise fail(str(error)) from None
    outcome = "failed"
    try:
        yield
        outcome = "done"
    except typer.Exit as ended:
        outcome = _OUTCOMES.get(ended.exit_code, "failed")
        raise
    finally:
        _write(files, who, verb, subject, outcome)


def _rights(verb: str, params: dict[str, Any]) -> list[Right]:
    rights: list[Right] = ["read_tables"]
    if verb in _PICTURES and (_PICTURES[verb] is None or params.get(str(_PICTURES[verb]))):
        rights.append("read_images")
    if verb == "takedown":
        rights.append("take_down")
    return rights


def _write(files: WritableFiles, who: str, verb: str, subject: dict[str, Any], outcome: str) -> None:
    from manifests.audit.access import record_access

    try:
        record_access(files, who, verb, subject, outcome)
    except OSError as error:
        typer.echo(f"not logged: {error}", err=True)


def _plain(value: Any) -> Any:
    return [str(one) for one in value] if isinstance(value, list | tuple) else value if _is_plain(value) else str(value)


def _is_plain(value: Any) -> bool:
    return isinstance(value, bool | int | float | str)
