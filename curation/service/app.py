"""The application: what the service is made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles

from curation.service.api import audit, data, health, jobs
from curation.service.guard import Guard
from curation.service.headers import Closed
from curation.service.pages import router as pages
from curation.service.reading import AskedWronglyError, Reader
from curation.service.settings import Settings
from curation.service.verifying import Verifications
from curation.status import Watch
from manifests.audit.errors import AuditError
from manifests.store import Store

_STATIC = Path(__file__).with_name("pages") / "static"


def create_app(settings: Settings) -> FastAPI:
    """Return the application over a store. Raises as `manifests.store.Store` where there can be none."""
    app = FastAPI(
        title="Triptych",
        version=version("triptych"),
        description="Curated triplets, what became of each candidate, and who may look.",
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    store = Store(settings.store)
    app.state.settings = settings
    app.state.store = store
    app.state.reader = Reader(store, cache=settings.cache)
    app.state.watch = Watch(store)
    app.state.guard = Guard(settings, store.files)
    app.state.verifications = Verifications(store)
    for router in (health.router, data.router, jobs.router, audit.router, pages):
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    app.add_middleware(Closed, body_bytes=settings.body_bytes)
    app.middleware("http")(_counted)
    app.exception_handler(AskedWronglyError)(_answer(422))
    app.exception_handler(AuditError)(_answer(404))
    app.exception_handler(OSError)(_answer(503))
    return app


def _answer(status: int) -> Callable[[Request, Exception], Response]:
    def answer(_request: Request, error: Exception) -> Response:
        return JSONResponse({"detail": str(error).splitlines()[0] if str(error) else type(error).__name__}, status)

    return answer


async def _counted(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
    answer = await go_on(request)
    health.count(request, answer.status_code)
    return answer
