"""The contract of a judge."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from workers.experts.base import Pixels
from workers.judges.parsing import UnparsableError, parse_verdict
from workers.judges.prompt import Prompt
from workers.judges.rubric import Verdict

UNPARSABLE = "judge_unparsable"
"""Why a row has no verdict although the judge answered, twice."""


@dataclass(frozen=True)
class JudgeRequest:
    """One triplet to be judged: three sRGB images `[height, width, 3]`, 0 to 255."""

    key: str
    target: Pixels
    style: Pixels
    content: Pixels


@dataclass(frozen=True)
class Answer:
    """What came of one request: a verdict, or why there is none.

    `texts` holds what the judge wrote, word for word, one text a try. `failure` is `judge_unparsable`, or
    `judge_failed:<why>` where no answer was had at all; a number is never made up.
    """

    verdict: Verdict | None
    texts: tuple[str, ...] = ()
    failure: str | None = None
    detail: str | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    requests: int = 0
    seconds: float = 0.0

    @property
    def final(self) -> bool:
        """Tell whether asking again would be asking for another opinion: the judge did answer."""
        return self.verdict is not None or self.failure == UNPARSABLE


class Judge(ABC):
    """Looks at triplets and answers by the rubric."""

    title: str
    """A short name for reports."""
    prompt: Prompt

    @property
    @abstractmethod
    def digest(self) -> str:
        """Return the digest of backend, model, weights where they are at hand, parameters and prompt."""

    @abstractmethod
    def judge(self, requests: Sequence[JudgeRequest]) -> list[Answer]:
        """Return one answer for each request, in their order."""


@dataclass(frozen=True)
class Try:
    """One text of a judge, read: its verdict, or what was wrong with it."""

    text: str
    verdict: Verdict | None
    fault: str | None


def read_try(text: str) -> Try:
    """Return a text with the verdict that it holds, or the reason for which it holds none."""
    try:
        return Try(text, parse_verdict(text), None)
    except UnparsableError as error:
        return Try(text, None, str(error))
