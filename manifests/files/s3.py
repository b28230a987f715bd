"""Files below a prefix of an S3 bucket."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from manifests.files.s3_access import new_client, new_session, split_address
from manifests.files.s3_errors import Doing, in_words, plain_endpoint

_ATTEMPTS = 5
"""How often in a row an answer may break off that brought nothing; botocore tries again only until one begins."""

_PAUSE = 0.1
"""Longest pause before an answer is taken up again, in seconds, drawn at random; it doubles with each failure."""

_CHUNK = 1 << 18


class S3Files:
    """Objects below `s3://bucket/prefix`, read with one client in each process.

    Endpoint, region and credentials are those that boto3 finds: in the environment (AWS_ENDPOINT_URL, AWS_REGION,
    AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_PROFILE), in the user's AWS files, in the machine's role.
    """

    def __init__(self, root: str) -> None:
        """Take an address. Raises ValueError where it is at fault, ModuleNotFoundError without boto3."""
        self.bucket, self.prefix = split_address(root)
        self.root = f"s3://{self.bucket}/{self.prefix}".rstrip("/")
        self._session = new_session(self.root)
        self._lock = threading.Lock()
        self._clients: dict[int, Any] = {}

    def read(self, name: str) -> bytes:
        """Return a whole object."""
        return self._get(name, 0, None)

    def read_range(self, name: str, offset: int, size: int) -> bytes:
        """Return a part of an object, in one request."""
        if size == 0:
            return b""
        data = self._get(name, offset, size)
        if len(data) != size:
            raise OSError(f"{self.root}/{name}: ends before byte {offset + size}; it was cut off or replaced")
        return data

    def local_path(self, name: str) -> Path | None:  # noqa: ARG002
        """Return None: no object lies on this machine."""
        return None

    def __reduce__(self) -> tuple[type[S3Files], tuple[str]]:
        return type(self), (self.root,)

    def _get(self, name: str, offset: int, size: int | None) -> bytes:
        """Return an object from `offset` on. An answer that breaks off is taken up where it ended, if not replaced."""
        from botocore.exceptions import HTTPClientError, IncompleteReadError, ResponseStreamingError

        data, etag, failures = bytearray(), None, 0
        with self.asking(name) as client:
            while True:
                start, end = offset + len(data), "" if size is None else offset + size - 1
                only = {} if start == 0 and size is None else {"Range": f"bytes={start}-{end}"}
                if data and etag:
                    only["IfMatch"] = etag
                answer = client.get_object(Bucket=self.bucket, Key=self.key(name), **only)
                etag, before = answer.get("ETag"), len(data)
                try:
                    for chunk in answer["Body"].iter_chunks(_CHUNK):
                        data += chunk
                    return bytes(data)
                except (HTTPClientError, IncompleteReadError, ResponseStreamingError):
                    failures = 0 if len(data) > before else failures + 1
                    if failures == _ATTEMPTS:
                        raise
                    if size is not None and len(data) >= size:
                        return bytes(data)
                    time.sleep(random.uniform(0, _PAUSE * 2**failures))

    @contextmanager
    def asking(self, name: str, doing: Doing = "give") -> Iterator[Any]:
        """Give the client; what the server answers instead is told in words."""
        client = self.client()
        with in_words(self.root, name, plain_endpoint(client.meta.endpoint_url), doing):
            yield client

    def client(self) -> Any:
        """Return this process's client: connections that a parent opened must not be shared with it."""
        with self._lock:
            process = os.getpid()
            if process not in self._clients:
                self._clients = {process: new_client(self._session, self.root)}
            return self._clients[process]

    def key(self, name: str) -> str:
        """Return the key of an object in its bucket."""
        return f"{self.prefix}/{name}".lstrip("/")
