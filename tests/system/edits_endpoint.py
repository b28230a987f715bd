"""A real HTTP server for `images/edits` in OpenAI's form: reads multipart, answers images, misbehaves where told to."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Asked:
    """One request: its fields, and the picture that came with it."""

    fields: dict[str, str]
    picture: Image.Image
    key: str | None


@dataclass(frozen=True)
class Said:
    """One answer: a status, a body, headers; or none at all, or one that ends early."""

    body: bytes = b""
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    wait: float = 0.0
    cut: bool = False
    promised: int | None = None


Reply = Callable[[Asked], Said]


def png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def handing(data: bytes, **more: object) -> Said:
    """Return an answer that holds these bytes as its image."""
    body = {"created": 1, "data": [{"b64_json": base64.b64encode(data).decode()}]}
    return Said(json.dumps(body).encode(), **more)  # type: ignore[arg-type]


def pointing(url: str) -> Said:
    return Said(json.dumps({"created": 1, "data": [{"url": url}]}).encode())


def refusing(status: int, message: str = "no", **more: object) -> Said:
    body = {"error": {"message": message, "type": "error", "code": None}}
    return Said(json.dumps(body).encode(), status, **more)  # type: ignore[arg-type]


def inverted(asked: Asked) -> Said:
    """Answer the picture in opposite colours: an edit that anybody can check, and no photograph."""
    return handing(png(Image.fromarray(255 - np.asarray(asked.picture))))


@dataclass
class EditsEndpoint:
    """A running server: what it was asked, and what it will say."""

    port: int
    reply: Reply
    asked: list[Asked] = field(default_factory=list)
    files: dict[str, Said] = field(default_factory=dict)
    listing: Said = field(default_factory=lambda: Said(b'{"object": "list", "data": []}'))
    busiest: int = 0
    under_way: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.root}/v1"

    def in_turn(self, *said: Said) -> None:
        """Give these answers one after the other, and pictures in opposite colours from then on."""
        waiting = list(said)

        def reply(asked: Asked) -> Said:
            with self.lock:
                return waiting.pop(0) if waiting else inverted(asked)

        self.reply = reply
        self.asked.clear()


@contextmanager
def running_edits(reply: Reply = inverted) -> Iterator[EditsEndpoint]:
    """Run a server on a free loopback port until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    endpoint = EditsEndpoint(server.server_address[1], reply)
    server.endpoint = endpoint  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        endpoint: EditsEndpoint = self.server.endpoint  # type: ignore[attr-defined]
        asked = self._read()
        with endpoint.lock:
            endpoint.under_way += 1
            endpoint.busiest = max(endpoint.busiest, endpoint.under_way)
            endpoint.asked.append(asked)
        try:
            self._say(endpoint.reply(asked) if self.path == "/v1/images/edits" else refusing(404))
        finally:
            with endpoint.lock:
                endpoint.under_way -= 1

    def do_GET(self) -> None:
        endpoint: EditsEndpoint = self.server.endpoint  # type: ignore[attr-defined]
        known = {"/v1/models": endpoint.listing, **endpoint.files}
        self._say(known.get(self.path, refusing(404)))

    def _read(self) -> Asked:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        fields: dict[str, str] = {}
        picture = None
        for part in message_from_bytes(head + body).get_payload():
            name = part.get_param("name", header="content-disposition")
            data = part.get_payload(decode=True)
            if name == "image":
                picture = Image.open(io.BytesIO(data)).convert("RGB")
            else:
                fields[name] = data.decode()
        assert picture is not None
        return Asked(fields, picture, self.headers["Authorization"])

    def _say(self, said: Said) -> None:
        time.sleep(said.wait)
        if said.cut:
            self.close_connection = True
            self.connection.close()
            return
        self.send_response(said.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(said.promised or len(said.body)))
        for name, value in said.headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(said.body)
        if said.promised:
            self.close_connection = True

    def handle(self) -> None:
        try:
            super().handle()
        except (OSError, ValueError):
            return  # the client left, or we did

    def log_message(self, format: str, *args: object) -> None:
        pass
