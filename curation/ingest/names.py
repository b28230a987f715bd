"""Names that come from archives, tables and file systems, none of them trusted."""

from __future__ import annotations

import re

_CONTROL = re.compile("[\x00-\x1f\x7f]")
_DRIVE = re.compile(r"^[A-Za-z]:")


def printable(name: str) -> str:
    """Return a name that can be stored and shown; bytes that are no UTF-8 and control characters become `\\xNN`."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def unsafe(name: str) -> str | None:
    """Return why a relative path could lead out of its folder, here or on another system; None where it cannot."""
    if not name:
        return "the path is empty"
    if "\x00" in name:
        return "the path holds a NUL character"
    if name.startswith("/"):
        return "the path is absolute"
    if _DRIVE.match(name):
        return "the path begins with a drive letter"
    if "\\" in name:
        return "the path holds a backslash"
    if ".." in name.split("/"):
        return "the path climbs with `..`"
    return None
