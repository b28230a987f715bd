"""What an S3 server's refusal, or its silence, means in words; nothing of it holds a secret."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal
from urllib.parse import urlsplit

from manifests.files.contract import NoSuchRootError
from manifests.files.s3_access import CREDENTIALS, split_address

Doing = Literal["give", "take", "list", "delete"]
"""What the server was asked to do with an object."""

_MAY = {"give": "read", "take": "write", "list": "list", "delete": "delete"}

_REFUSALS = {
    "AccessDenied": "this user may not {may} it",
    "AuthorizationHeaderMalformed": "the region is wrong",
    "ExpiredToken": "the session has expired",
    "InvalidAccessKeyId": "the server does not know the access key",
    "InvalidToken": "the session token is not valid",
    "RequestTimeTooSkewed": "this machine's clock is wrong",
    "SignatureDoesNotMatch": "the secret key is wrong",
}

_FULL = {"InsufficientStorage", "QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded"}


@contextmanager
def in_words(root: str, name: str, endpoint: str, doing: Doing = "give") -> Iterator[None]:
    """Turn botocore's errors into OSError: one line that names the object, the server and the mend."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise _answered(f"{root}/{name}".rstrip("/"), root, endpoint, error.response, doing) from None
    except (BotoCoreError, Boto3Error) as error:
        raise _unanswered(f"{root}/{name}".rstrip("/"), root, endpoint, error) from None


def plain_endpoint(url: str) -> str:
    """Return an endpoint without the credentials that somebody may have put into it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _answered(place: str, root: str, endpoint: str, response: object, doing: Doing) -> OSError:
    answer = response if isinstance(response, dict) else {}
    code = str(answer.get("Error", {}).get("Code", ""))
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code == "NoSuchBucket":
        return NoSuchRootError(f"s3://{split_address(root)[0]}: no such bucket at {endpoint}")
    if status == 507 or code in _FULL:
        return OSError(errno.ENOSPC, f"{place}: {endpoint} has no room left ({status} {code})")
    if status == 404:
        return FileNotFoundError(f"{place}: no such object; was the store copied only in part?")
    if status == 416:
        return OSError(f"{place}: ends before the range that was asked for; it was cut off or replaced")
    if status == 403 or code in _REFUSALS:
        why = f"{code}: {_REFUSALS[code].format(may=_MAY[doing])}" if code in _REFUSALS else code
        return PermissionError(f"{place}: {endpoint} refuses to {doing} it ({why}); check {CREDENTIALS}")
    if status >= 500:
        full = ", or is there no room left?" if doing == "take" else ""
        return ConnectionError(f"{place}: {endpoint} fails to {doing} it ({status} {code}); try again later{full}")
    return OSError(f"{place}: {endpoint} does not {doing} it ({status} {code})")


def _unanswered(place: str, root: str, endpoint: str, error: Exception) -> OSError:
    from botocore.exceptions import (
        CredentialRetrievalError,
        FlexibleChecksumError,
        NoCredentialsError,
        PartialCredentialsError,
    )

    if isinstance(error, NoCredentialsError | PartialCredentialsError | CredentialRetrievalError):
        return PermissionError(f"{root}: no credentials for S3 were found; set {CREDENTIALS}")
    if isinstance(error, FlexibleChecksumError):
        return OSError(f"{place}: what {endpoint} sent has another checksum than it states; it was damaged on the way")
    return ConnectionError(
        f"{place}: no answer from {endpoint} ({type(error).__name__}); is the server up, and AWS_ENDPOINT_URL right?"
    )
