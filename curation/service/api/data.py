"""Triplets, their pictures, and the shards and tables that trainers pull."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import Response

from curation.service.api.ranges import part_of_file
from curation.service.guard import needs
from curation.service.reading import NUMBERS, TEXTS, Filter, Reader
from curation.service.tokens import Role
from manifests.audit.pictures import pictures_of
from manifests.records import Role as ImageRole
from manifests.store import Store

router = APIRouter(prefix="/v1", tags=["data"])

_VIEWERS = [Depends(needs(Role.VIEWER))]
_UNCOUNTED = [Depends(needs(Role.VIEWER, counted=False))]

_NONE_KEPT = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 288 96"><rect width="288" height="96" fill="#e9edf2"/>'
    b'<text x="144" y="52" text-anchor="middle" font-family="sans-serif" font-size="13" fill="#566272">'
    b"no picture was kept</text></svg>"
)

_ID = re.compile(r"[0-9a-f]{32}")
_FILE = re.compile(
    r"(shards/[0-9a-f]+\.tar(\.index\.json)?|index(-train|-heldout)?\.json|moves/\d{6}\.json"
    r"|tables/(triplets|assets)/(_delta_log/[\w.-]+|[\w=.%-]+\.parquet))"
)
"""What a puller may have: the data set itself. Tokens, logs of access and caches, in the same store, are not it."""


def filter_of(request: Request) -> Filter:
    """Return the filter that a query string asks for: `layout=shifted`, `accepted=true`, `min.style_leak=0.2`."""
    texts, least, most = dict[str, str](), dict[str, float](), dict[str, float]()
    known = request.query_params
    for key, value in known.items():
        if value == "":
            continue
        bound, _, column = key.partition(".")
        if key in TEXTS:
            texts[key] = value
        elif bound in ("min", "max") and column:
            (least if bound == "min" else most)[column] = _number(key, value)
    accepted = known.get("accepted") or None
    if accepted not in (None, "true", "false"):
        raise HTTPException(422, "accepted: true or false")
    return Filter(
        accepted=None if accepted is None else accepted == "true",
        texts=texts,
        licence=known.get("licence") or None,
        reason=known.get("reason") or None,
        least=least,
        most=most,
    )


def reader_of(request: Request) -> Reader:
    """Return the reader."""
    reader: Reader = request.app.state.reader
    return reader


@router.get("/datasets", dependencies=_VIEWERS)
def datasets(request: Request) -> dict[str, Any]:
    """Tell what the store holds: its version, the head of its chain, and counts."""
    ledger = reader_of(request).ledger
    store: Store = request.app.state.store
    shards = store.committed_shards()
    commits = [commit for commit in ledger.commits if commit.digest]
    return {
        "name": store.name,
        "version": ledger.version,
        "head": commits[-1].digest if commits else None,
        "candidates": reader_of(request).count(Filter()),
        "accepted": reader_of(request).count(Filter(accepted=True)),
        "shards": len(shards),
        "bytes": sum(shard["bytes"] for shard in shards),
    }


@router.get("/versions", dependencies=_VIEWERS)
def versions(request: Request) -> list[dict[str, Any]]:
    """List the commits, newest first."""
    commits = reader_of(request).ledger.commits
    return [
        {
            "version": commit.version,
            "time": commit.time,
            "digest": commit.digest or None,
            "job": commit.job or None,
            "rows": commit.rows_added,
            "shards": [shard["name"] for shard in commit.shards],
        }
        for commit in reversed(commits)
    ]


@router.get("/triplets", dependencies=_VIEWERS)
def triplets(
    request: Request,
    order: Annotated[str, Query(description=f"candidate_id, or one of {', '.join(NUMBERS)}.")] = "candidate_id",
    descending: bool = False,
    after: Annotated[str | None, Query(description="Cursor of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> dict[str, Any]:
    """List triplets, accepted or not: by value (`layout=shifted`), by bounds (`min.style_leak=0.2`), page by page."""
    wanted = filter_of(request)
    page = reader_of(request).triplets(wanted, order=order, descending=descending, after=after, limit=limit)
    return {"triplets": page.rows, "after": page.cursor}


@router.get("/triplets/{candidate}", dependencies=_VIEWERS)
def triplet(request: Request, candidate: str) -> Mapping[str, Any]:
    """Return one triplet."""
    return found_triplet(request, candidate)


@router.get("/triplets/{candidate}/images/{role}", dependencies=_UNCOUNTED)
def image(request: Request, candidate: str, role: ImageRole) -> Response:
    """Return a picture of an accepted triplet; it never changes, so it may be kept."""
    row = found_triplet(request, candidate)
    shard = row["shard"]
    if shard is None:
        raise HTTPException(404, f"{candidate} was rejected; the store keeps no {role} image of it")
    etag = f'"{row[f"{role}_id"]}"'
    headers = {"etag": etag, "cache-control": "private, max-age=31536000, immutable"}
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    for picture in pictures_of(reader_of(request).ledger, candidate, shard, [role]):
        return Response(picture.data, media_type=f"image/{picture.kind}", headers=headers)
    raise HTTPException(404, f"shard {shard} has no {role} image of {candidate}")


@router.get("/triplets/{candidate}/strip", dependencies=_UNCOUNTED)
def strip(request: Request, candidate: str) -> Response:
    """Return the thumbnails of a rejected triplet; a picture that says so where none were kept."""
    found_triplet(request, candidate)
    store: Store = request.app.state.store
    try:
        data = store.files.read(store.strip(candidate))
    except FileNotFoundError:
        return Response(_NONE_KEPT, media_type="image/svg+xml", headers={"cache-control": "private, max-age=60"})
    return Response(data, media_type="image/webp", headers={"cache-control": "private, max-age=3600"})


@router.get("/shards", dependencies=_VIEWERS)
def shards(request: Request) -> list[dict[str, Any]]:
    """List the shards that hold the data set, with size and sha256."""
    store: Store = request.app.state.store
    keys = ("name", "split", "samples", "bytes", "sha256")
    return [{key: shard[key] for key in keys} for shard in store.committed_shards()]


@router.get("/files", dependencies=_VIEWERS)
def files(request: Request) -> list[dict[str, Any]]:
    """List the files of tables and of shards that a copy of the data set needs, with their sizes."""
    store: Store = request.app.state.store
    live = {f"shards/{shard['name']}" for shard in store.committed_shards()}
    kept = []
    for prefix in ("tables/triplets/", "tables/assets/", "shards/", "moves/", "index"):
        for found in store.files.list(prefix):
            if _FILE.fullmatch(found.name) and (not found.name.endswith(".tar") or found.name in live):
                kept.append({"name": found.name, "bytes": found.size})
    return kept


@router.get("/files/{name:path}", dependencies=_UNCOUNTED)
def file(request: Request, name: str) -> Response:
    """Return a file of the data set, or a part of it."""
    if not _FILE.fullmatch(name):
        raise HTTPException(404, "no such file of the data set; /v1/files lists them")
    store: Store = request.app.state.store
    try:
        facts = store.files.stat(name)
    except FileNotFoundError:
        raise HTTPException(404, f"{name} is not there") from None
    media = "application/x-tar" if name.endswith(".tar") else "application/octet-stream"
    return part_of_file(request, store.files, name, facts.size, etag=re.sub(r"\W", "", facts.etag), media=media)


def found_triplet(request: Request, candidate: str) -> Mapping[str, Any]:
    """Return the row of a candidate by its whole id. Raises HTTPException(404)."""
    row = reader_of(request).triplet(candidate) if _ID.fullmatch(candidate) else None
    if row is None:
        raise HTTPException(404, "no such triplet: an id has 32 hexadecimal digits")
    return row


def _number(key: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        raise HTTPException(422, f"{key}: {value[:40]!r} is no number") from None
    if number != number or number in (float("inf"), float("-inf")):
        raise HTTPException(422, f"{key}: a finite number is needed")
    return number
