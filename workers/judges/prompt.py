"""The words that a judge is asked with: templates in versions, which are part of a judge's identity."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files

from manifests.identities import digest_of

VERSIONS: tuple[str, ...] = ("v1",)
"""Versions of the rubric that ship. One is never edited once it was released: a new one is added."""


@dataclass(frozen=True)
class Prompt:
    """One version of the templates.

    No word of the data is ever put into them: neither captions nor file names reach a judge, so none can instruct it.
    """

    version: str
    system: str
    question: str
    again: str
    """What is said after an answer that could not be read; `{error}` stands for why."""

    @cached_property
    def digest(self) -> str:
        """Return the digest of the templates."""
        return digest_of([self.system, self.question, self.again])


@lru_cache(maxsize=8)
def read_prompt(version: str) -> Prompt:
    """Return a version of the templates. Raises ValueError on one that does not ship."""
    if version not in VERSIONS:
        raise ValueError(f"prompt version {version!r} is none of {', '.join(VERSIONS)}")
    folder = files("workers.judges") / "prompts" / version
    system, question, again = ((folder / f"{name}.txt").read_text() for name in ("system", "question", "again"))
    return Prompt(version, system.strip(), question.strip(), again.strip())
