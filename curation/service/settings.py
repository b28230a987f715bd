"""What the service is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Where the store and the cluster are, and how much one caller may ask for."""

    store: str
    open_to_all: bool = False
    """No token is asked for. Only for a server that listens on the loopback interface."""
    requests_a_minute: int = 1200
    """Of one caller, pictures left out."""
    body_bytes: int = 1_000_000
    query_seconds: float = 20.0
    query_memory: str = "600MB"
    cache: Path | None = None
    """Where tables are kept in the form in which pages ask them; the audit's cache unless given."""
