"""How S3 is reached: an address taken apart, and endpoint, region and credentials as boto3 finds them."""

from __future__ import annotations

import os
import re
from typing import Any
from urllib.parse import urlsplit

CONNECTIONS = 64
"""Connections that a client keeps open; a thread that finds none free opens one more."""

CREDENTIALS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"

_ADDRESS = re.compile(r"s3:/{1,2}([^/]*)/*(.*)")


def is_s3(root: str) -> bool:
    """Tell whether a root is an S3 address, also one that went through pathlib, which drops a slash."""
    return root.startswith("s3:/")


def split_address(root: str) -> tuple[str, str]:
    """Return the bucket of `s3://bucket/prefix`, and the prefix without slashes around it.

    Raises ValueError where there is no bucket, or where credentials are put into the address.
    """
    matched = _ADDRESS.fullmatch(root)
    bucket, prefix = matched.groups() if matched else ("", "")
    if "@" in bucket:
        raise ValueError(f"s3://...: an address may hold no credentials; set {CREDENTIALS} instead")
    if not bucket:
        raise ValueError(f"{root}: names no bucket; write s3://bucket/prefix")
    return bucket, prefix.rstrip("/")


def new_session(root: str) -> Any:
    """Return a boto3 session. Raises ModuleNotFoundError without boto3, PermissionError on a profile that is none."""
    try:
        import boto3  # an extra, and slow to import
        from botocore.exceptions import ProfileNotFound
    except ImportError:
        raise ModuleNotFoundError(f"{root}: S3 needs boto3: pip install 'triptych[s3]'") from None
    try:
        return boto3.session.Session(region_name=os.environ.get("AWS_REGION"))
    except ProfileNotFound as error:
        raise PermissionError(f"{root}: {error}; set {CREDENTIALS}") from None


def new_client(session: Any, root: str) -> Any:
    """Return a client of a session; it is safe to use from many threads, and not beyond a fork.

    Requests that fail are sent again after a pause drawn at random (botocore's `standard` mode), unless AWS_RETRY_MODE
    or AWS_MAX_ATTEMPTS say otherwise. What is sent is signed together with its sha256, links are signed with v4.
    """
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    config = Config(
        retries={
            "mode": os.environ.get("AWS_RETRY_MODE", "standard"),
            "total_max_attempts": int(os.environ.get("AWS_MAX_ATTEMPTS", "6")),
        },
        max_pool_connections=CONNECTIONS,
        connect_timeout=10,
        read_timeout=60,
        signature_version="s3v4",
    )
    try:
        return session.client("s3", config=config)
    except (BotoCoreError, ValueError) as error:  # the latter on an endpoint that is no address
        raise ValueError(f"{root}: S3 cannot be set up: {error}") from None


def storage_options(root: str) -> dict[str, str]:
    """Return what deltalake needs to reach what `new_client` reaches, as the same user.

    Raises as `new_session`, and PermissionError where there are no credentials.
    """
    session = new_session(root)
    credentials = session.get_credentials()
    if credentials is None:
        raise PermissionError(f"{root}: no credentials for S3 were found; set {CREDENTIALS}")
    frozen = credentials.get_frozen_credentials()
    options = {
        "AWS_ACCESS_KEY_ID": frozen.access_key,
        "AWS_SECRET_ACCESS_KEY": frozen.secret_key,
        "AWS_REGION": session.region_name or "us-east-1",
        "aws_conditional_put": "etag",
        "connect_timeout": "10s",
        "max_retries": "5",
    }
    if frozen.token:
        options["AWS_SESSION_TOKEN"] = frozen.token
    endpoint = new_client(session, root).meta.endpoint_url
    if not (urlsplit(endpoint).hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn")):
        options["AWS_ENDPOINT_URL"] = endpoint
        options["AWS_ALLOW_HTTP"] = str(endpoint.startswith("http:")).lower()
    return options
