"""How the judges of a store fared: verdicts and failures, cost, and whether canaries were judged rightly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workers.judges.rubric import PARTS

GRADES = range(5)
_SHOWN = 6


@dataclass(frozen=True)
class Voice:
    """What a judge said of one candidate, word for word."""

    candidate_id: str
    failure: str | None
    grades: str
    words: str


@dataclass(frozen=True)
class JudgeRow:
    """One judge: how many candidates it was asked about, what came of it, and what it cost.

    `grades` counts the answers by part and grade; `canaries` is (right, sent) by kind of canary.
    """

    title: str
    digest: str
    prompt: str
    asked: int
    verdicts: int
    failures: list[tuple[str, int]]
    grades: Mapping[str, list[int]]
    canaries: Mapping[str, tuple[int, int]]
    requests: int
    tokens_in: int
    tokens_out: int
    seconds: float
    voices: list[Voice]

    @property
    def hit_rate(self) -> float | None:
        """Return the share of canaries that were judged rightly; None where none was sent."""
        sent = sum(count for _, count in self.canaries.values())
        return sum(right for right, _ in self.canaries.values()) / sent if sent else None


def judge_rows(judgements: Sequence[Mapping[str, Any]]) -> list[JudgeRow]:
    """Return a row for each judge that was asked; `judgements` are the rows of that table."""
    return [
        _row([row for row in judgements if row["judge_digest"] == digest])
        for digest in sorted({row["judge_digest"] for row in judgements})
    ]


def _row(rows: Sequence[Mapping[str, Any]]) -> JudgeRow:
    own = [row for row in rows if row["canary"] is None]
    sent = [row for row in rows if row["canary"] is not None]
    kinds = sorted({row["canary"] for row in sent})
    return JudgeRow(
        title=rows[0]["judge"],
        digest=rows[0]["judge_digest"],
        prompt=rows[0]["prompt_version"],
        asked=len(own),
        verdicts=sum(row["failure"] is None for row in own),
        failures=Counter(row["failure"] for row in own if row["failure"]).most_common(),
        grades={part: [sum(row[part] == grade for row in own) for grade in GRADES] for part in PARTS},
        canaries={
            kind: (sum(bool(row["hit"]) for row in sent if row["canary"] == kind), _count(sent, kind)) for kind in kinds
        },
        requests=sum(row["requests"] for row in rows),
        tokens_in=sum(row["tokens_in"] for row in rows),
        tokens_out=sum(row["tokens_out"] for row in rows),
        seconds=sum(row["seconds"] for row in rows),
        voices=[_voice(row) for row in _typical(own)],
    )


def _count(rows: Sequence[Mapping[str, Any]], kind: str) -> int:
    return sum(row["canary"] == kind for row in rows)


def _typical(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return a few answers, such without a verdict first: they are what a person wants to read."""
    spoken = sorted((row for row in rows if row["answers"]), key=lambda row: str(row["candidate_id"]))
    return sorted(spoken, key=lambda row: row["failure"] is None)[:_SHOWN]


def _voice(row: Mapping[str, Any]) -> Voice:
    grades = ", ".join(f"{part} {row[part]}" for part in PARTS) if row["failure"] is None else row["detail"] or ""
    return Voice(row["candidate_id"], row["failure"], grades, row["answers"][-1])
