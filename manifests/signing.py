"""Detached signatures over a store: Ed25519 (RFC 8032), over the heads of its chains of commits."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manifests.identities import asset_id

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

FORMAT = "triptych-signature-2"

_FIRST = "triptych-signature-1"
"""Format of earlier releases: it is over the chain of `triplets` alone."""


class SignatureError(ValueError):
    """A key or a signature cannot be used; the message says what is wrong with it, and never holds a key."""


class Standing(StrEnum):
    """What a signature says of a store."""

    SOUND = "sound"
    GROWN = "grown"
    """Sound for the version that was signed; commits were added since."""
    OTHER_KEY = "other key"
    FORGED = "forged"
    """The statement is not what the key signed."""
    REWRITTEN = "rewritten"
    """The key signed another history than the store has."""


@dataclass(frozen=True)
class Statement:
    """What is signed: which version of which store, the digest that covers every commit up to it, and its rows."""

    version: int
    head: str
    candidates: int
    signed: str
    key: str
    """Fingerprint of the public key: sha256 of its 32 bytes."""
    tables: Mapping[str, str] | None = None
    """Of the tables beside `triplets`, the digests of their chains; None in signatures of earlier releases."""

    def to_bytes(self) -> bytes:
        """Return the bytes that are signed: canonical JSON."""
        fields = {"format": FORMAT, **vars(self)}
        if self.tables is None:
            fields = {**fields, "format": _FIRST}
            del fields["tables"]
        return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()


def new_key(path: Path, passphrase: bytes | None = None) -> Path:
    """Write a new private key (PEM, PKCS 8) that only its owner may read, and its public key beside it (`.pub`).

    Raises SignatureError where the file exists.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    if path.exists():
        raise SignatureError(f"{path} exists already; a key is never written over")
    private = Ed25519PrivateKey.generate()
    sealed = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    path.touch(mode=0o600)
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed))
    public = path.with_name(f"{path.name}.pub")
    public.write_bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return public


def sign(
    key: Path,
    *,
    version: int,
    head: str,
    candidates: int,
    tables: Mapping[str, str],
    passphrase: bytes | None = None,
) -> dict[str, Any]:
    """Return a signature as plain values, to be kept as JSON. Raises SignatureError on a key that cannot be used."""
    private = _private_key(key, passphrase)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    statement = Statement(version, head, candidates, now, fingerprint(private.public_key()), dict(tables))
    signature = base64.b64encode(private.sign(statement.to_bytes())).decode()
    return {"format": FORMAT, **vars(statement), "signature": signature}


def standing(
    signature: Mapping[str, Any],
    key: Path,
    *,
    heads: Mapping[int, str],
    newest: int,
    beside: Mapping[str, Collection[str]],
) -> tuple[Standing, Statement]:
    """Return what a signature says of a store, with the statement that was signed.

    `heads` gives the digest of the chain at each version that the store has, `beside` all digests of the chains of the
    other tables. Raises SignatureError on what is no
    signature, or no key.
    """
    from cryptography.exceptions import InvalidSignature

    statement, raw = _read(signature)
    public = _public_key(key)
    if statement.key != fingerprint(public):
        return Standing.OTHER_KEY, statement
    try:
        public.verify(raw, statement.to_bytes())
    except InvalidSignature:
        return Standing.FORGED, statement
    if heads.get(statement.version) != statement.head:
        return Standing.REWRITTEN, statement
    if any(head not in beside.get(table, ()) for table, head in (statement.tables or {}).items()):
        return Standing.REWRITTEN, statement
    return (Standing.GROWN if newest > statement.version else Standing.SOUND), statement


def fingerprint(public: Ed25519PublicKey) -> str:
    """Return the sha256 of a public key's 32 bytes."""
    return asset_id(public.public_bytes_raw())


def _read(signature: Mapping[str, Any]) -> tuple[Statement, bytes]:
    try:
        if signature["format"] not in (_FIRST, FORMAT):
            raise SignatureError(f"signature format {signature['format']!r} is not known, only {FORMAT} is")
        values = {name: signature[name] for name in Statement.__dataclass_fields__ if name != "tables"}
        if signature["format"] == FORMAT:
            values["tables"] = {str(name): str(head) for name, head in signature["tables"].items()}
        return Statement(**values), base64.b64decode(signature["signature"], validate=True)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, SignatureError):
            raise
        raise SignatureError("this is no signature of Triptych; `triptych audit sign` writes one") from None


def _private_key(path: Path, passphrase: bytes | None) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), passphrase)
    except OSError as error:
        raise SignatureError(f"{path}: cannot be read: {error.strerror}") from None
    except TypeError:
        said = "is not encrypted, but a passphrase was given" if passphrase else "is encrypted; give its passphrase"
        raise SignatureError(f"{path}: the key {said}") from None
    except ValueError:
        raise SignatureError(f"{path}: is no private key in PEM, or the passphrase is wrong") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SignatureError(f"{path}: is a key of another kind; `triptych audit keygen` makes Ed25519 keys")
    return key


def _public_key(path: Path) -> Ed25519PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise SignatureError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise SignatureError(f"{path}: is no public key in PEM") from None
    if not isinstance(key, Ed25519PublicKey):
        raise SignatureError(f"{path}: is a key of another kind; `triptych audit keygen` makes Ed25519 keys")
    return key
