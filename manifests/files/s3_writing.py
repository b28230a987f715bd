"""Files below a prefix of an S3 bucket, read and written."""

from __future__ import annotations

import base64
import hashlib
import io
import random
import time
from collections.abc import Iterable, Iterator
from typing import Any

from manifests.files.contract import Facts, Unfinished
from manifests.files.s3 import S3Files

PART = 8 * 2**20
"""Bytes of one part of an upload in parts; S3 takes 10,000 parts, so a file may have 80 GB."""

_PARTS_AT_ONCE = 4
_CONFLICTS = 8
"""How often a conditional write is tried again that met another one in flight (409)."""


class WritableS3Files(S3Files):
    """Objects below `s3://bucket/prefix`, read and written with one client in each process.

    Every body goes with its SHA-256, which the server compares with what came. Stores that know no such header are
    written to with AWS_REQUEST_CHECKSUM_CALCULATION=when_required, as boto3 has it.
    """

    def put(self, name: str, data: bytes) -> None:
        """Write an object, in place of the one that is there."""
        with self.asking(name, "take") as client:
            client.put_object(Bucket=self.bucket, Key=self.key(name), Body=data, **_checksum(client, data))

    def put_if_absent(self, name: str, data: bytes) -> bool:
        """Write an object unless there is one (`If-None-Match: *`), and tell whether it was written.

        A request that was sent again after its answer was lost may find its own object: bytes decide then.
        """
        from botocore.exceptions import ClientError

        with self.asking(name, "take") as client:
            for attempt in range(_CONFLICTS):
                try:
                    client.put_object(
                        Bucket=self.bucket, Key=self.key(name), Body=data, IfNoneMatch="*", **_checksum(client, data)
                    )
                    return True
                except ClientError as error:
                    code = error.response["Error"].get("Code", "")
                    if code == "PreconditionFailed":
                        sent_again = error.response["ResponseMetadata"].get("RetryAttempts", 0) or attempt
                        return bool(sent_again) and self.read(name) == data
                    if code not in ("ConditionalRequestConflict", "OperationAborted") or attempt == _CONFLICTS - 1:
                        raise
                time.sleep(random.uniform(0, 0.1 * 2**attempt))
        raise AssertionError("the last attempt returns or raises")

    def put_stream(self, name: str, chunks: Iterable[bytes]) -> int:
        """Write an object from chunks, in parts where it is large, and return its size.

        boto3 sends several parts at once, and aborts the upload where one fails for good or `chunks` raises.
        """
        from boto3.s3.transfer import TransferConfig

        source = _Chunks(chunks)
        settings = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=_PARTS_AT_ONCE)
        with self.asking(name, "take") as client:
            client.upload_fileobj(source, self.bucket, self.key(name), ExtraArgs=_algorithm(client), Config=settings)
        return source.given

    def stat(self, name: str) -> Facts:
        """Return size, time and etag of an object."""
        with self.asking(name) as client:
            answer = client.head_object(Bucket=self.bucket, Key=self.key(name))
        return Facts(name, answer["ContentLength"], answer["LastModified"], answer["ETag"])

    def list(self, prefix: str = "") -> Iterator[Facts]:
        """Yield the objects whose names begin with a prefix, a thousand a request."""
        above = f"{self.prefix}/" if self.prefix else ""
        with self.asking(prefix, "list") as client:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=above + prefix)
            for page in pages:
                for found in page.get("Contents", ()):
                    name = found["Key"].removeprefix(above)
                    if name and not name.endswith("/"):  # some servers list folders too
                        yield Facts(name, found["Size"], found["LastModified"], found["ETag"])

    def delete(self, name: str) -> None:
        """Delete an object; one that is not there is no error."""
        with self.asking(name, "delete") as client:
            client.delete_object(Bucket=self.bucket, Key=self.key(name))

    def link(self, name: str, seconds: int) -> str:
        """Return a presigned address (v4) from which anyone may read the object for so many seconds, a week at most.

        Nothing is asked of the server: a link to an object that is not there is made as well.
        """
        if not 1 <= seconds <= 604_800:
            raise ValueError(f"a link may last 1 to 604,800 seconds (a week), not {seconds}")
        with self.asking(name) as client:
            return str(
                client.generate_presigned_url(
                    "get_object", Params={"Bucket": self.bucket, "Key": self.key(name)}, ExpiresIn=seconds
                )
            )

    def unfinished(self, prefix: str = "") -> Iterator[Unfinished]:
        """Yield the uploads in parts below a prefix that were neither completed nor aborted."""
        above = f"{self.prefix}/" if self.prefix else ""
        with self.asking(prefix, "list") as client:
            pages = client.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket, Prefix=above + prefix)
            for page in pages:
                for upload in page.get("Uploads", ()):
                    yield Unfinished(upload["Key"].removeprefix(above), upload["Initiated"], upload["UploadId"])

    def abandon(self, write: Unfinished) -> None:
        """Abort an upload; its parts are freed."""
        from botocore.exceptions import ClientError

        with self.asking(write.name, "delete") as client:
            try:
                client.abort_multipart_upload(Bucket=self.bucket, Key=self.key(write.name), UploadId=write.token)
            except ClientError as error:
                if error.response["Error"].get("Code") != "NoSuchUpload":
                    raise


class _Chunks(io.RawIOBase):
    """Chunks as a file that is read once, from its beginning to its end, as `upload_fileobj` wants it."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._held = bytearray()
        self.given = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self._held) < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            self._held += chunk
        end = len(self._held) if size < 0 else min(size, len(self._held))
        data = bytes(memoryview(self._held)[:end])
        del self._held[:end]
        self.given += len(data)
        return data


def _sends_sha256(client: Any) -> bool:
    return str(client.meta.config.request_checksum_calculation).lower() != "when_required"


def _algorithm(client: Any) -> dict[str, str]:
    return {"ChecksumAlgorithm": "SHA256"} if _sends_sha256(client) else {}


def _checksum(client: Any, data: bytes) -> dict[str, str]:
    if not _sends_sha256(client):
        return {}
    return {"ChecksumSHA256": base64.b64encode(hashlib.sha256(data).digest()).decode()}
