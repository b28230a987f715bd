"""A real HTTP server that speaks OpenAI's chat protocol, and misbehaves where a test tells it to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GOOD = {
    "reasons": "Same bird, same brush.",
    "style_match": 4,
    "style_only": 3,
    "subject_match": 2,
    "subjects": [{"name": "bird", "match": 2}],
    "realism": 1,
    "layout": "shifted",
}

Reply = Callable[[dict[str, Any]], "Said"]


@dataclass(frozen=True)
class Said:
    """One answer of the server: a status, a body, headers; or none at all."""

    body: bytes = b""
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    wait: float = 0.0
    cut: bool = False


def saying(text: str, **more: Any) -> Said:
    """Return an answer in which the model says this text."""
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return Said(_json({**_COMPLETION, "choices": choices, "usage": usage}), **more)


def judging(**parts: Any) -> Said:
    """Return an answer with a verdict in the form that is asked for."""
    return saying(f"I looked.\nVERDICT:\n{json.dumps({**GOOD, **parts})}")


def refusing(status: int, message: str = "no", **more: Any) -> Said:
    """Return an error in OpenAI's form."""
    return Said(_json({"error": {"message": message, "type": "error", "code": None}}), status, **more)


NO_CHOICE = Said(
    json.dumps(
        {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [], "usage": None}
    ).encode()
)
CUT = Said(cut=True)
BROKEN = Said(b'{"id": "1", "choices": [')


@dataclass
class Endpoint:
    """A running server: what it was asked, and what it will say."""

    port: int
    reply: Reply
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    busiest: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def says(self, said: Said | Sequence[Said]) -> None:
        """Give these answers, one a request; the last one from then on."""
        waiting, lock = list(said) if isinstance(said, Sequence) else [said], threading.Lock()

        def reply(_asked: dict[str, Any]) -> Said:
            with lock:
                return waiting.pop(0) if len(waiting) > 1 else waiting[0]

        self.reply = reply
        self.asked.clear()


@contextmanager
def running_endpoint(reply: Reply = lambda _asked: judging()) -> Iterator[Endpoint]:
    """Run a server on a free loopback port until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    endpoint = Endpoint(server.server_address[1], reply)
    server.endpoint = endpoint  # type: ignore[attr-defined]
    server.under_way, server.lock = 0, threading.Lock()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        endpoint, server = self.server.endpoint, self.server  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with server.lock:
            server.under_way += 1
            endpoint.busiest = max(endpoint.busiest, server.under_way)
            endpoint.asked.append(json.loads(body))
            endpoint.keys.append(self.headers["Authorization"])
        try:
            self._say(endpoint.reply(json.loads(body)))
        finally:
            with server.lock:
                server.under_way -= 1

    def _say(self, said: Said) -> None:
        time.sleep(said.wait)
        if said.cut:
            self.close_connection = True
            self.connection.close()
            return
        self.send_response(said.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said.body)))
        for name, value in said.headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(said.body)

    def handle(self) -> None:
        try:
            super().handle()
        except (OSError, ValueError):
            return  # the client left, or we did

    def log_message(self, format: str, *args: Any) -> None:
        pass


_COMPLETION = {"id": "1", "object": "chat.completion", "created": 1, "model": "m"}


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
