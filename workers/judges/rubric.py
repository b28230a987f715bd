"""The rubric: what a judge answers, part by part, and how strictly that is read."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from manifests.records import Layout

Part = Annotated[int, Field(ge=0, le=4, strict=True)]
"""One part of a verdict: 0 (not at all) to 4 (fully). Neither 4.0 nor "4" nor true is an integer here."""


class SubjectPart(BaseModel):
    """How well one subject of the target is kept in the content reference."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=200, strict=True)]
    match: Part


class Verdict(BaseModel):
    """A judge's verdict on one triplet; every part is there, and in its range, or there is no verdict."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reasons: Annotated[str, Field(min_length=1, max_length=4000, strict=True)]
    style_match: Part = Field(description="Target and style reference: medium, brushwork, line, palette, lighting.")
    style_only: Part = Field(description="The style reference shows another subject than the target.")
    subject_match: Part = Field(description="Target and content reference: identity, structure, distinctive parts.")
    subjects: Annotated[tuple[SubjectPart, ...], Field(max_length=16)]
    realism: Part = Field(description="The content reference looks like a photograph.")
    layout: Layout = Field(description="Whether pose, place and size of the subject are kept, as the judge sees it.")


PARTS: tuple[str, ...] = ("style_match", "style_only", "subject_match", "realism")
"""The parts that are numbers, in the order in which people read them."""


def json_schema() -> dict[str, Any]:
    """Return the verdict's JSON schema in the form that endpoints with constrained decoding take.

    Every property is required and none may be added; bounds are listed as values, which all of them understand.
    """
    part = {"type": "integer", "enum": [0, 1, 2, 3, 4]}
    subject = _closed({"name": {"type": "string"}, "match": part})
    return _closed(
        {
            "reasons": {"type": "string"},
            "style_match": part,
            "style_only": part,
            "subject_match": part,
            "subjects": {"type": "array", "items": subject},
            "realism": part,
            "layout": {"type": "string", "enum": ["preserved", "shifted"]},
        }
    )


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
