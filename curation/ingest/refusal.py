"""Why an image was not let in."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Every reason for which ingest refuses an image; the value is what rows carry."""

    EMPTY = "empty_file"
    MISSING = "missing_file"
    TOO_MANY_BYTES = "too_many_bytes"
    TOO_MANY_PIXELS = "too_many_pixels"
    SIDE_TOO_LONG = "side_too_long"
    SIDE_TOO_SHORT = "side_too_short"
    NOT_AN_IMAGE = "not_an_image"
    FORMAT_NOT_ALLOWED = "format_not_allowed"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    BOMB = "decompression_bomb"
    ANIMATED = "animated"
    METADATA = "unreadable_metadata"
    COLOUR = "unreadable_colour_profile"
    UNSAFE_PATH = "unsafe_path"
    NOT_A_FILE = "not_a_regular_file"
    UNREADABLE = "unreadable_file"
    DUPLICATE_MEMBER = "duplicate_member"
    TAKEN_DOWN = "taken_down"


class Refused(Exception):  # noqa: N818 - a verdict on one image, not a fault of the program
    """An image was refused: `reason` for counting, `detail` for the person who looks."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[Refused], tuple[Reason, str]]:
        return type(self), (self.reason, self.detail)
