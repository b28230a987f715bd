"""What every answer carries, and what no request may: headers that close browsers, and a limit on bodies."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


class Closed:
    """Middleware: adds the headers, and refuses bodies that are too large, also those that do not say so."""

    def __init__(self, app: ASGIApp, body_bytes: int) -> None:
        self._app = app
        self._most = body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        stated = dict(scope["headers"]).get(b"content-length", b"0")
        if not stated.isdigit() or int(stated) > self._most:
            await _refuse(send, self._most)
            return
        taken, answered = 0, False

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._most:
                return {"type": "http.disconnect"}
            return message

        async def closed(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                _add(message)
            await send(message)

        await self._app(scope, counted, closed)
        if taken > self._most and not answered:
            await _refuse(send, self._most)


def _add(message: MutableMapping[str, Any]) -> None:
    there = {name.lower() for name, _ in message["headers"]}
    message["headers"] = [
        *message["headers"],
        *((name.encode(), text.encode()) for name, text in _HEADERS.items() if name.encode() not in there),
    ]


async def _refuse(send: Send, most: int) -> None:
    body = b'{"detail": "the body is larger than %d bytes"}' % most
    start: Message = {"type": "http.response.start", "status": 413, "headers": [(b"content-type", b"application/json")]}
    _add(start)
    await send(start)
    await send({"type": "http.response.body", "body": body})
