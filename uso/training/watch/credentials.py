"""Addresses without the credentials that they may carry."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_USER = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*://)(?:[^/?#\s]*@|[^/?#@\s:]+:(?!\d+(?:/|$|\s))[^@\s]*@)", re.IGNORECASE
)
"""A scheme and what stands before the host: up to the last @ of the authority, or a secret that has slashes in it."""


def without_credentials(value: Any) -> Any:
    """Return a value of mappings, sequences and scalars in which no address carries a user or a password.

    `s3://key:secret@bucket/prefix` becomes `s3://bucket/prefix`; all else is left as it is.
    """
    if isinstance(value, Mapping):
        return {str(key): without_credentials(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_credentials(inner) for inner in value]
    return _USER.sub(r"\g<scheme>", value) if isinstance(value, str) else value
