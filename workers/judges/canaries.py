"""Canaries: triplets whose verdict is known beforehand, by which a judge's own judgement is judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from manifests.identities import digest_of
from workers.experts.base import Pixels
from workers.judges.base import Answer, JudgeRequest
from workers.judges.rubric import PARTS, Verdict

SAME, UNRELATED, FOREIGN = "same", "unrelated", "foreign_content"
"""Kinds of canaries: one image thrice, three images that share nothing, a true style with another's content."""

_EXPECTED: dict[str, dict[str, tuple[int, int]]] = {
    SAME: {"style_match": (4, 4), "style_only": (0, 1), "subject_match": (4, 4)},
    UNRELATED: {"style_only": (3, 4), "subject_match": (0, 1)},
    FOREIGN: {"style_match": (4, 4), "subject_match": (0, 1)},
}
"""Of each kind, the parts whose grade is beyond dispute, and from where to where it may be."""


@dataclass(frozen=True)
class Canary:
    """A triplet of known verdict."""

    kind: str
    request: JudgeRequest

    def hit(self, answer: Answer) -> bool:
        """Tell whether an answer is right in every part that is beyond dispute; none at all is a miss."""
        return answer.verdict is not None and is_hit(self.kind, answer.verdict)


def is_hit(kind: str, verdict: Verdict) -> bool:
    """Tell whether a verdict on a canary of this kind is right."""
    grades = {part: getattr(verdict, part) for part in PARTS}
    right = all(low <= grades[part] <= high for part, (low, high) in _EXPECTED[kind].items())
    return right and (kind != SAME or verdict.layout == "preserved")


def canaries(images: Sequence[Pixels], count: int) -> list[Canary]:
    """Return so many canaries of all kinds in turn, from images of subjects that are all different.

    Needs three images for kinds that mix; with fewer, all are of the kind `same`. Raises ValueError without any.
    """
    if not images:
        raise ValueError("canaries need at least one image")
    kinds = (SAME, UNRELATED, FOREIGN) if len(images) >= 3 else (SAME,)
    made = []
    for number in range(count):
        kind, start = kinds[number % len(kinds)], number // len(kinds)
        first, second, third = (images[(start + step) % len(images)] for step in range(3))
        style, content = {SAME: (first, first), UNRELATED: (second, third), FOREIGN: (first, third)}[kind]
        key = digest_of(["canary", kind, *(digest_of(part.tobytes().hex()) for part in (first, style, content))])
        made.append(Canary(kind, JudgeRequest(key, target=first, style=style, content=content)))
    return made
