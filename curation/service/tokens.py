"""Bearer tokens: made once, shown once, and kept in the store as hashes."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum

from manifests.files import WritableFiles

PLACE = "service/tokens.json"
_PREFIX = "trp_"


class Role(IntEnum):
    """What a caller may do; each role may do what those before it may."""

    VIEWER = 1
    """Look at triplets, pictures and jobs, and pull shards."""
    AUDITOR = 2
    """Explain, query, verify, and see who looked."""
    ADMIN = 3
    """Everything."""


class TokenError(ValueError):
    """A token cannot be made as asked; the message says why."""


@dataclass(frozen=True)
class Token:
    """A token as it is kept: its hash alone. It has 256 random bits, so a plain hash cannot be guessed back."""

    name: str
    role: str
    sha256: str
    made: str
    expires: str

    def over(self, now: datetime) -> bool:
        """Tell whether it has expired."""
        return datetime.fromisoformat(self.expires) <= now


@dataclass(frozen=True)
class Identity:
    """Who calls, and what they may do."""

    name: str
    role: Role


def add_token(files: WritableFiles, name: str, role: Role, *, days: float = 90) -> str:
    """Make a token, keep its hash, and return it: it is shown once. Raises TokenError on a name that is taken."""
    kept = read_tokens(files)
    now = datetime.now(UTC)
    if any(token.name == name and not token.over(now) for token in kept):
        raise TokenError(f"{name} has a token already; revoke it first, or choose another name")
    secret = _PREFIX + secrets.token_urlsafe(32)
    expires = now + timedelta(days=days)
    fresh = Token(name, role.name.lower(), _hash(secret), now.isoformat(), expires.isoformat())
    _write(files, [*(token for token in kept if token.name != name), fresh])
    return secret


def revoke_token(files: WritableFiles, name: str) -> bool:
    """Take a token away, and tell whether there was one."""
    kept = read_tokens(files)
    left = [token for token in kept if token.name != name]
    if len(left) < len(kept):
        _write(files, left)
    return len(left) < len(kept)


def read_tokens(files: WritableFiles) -> list[Token]:
    """Return the tokens that are kept, in order of name."""
    try:
        found = json.loads(files.read(PLACE))
    except FileNotFoundError:
        return []
    return sorted((Token(**one) for one in found), key=lambda token: token.name)


def identify(tokens: Sequence[Token], secret: str) -> Identity | None:
    """Return whose token this is; None where it is nobody's, or has expired. Every hash is compared in equal time."""
    digest, now, found = _hash(secret), datetime.now(UTC), None
    for token in tokens:
        if hmac.compare_digest(token.sha256, digest) and not token.over(now):
            found = Identity(token.name, Role[token.role.upper()])
    return found


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _write(files: WritableFiles, tokens: Sequence[Token]) -> None:
    files.put(PLACE, json.dumps([asdict(token) for token in tokens], indent=1).encode())
