"""The service's pages, rendered here; htmx fetches what changes. No page holds a script or a style of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from curation.graph.rows import short_reason
from curation.progress import PHASES
from curation.service.api.data import filter_of, found_triplet, reader_of
from curation.service.api.jobs import ended
from curation.service.guard import COOKIE, CSRF, Guard, fresh_csrf
from curation.service.reading import NUMBERS
from curation.service.tokens import Identity, Role
from manifests.audit.explain import CandidateStory, explain
from manifests.audit.explain_text import told
from manifests.records import SCORES

router = APIRouter(include_in_schema=False)

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters["short"] = short_reason
_PAGE = 24
_SHOWN_VALUES = 100
_SECONDS = 12 * 3600


def _who(request: Request) -> Identity | None:
    guard: Guard = request.app.state.guard
    return guard.identity(request)


Who = Annotated[Identity | None, Depends(_who)]


def _page(name: str, request: Request, who: Identity | None, code: int = 200, **values: Any) -> HTMLResponse:
    store = request.app.state.store
    text = _TEMPLATES.get_template(name).render(who=who, store=store.name, path=request.url.path, **values)
    return HTMLResponse(text, code)


def _refused(request: Request, who: Identity | None, role: Role) -> Response | None:
    """Return what somebody is shown who may not see a page; None for those who may."""
    if who is None:
        return RedirectResponse("/login?" + urlencode({"next": str(request.url.path)}), 303)
    if who.role < role:
        said = f"{who.name} is {who.role.name.lower()}; this page is for {role.name.lower()}."
        return _page("said.html", request, who, 403, heading="Not for this token", said=said)
    return None


@router.get("/login")
def login_form(request: Request, next: str = "/") -> Response:
    """Ask for a token."""
    return _page("login.html", request, None, next=_own(next), wrong=False)


@router.post("/login")
def login(request: Request, token: Annotated[str, Form()], next: Annotated[str, Form()] = "/") -> Response:
    """Keep a token in a cookie that no script reads and no other site sends."""
    guard: Guard = request.app.state.guard
    if guard.count(f"login {request.client.host if request.client else ''}") is not None:
        return _page("said.html", request, None, 429, heading="Too many tries", said="Wait a minute.")
    if guard.known(token.strip()) is None:
        return _page("login.html", request, None, 401, next=_own(next), wrong=True)
    answer = RedirectResponse(_own(next), 303)
    secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, token.strip(), max_age=_SECONDS, httponly=True, samesite="strict", secure=secure)
    answer.set_cookie(CSRF, fresh_csrf(), max_age=_SECONDS, samesite="strict", secure=secure)
    return answer


@router.post("/logout")
def logout() -> Response:
    """Forget the token."""
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE)
    answer.delete_cookie(CSRF)
    return answer


@router.get("/")
def gallery(request: Request, who: Who) -> Response:
    """Show triplets side by side, filtered and sorted; the address holds the whole view."""
    if (refused := _refused(request, who, Role.VIEWER)) is not None:
        return refused
    reader = reader_of(request)
    asked = dict(request.query_params)
    return _page(
        "gallery.html",
        request,
        who,
        asked=asked,
        count=reader.count(filter_of(request)),
        styles=reader.values("style", _SHOWN_VALUES),
        reasons=reader.reasons(),
        licences=reader.licences(),
        numbers=NUMBERS,
        bounds=_bounds(asked),
        **_triplets(request),
    )


@router.get("/triplets")
def more(request: Request, who: Who) -> Response:
    """Return the next triplets of a gallery, to be put behind those that are there."""
    if (refused := _refused(request, who, Role.VIEWER)) is not None:
        return refused
    return _page("tiles.html", request, who, **_triplets(request))


@router.get("/triplets/{candidate}")
def triplet(request: Request, who: Who, candidate: str) -> Response:
    """Show one triplet with its whole story."""
    if (refused := _refused(request, who, Role.VIEWER)) is not None:
        return refused
    row = found_triplet(request, candidate)
    story = explain(reader_of(request).ledger, candidate)
    assert isinstance(story, CandidateStory)
    return _page("triplet.html", request, who, row=row, sections=told(story), scores=_scores(row, story), story=story)


@router.get("/jobs")
def jobs(request: Request, who: Who) -> Response:
    """Show jobs at work, and those that have ended."""
    if (refused := _refused(request, who, Role.VIEWER)) is not None:
        return refused
    return _page("jobs.html", request, who, ended=ended(request), **_status(request))


@router.get("/jobs/now")
def jobs_now(request: Request, who: Who) -> Response:
    """Return the jobs at work, to be put in place of what was shown."""
    if (refused := _refused(request, who, Role.VIEWER)) is not None:
        return refused
    return _page("now.html", request, who, **_status(request))


def _triplets(request: Request) -> dict[str, Any]:
    known = request.query_params
    order = known.get("order") or "candidate_id"
    descending = known.get("descending") == "true"
    page = reader_of(request).triplets(
        filter_of(request), order=order, descending=descending, after=known.get("after"), limit=_PAGE
    )
    kept = {key: value for key, value in known.items() if key != "after" and value}
    following = None if page.cursor is None else "/triplets?" + urlencode({**kept, "after": page.cursor})
    return {"rows": page.rows, "order": order, "following": following}


def _status(request: Request) -> dict[str, Any]:
    return {"status": request.app.state.watch.look(), "phases": PHASES}


def _bounds(asked: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Return the columns that are bounded now, or that one would bound first, with what is asked of them."""
    columns = [name for name in SCORES if f"min.{name}" in asked or f"max.{name}" in asked]
    shown = columns or ["style_similarity", "style_leak", "subject_consistency"]
    return [(name, asked.get(f"min.{name}", ""), asked.get(f"max.{name}", "")) for name in shown]


def _scores(row: Mapping[str, Any], story: CandidateStory) -> list[dict[str, Any]]:
    """Return each score with its place on a scale and the thresholds that were set on it."""
    found = []
    for name in SCORES:
        value = row[name]
        if value is None:
            continue
        marks = [
            bound for rule in story.rules if rule.column == name for bound in (rule.min, rule.max) if bound is not None
        ]
        low, high = min(0.0, value, *marks), max(1.0, value, *marks)
        place = {bound: round(100 * (bound - low) / (high - low), 2) for bound in {value, *marks}}
        found.append(
            {
                "name": name,
                "value": value,
                "at": place[value],
                "marks": [(bound, place[bound]) for bound in marks],
                "failed": any(reason.startswith((f"{name}<", f"{name}>")) for reason in row["reasons"]),
            }
        )
    return found


def _own(address: str) -> str:
    """Return an address of this service; another's is not gone to."""
    return address if address.startswith("/") and not address.startswith(("//", "/\\")) else "/"
