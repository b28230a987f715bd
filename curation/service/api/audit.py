"""Audits: the story of a candidate or image, its lineage, SQL over the tables, and verification beside other work."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, Field

from curation.service.api.data import reader_of
from curation.service.guard import needs
from curation.service.settings import Settings
from curation.service.tokens import Role
from manifests.audit.explain import explain
from manifests.audit.query import query

router = APIRouter(prefix="/v1/audit", tags=["audit"], dependencies=[Depends(needs(Role.AUDITOR))])


class Question(BaseModel):
    """One SELECT."""

    sql: str = Field(max_length=20_000)
    rows: int = Field(default=1000, ge=1, le=10_000)


@router.get("/explain/{one}")
def story(request: Request, one: str) -> dict[str, Any]:
    """Tell everything that the store knows of a candidate or image, by its id or first digits."""
    return {key: value for key, value in asdict(explain(reader_of(request).ledger, one)).items() if key != "root"}


@router.post("/query")
def ask(request: Request, question: Question) -> dict[str, Any]:
    """Answer one SELECT over the tables; it reads nothing else, and is bounded in time, memory and rows."""
    settings: Settings = request.app.state.settings
    try:
        answer = query(
            reader_of(request).ledger,
            question.sql,
            rows=question.rows,
            seconds=settings.query_seconds,
            memory=settings.query_memory,
        )
    except ValueError as error:
        raise HTTPException(422, str(error)) from None
    return {"columns": answer.table.column_names, "rows": answer.rows, "more": answer.more}


@router.post("/verify", status_code=202)
def start_verify(request: Request, sample: float = 1.0) -> dict[str, Any]:
    """Start a verification, unless one runs; `sample` is the share of shards that is read."""
    if not 0.0001 <= sample <= 1:
        raise HTTPException(422, "sample: a share from 0.0001 to 1")
    return asdict(request.app.state.verifications.start(sample=sample))


@router.get("/verify")
def verified(request: Request) -> dict[str, Any]:
    """Tell how far the last verification is, and what it found."""
    last = request.app.state.verifications.last
    if last is None:
        raise HTTPException(404, "no verification was started since the service was; POST starts one")
    return asdict(last)
