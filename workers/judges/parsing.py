"""Reading a judge's answer: strictly, since a lenient reader makes numbers up."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import ValidationError

from workers.judges.rubric import Verdict

_THOUGHT_ENDS = "</think>"
_MARK = re.compile(r"^VERDICT:[ \t]*$", re.MULTILINE)
_FENCE = re.compile(r"^```[A-Za-z]*[ \t]*$", re.MULTILINE)


class UnparsableError(ValueError):
    """An answer holds no verdict; the message says why, in words that the judge is shown when it is asked again."""


def parse_verdict(text: str) -> Verdict:
    """Return the verdict of an answer. Raises UnparsableError.

    The verdict is one JSON object at the very end of the answer: all of it, or what follows a line `VERDICT:`, or the
    only fenced block. Reasoning may stand before it, never after. Of two places that could be meant, neither is.
    """
    found = _object(_place(text.rpartition(_THOUGHT_ENDS)[2].strip()))
    try:
        return Verdict.model_validate(found)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, e['loc'])) or 'verdict'}: {e['msg']}" for e in error.errors(include_url=False)]
        raise UnparsableError("; ".join(faults[:4])) from None


def _place(text: str) -> str:
    """Return the part of an answer that is to be JSON."""
    if not text:
        raise UnparsableError("the answer is empty")
    marks = list(_MARK.finditer(text))
    if len(marks) > 1:
        raise UnparsableError("the line VERDICT: stands more than once")
    if marks:
        text = text[marks[0].end() :].strip()
    fences = list(_FENCE.finditer(text))
    if not fences:
        return text
    if len(fences) != 2 or fences[1].end() != len(text):
        raise UnparsableError("there is more than one fenced block, or something follows it")
    return text[fences[0].end() : fences[1].start()].strip()


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise UnparsableError(f"the verdict is not one JSON object and nothing else ({error.msg})") from None
    except RecursionError:
        raise UnparsableError("the JSON is nested too deeply") from None
    if not isinstance(found, dict):
        raise UnparsableError(f"the verdict is a JSON {type(found).__name__}, an object is needed")
    return found


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise UnparsableError("a key stands twice in the verdict")
    return values


def _no_constant(name: str) -> Any:
    raise UnparsableError(f"{name} is no JSON number")
