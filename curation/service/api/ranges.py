"""Parts of files: `Range` and `If-None-Match` of HTTP (RFC 9110, sections 13 and 14), wherever the files lie."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fastapi import HTTPException, Request
from fastapi.responses import Response, StreamingResponse

from manifests.files import Files

_BLOCK = 1 << 20
_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")


def part_of_file(request: Request, files: Files, name: str, size: int, *, etag: str, media: str) -> Response:
    """Return a file, or the part of it that is asked for. Raises HTTPException(416) on a part that is not there."""
    headers = {"etag": f'"{etag}"', "accept-ranges": "bytes", "cache-control": "private, max-age=31536000, immutable"}
    if f'"{etag}"' in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    start, end = _asked(request, size, etag)
    headers["content-length"] = str(end - start)
    partial = (start, end) != (0, size)
    if partial:
        headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
    return StreamingResponse(
        _blocks(files, name, start, end), 206 if partial else 200, headers=headers, media_type=media
    )


def _asked(request: Request, size: int, etag: str) -> tuple[int, int]:
    text = request.headers.get("range")
    if text is None or request.headers.get("if-range", f'"{etag}"') != f'"{etag}"':
        return 0, size
    found = _RANGE.match(text.strip())
    if not found or found.group(1) == found.group(2) == "":
        return 0, size  # several parts, or none: the whole is a right answer
    first, last = found.groups()
    start = size - int(last) if first == "" else int(first)
    end = size if first == "" or last == "" else min(int(last) + 1, size)
    start = max(0, start)
    if start >= end:
        raise HTTPException(416, "no such part", {"content-range": f"bytes */{size}"})
    return start, end


def _blocks(files: Files, name: str, start: int, end: int) -> Iterator[bytes]:
    for at in range(start, end, _BLOCK):
        yield files.read_range(name, at, min(_BLOCK, end - at))
