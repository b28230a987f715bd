"""The caption and the metadata that lie beside an image in a webdataset archive."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from curation.ingest.archive import Member
from curation.ingest.files import read_file
from curation.ingest.refusal import Reason, Refused

FIELDS = ("subject", "style", "licence", "author", "attribution_url", "caption")
_MAX_BYTES = 1024 * 1024


def read_sidecars(tar: Path, members: Mapping[str, Member]) -> dict[str, str]:
    """Return the fields of `FIELDS` that the `.txt` (caption) and `.json` members of one sample state.

    `members` maps extensions to members; a caption in `.txt` goes before one in `.json`. Raises Refused with
    `unreadable_metadata` where one of them is no UTF-8, no JSON object, states a field that is not text, has more than
    1 MiB, or is not served by the archive: without it the image would go under another's subject and licence.
    """
    stated: dict[str, str] = {}
    if ".json" in members:
        stated = _fields(_text(tar, members[".json"]))
    if ".txt" in members:
        caption = _text(tar, members[".txt"]).strip()
        if caption:
            stated["caption"] = caption
    return stated


def _text(tar: Path, member: Member) -> str:
    if member.reason is not None:
        raise Refused(Reason.METADATA, f"{member.name}: {member.detail}")
    if member.size > _MAX_BYTES:
        raise Refused(Reason.METADATA, f"{member.name} has {member.size} bytes, at most {_MAX_BYTES} are metadata")
    try:
        return read_file(tar, offset=member.offset, size=member.size).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Refused(Reason.METADATA, f"{member.name} is not UTF-8") from None
    except Refused as refused:
        raise Refused(Reason.METADATA, f"{member.name}: {refused.detail}") from None


def _fields(text: str) -> dict[str, str]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused(Reason.METADATA, f"the .json beside the image is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise Refused(Reason.METADATA, "the .json beside the image is not an object of keys and values")
    stated: dict[str, str] = {}
    for field in FIELDS:
        value = content.get(field)
        if value is None:
            continue
        if not isinstance(value, str) or not _is_unicode(value):
            raise Refused(Reason.METADATA, f"{field} in the .json beside the image is not text")
        if value.strip():
            stated[field] = value.strip()
    return stated


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
