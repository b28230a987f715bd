"""A relay between a client and a server on this machine, which cuts connections as networks do."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Relay:
    """Hands connections on to a server, and can cut requests and answers; once closed, nobody answers there."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._left, self._after, self.broken = 0, 0, 0
        self._cuts, self._cut_after, self.cut = 0, 0, 0
        self.endpoint = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def break_off(self, *, answers: int, after: int) -> None:
        """Break the next answers off that are longer than `after` bytes."""
        self._left, self._after = answers, after

    def cut_requests(self, *, requests: int, after: int) -> None:
        """Cut the next connections on which more than `after` bytes of a request have gone by."""
        self._cuts, self._cut_after = requests, after

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for one in self._open:
            _shut(one)

    def _accept(self) -> None:
        while True:
            try:
                near = self._listening.accept()[0]
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._port))
            self._open += [near, far]
            threading.Thread(target=self._hand_on, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self._hand_on, args=(far, near, True), daemon=True).start()

    def _hand_on(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        passed = 0
        try:
            while data := source.recv(65536):
                passed += len(data)
                if answers and self._left and passed > self._after:
                    self._left -= 1
                    self.broken += 1
                    break
                if not answers and self._cuts and passed > self._cut_after:
                    self._cuts -= 1
                    self.cut += 1
                    break
                sink.sendall(data)
        except OSError:
            pass
        _shut(source)
        _shut(sink)


def _shut(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
