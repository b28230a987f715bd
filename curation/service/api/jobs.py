"""Jobs as the store knows them: those at work, and those that have ended."""

from __future__ import annotations

import json
from typing import Any

import yaml
from fastapi import APIRouter, Depends, HTTPException, Request

from curation.service.guard import needs
from curation.service.tokens import Role
from curation.status import Watch

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], dependencies=[Depends(needs(Role.VIEWER))])


@router.get("")
def jobs(request: Request) -> list[dict[str, Any]]:
    """List the jobs that have ended, newest first, with their funnel."""
    return ended(request)


@router.get("/status")
def status(request: Request) -> dict[str, Any]:
    """Tell what is committed, which jobs are at work, how fast, and what waits where."""
    watch: Watch = request.app.state.watch
    return watch.look().to_json()


@router.get("/{job}")
def job(request: Request, job: str) -> dict[str, Any]:
    """Return one job with its spec."""
    for one in ended(request):
        if one["job_id"] == job:
            return one
    raise HTTPException(404, "no such job has ended; /v1/jobs/status tells of those at work")


def ended(request: Request) -> list[dict[str, Any]]:
    """Return the jobs' records, newest first, as plain values."""
    rows = request.app.state.reader.ledger.jobs
    found = []
    for row in reversed(rows):
        spec = yaml.load(row["spec"], Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}
        found.append(
            {
                "job_id": row["job_id"],
                "name": spec.get("name"),
                "status": row["status"],
                "started": row["started"].isoformat(),
                "finished": row["finished"].isoformat(),
                "counts": json.loads(row["counts"]),
                "spec": spec,
            }
        )
    return found
