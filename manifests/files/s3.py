"""Files below a prefix of an S3 bucket."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from manifests.files.contract import NoSuchRootError
from manifests.files.s3_access import CREDENTIALS, new_client, new_session, split_address

_ATTEMPTS = 3
"""How often an answer that breaks off is asked for again; botocore tries again only until an answer begins."""

_REFUSALS = {
    "AccessDenied": "this user may not read it",
    "AuthorizationHeaderMalformed": "the region is wrong",
    "ExpiredToken": "the session has expired",
    "InvalidAccessKeyId": "the server does not know the access key",
    "InvalidToken": "the session token is not valid",
    "SignatureDoesNotMatch": "the secret key is wrong",
}


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
        return self._get(name)

    def read_range(self, name: str, offset: int, size: int) -> bytes:
        """Return a part of an object, in one request."""
        if size == 0:
            return b""
        data = self._get(name, Range=f"bytes={offset}-{offset + size - 1}")
        if len(data) != size:
            raise OSError(f"{self._place(name)}: ends before byte {offset + size}; it was cut off or replaced")
        return data

    def local_path(self, name: str) -> Path | None:  # noqa: ARG002
        """Return None: no object lies on this machine."""
        return None

    def _get(self, name: str, **only: str) -> bytes:
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError

        client, key = self._client(), f"{self.prefix}/{name}".lstrip("/")
        try:
            for left in range(_ATTEMPTS - 1, -1, -1):
                answer = client.get_object(Bucket=self.bucket, Key=key, **only)
                try:
                    data: bytes = answer["Body"].read()
                    return data
                except (HTTPClientError, IncompleteReadError):
                    if not left:
                        raise
        except ClientError as error:
            raise self._answered(name, error.response) from None
        except BotoCoreError as error:
            raise self._unanswered(name, error) from None
        raise AssertionError("the last attempt returns or raises")

    def _client(self) -> Any:
        """Return this process's client: connections that a parent opened must not be shared with it."""
        with self._lock:
            process = os.getpid()
            if process not in self._clients:
                self._clients = {process: new_client(self._session, self.root)}
            return self._clients[process]

    def _place(self, name: str) -> str:
        return f"{self.root}/{name}"

    def _answered(self, name: str, response: Any) -> OSError:
        code, status = response["Error"].get("Code", ""), response["ResponseMetadata"].get("HTTPStatusCode", 0)
        place = self._place(name)
        if code == "NoSuchBucket":
            return NoSuchRootError(f"s3://{self.bucket}: no such bucket at {self._endpoint()}")
        if status == 404:
            return FileNotFoundError(f"{place}: no such object; was the store copied only in part?")
        if status == 416:
            return OSError(f"{place}: ends before the range that was asked for; it was cut off or replaced")
        if status == 403 or code in _REFUSALS:
            why = f"{code}: {_REFUSALS[code]}" if code in _REFUSALS else code
            return PermissionError(f"{place}: {self._endpoint()} refuses to give it ({why}); check {CREDENTIALS}")
        if status >= 500:
            return ConnectionError(f"{place}: {self._endpoint()} fails to give it ({status} {code}); try again later")
        return OSError(f"{place}: {self._endpoint()} does not give it ({status} {code})")

    def _unanswered(self, name: str, error: Exception) -> OSError:
        from botocore.exceptions import CredentialRetrievalError, NoCredentialsError, PartialCredentialsError

        if isinstance(error, NoCredentialsError | PartialCredentialsError | CredentialRetrievalError):
            return PermissionError(f"{self.root}: no credentials for S3 were found; set {CREDENTIALS}")
        return ConnectionError(
            f"{self._place(name)}: no answer from {self._endpoint()} ({type(error).__name__}); "
            "is the server up, and AWS_ENDPOINT_URL right?"
        )

    def _endpoint(self) -> str:
        parts = urlsplit(self._client().meta.endpoint_url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
