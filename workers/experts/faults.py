"""Faults that the retrieval expert commits on demand, so that the filters can be measured against the truth."""

from __future__ import annotations

from enum import StrEnum

from manifests.records import Layout
from workers.experts.base import ExpertRole

GOOD = "good"
"""What the `truth` column says of a candidate that was not spoiled."""


class Fault(StrEnum):
    """One way in which a triplet can be bad; the value is what the `truth` column carries."""

    WRONG_STYLE = "wrong_style"
    WRONG_SUBJECT = "wrong_subject"
    STYLE_SHOWS_SUBJECT = "style_shows_subject"
    CONTENT_STYLIZED = "content_stylized"
    SHIFT_MISSING = "shift_missing"
    PLAIN_COPY = "plain_copy"
    PRESERVED_MOVED = "preserved_moved"


MEANING: dict[Fault, str] = {
    Fault.WRONG_STYLE: "the style reference is in another style than the target",
    Fault.WRONG_SUBJECT: "the content reference shows another subject than the target",
    Fault.STYLE_SHOWS_SUBJECT: "the style reference shows the target's own subject",
    Fault.CONTENT_STYLIZED: "the content reference is still painted in the target's style",
    Fault.SHIFT_MISSING: "the layout is said to be shifted, and did not shift",
    Fault.PLAIN_COPY: "the content reference is a copy of the target",
    Fault.PRESERVED_MOVED: "the layout is said to be preserved, and was moved",
}

SPOILED_BY: dict[Fault, ExpertRole] = {
    Fault.WRONG_STYLE: "stylize",
    Fault.WRONG_SUBJECT: "destylize",
    Fault.STYLE_SHOWS_SUBJECT: "stylize",
    Fault.CONTENT_STYLIZED: "destylize",
    Fault.SHIFT_MISSING: "destylize",
    Fault.PLAIN_COPY: "destylize",
    Fault.PRESERVED_MOVED: "destylize",
}
"""The role of the expert that commits each fault."""

_ONLY: dict[Fault, Layout] = {Fault.SHIFT_MISSING: "shifted", Fault.PRESERVED_MOVED: "preserved"}


def applies(fault: Fault, layout: Layout) -> bool:
    """Tell whether a fault can be committed on a candidate of this layout."""
    return _ONLY.get(fault, layout) == layout
