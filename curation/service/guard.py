"""Who may do what: the token of a request, its role, and how many requests a caller may make."""

from __future__ import annotations

import secrets
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable

from fastapi import HTTPException, Request

from curation.service.settings import Settings
from curation.service.tokens import Identity, Role, Token, identify, read_tokens
from manifests.files import WritableFiles

COOKIE = "triptych_token"
CSRF = "triptych_csrf"
_FRESH = 5.0
_MINUTE = 60.0
_SAFE = ("GET", "HEAD", "OPTIONS")


class Guard:
    """Tells callers apart by the tokens that the store keeps; those are read anew every few seconds."""

    def __init__(self, settings: Settings, files: WritableFiles) -> None:
        self._settings = settings
        self._files = files
        self._lock = threading.Lock()
        self._tokens: list[Token] = []
        self._read = -_FRESH
        self._calls: dict[str, deque[float]] = defaultdict(deque)

    def identity(self, request: Request) -> Identity | None:
        """Return who calls; None where there is no token, or none that is known."""
        if self._settings.open_to_all:
            return Identity("everybody", Role.ADMIN)
        kind, _, secret = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and secret:
            return self.known(secret.strip())
        cookie = request.cookies.get(COOKIE)
        if cookie is None:
            return None
        who = self.known(cookie)
        if who is not None and request.method not in _SAFE and not _same_page(request):
            raise HTTPException(403, "the form is of another page; open it again and send it from there")
        return who

    def known(self, secret: str) -> Identity | None:
        """Return whose token this is."""
        with self._lock:
            if time.monotonic() - self._read > _FRESH:
                self._tokens, self._read = read_tokens(self._files), time.monotonic()
            return identify(self._tokens, secret)

    def count(self, caller: str) -> float | None:
        """Count a request, and return after how many seconds the caller may go on; None: at once."""
        now = time.monotonic()
        with self._lock:
            calls = self._calls[caller]
            while calls and now - calls[0] > _MINUTE:
                calls.popleft()
            if len(calls) >= self._settings.requests_a_minute:
                return _MINUTE - (now - calls[0])
            calls.append(now)
            for idle in [one for one, times in self._calls.items() if now - times[-1] > _MINUTE]:
                del self._calls[idle]
            return None


def needs(role: Role, *, counted: bool = True) -> Callable[[Request], Identity]:
    """Return a dependency that lets those through who have a role; requests for pictures are not `counted`."""

    def check(request: Request) -> Identity:
        guard: Guard = request.app.state.guard
        who = guard.identity(request)
        if who is None:
            raise HTTPException(
                401,
                "a token is needed: Authorization: Bearer TOKEN; `triptych serve token add` makes one",
                {"WWW-Authenticate": "Bearer"},
            )
        if who.role < role:
            raise HTTPException(403, f"{who.name} is {who.role.name.lower()}, and this is for {role.name.lower()}")
        wait = guard.count(who.name) if counted else None
        if wait is not None:
            raise HTTPException(429, "too many requests", {"Retry-After": str(int(wait) + 1)})
        return who

    return check


def fresh_csrf() -> str:
    """Return a word that a page's forms send back, so that another site's cannot."""
    return secrets.token_urlsafe(16)


def _same_page(request: Request) -> bool:
    sent, kept = request.headers.get("x-csrf"), request.cookies.get(CSRF)
    return bool(sent and kept and secrets.compare_digest(sent, kept))
