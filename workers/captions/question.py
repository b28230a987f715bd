"""The question that a captioner is asked, in versions."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

VERSIONS: tuple[str, ...] = ("v1",)
"""Versions that ship. One is never edited once it was released: a new one is added."""


@lru_cache(maxsize=8)
def read_question(version: str) -> str:
    """Return a version of the question. Raises ValueError on one that does not ship."""
    if version not in VERSIONS:
        raise ValueError(f"question {version!r} is none of {', '.join(VERSIONS)}")
    return (files("workers.captions") / "questions" / f"{version}.txt").read_text().strip()
