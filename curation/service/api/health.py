"""Whether the service lives, whether it can work, and what Prometheus is told."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, Counter, generate_latest

router = APIRouter(tags=["health"])

_REQUESTS = Counter("triptych_service_requests", "Requests, by route and status.", ["route", "status"])


@router.get("/healthz")
def health() -> dict[str, str]:
    """Tell that the process lives."""
    return {"status": "ok"}


@router.get("/readyz")
def ready(request: Request) -> dict[str, str]:
    """Tell whether the store answers."""
    try:
        request.app.state.store.triplets.log.newest()
    except OSError as error:
        raise HTTPException(503, f"the store does not answer: {type(error).__name__}") from None
    return {"status": "ready"}


@router.get("/metrics")
def metrics() -> Response:
    """Return counters for Prometheus."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def count(request: Request, status: int) -> None:
    """Count an answer, by the pattern of its route: ids and names are not labels."""
    route = request.scope.get("route")
    _REQUESTS.labels(getattr(route, "path", "none"), str(status)).inc()
