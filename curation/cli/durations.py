"""Lengths of time on the command line: 30m, 1h, 7d."""

from __future__ import annotations

import re
from datetime import timedelta

import typer

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def duration(text: str) -> timedelta:
    """Return a length of time. Raises typer.BadParameter on what is none."""
    matched = re.fullmatch(r"(\d+)([smhd])|0", text)
    if matched is None:
        raise typer.BadParameter(f"{text!r} is no length of time; write 90s, 30m, 1h or 7d")
    return timedelta(**{_UNITS[matched[2]]: int(matched[1])}) if matched[1] else timedelta()
