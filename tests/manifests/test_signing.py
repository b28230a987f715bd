"""Signatures over a store's history: sound, grown, forged, of another key, and of a history that was rewritten."""

from __future__ import annotations

import base64
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.signing import SignatureError, Standing, Statement, fingerprint, new_key, sign, standing

HEADS = {0: "a" * 64, 1: "b" * 64, 2: "c" * 64}
TABLES = {"jobs": "e" * 64}
BESIDE = {"jobs": ["e" * 64, "f" * 64]}


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "auditor.pem"
    new_key(path)
    return path


def signed(key: Path, version: int = 2) -> dict[str, Any]:
    return sign(key, version=version, head=HEADS[version], candidates=7, tables=TABLES)


def public(key: Path) -> Path:
    return key.with_name(f"{key.name}.pub")


def test_a_store_that_did_not_change_is_sound_and_one_that_grew_says_so(key: Path) -> None:
    assert standing(signed(key), public(key), heads=HEADS, newest=2, beside=BESIDE)[0] is Standing.SOUND
    assert standing(signed(key, 1), public(key), heads=HEADS, newest=2, beside=BESIDE)[0] is Standing.GROWN


def test_another_history_is_told_from_another_key(key: Path, tmp_path: Path) -> None:
    rewritten = {**HEADS, 2: "d" * 64}
    assert standing(signed(key), public(key), heads=rewritten, newest=2, beside=BESIDE)[0] is Standing.REWRITTEN
    assert standing(signed(key), public(key), heads={0: HEADS[0]}, newest=0, beside=BESIDE)[0] is Standing.REWRITTEN
    elsewhere = {"jobs": ["f" * 64]}
    assert standing(signed(key), public(key), heads=HEADS, newest=2, beside=elsewhere)[0] is Standing.REWRITTEN
    other = new_key(tmp_path / "other.pem")
    assert standing(signed(key), other, heads=HEADS, newest=2, beside=BESIDE)[0] is Standing.OTHER_KEY


def test_a_signature_of_an_earlier_release_is_still_read(key: Path) -> None:
    raw = load_pem_private_key(key.read_bytes(), None)
    assert isinstance(raw, Ed25519PrivateKey)
    statement = Statement(2, HEADS[2], 7, "2026-01-01T00:00:00+00:00", fingerprint(raw.public_key()))
    fields = {name: value for name, value in vars(statement).items() if name != "tables"}
    first = {"format": "triptych-signature-1", **fields}
    first["signature"] = base64.b64encode(raw.sign(statement.to_bytes())).decode()
    assert standing(first, public(key), heads=HEADS, newest=2, beside={})[0] is Standing.SOUND


@settings(max_examples=30, deadline=None)
@given(field=st.sampled_from(["version", "head", "candidates", "signed"]), value=st.integers(3, 10**6))
def test_no_word_of_the_statement_can_be_changed(key: Path, field: str, value: int) -> None:
    signature = signed(key)
    changed = {**signature, field: value if isinstance(signature[field], int) else str(value)}
    assert (
        standing(changed, public(key), heads={**HEADS, value: HEADS[2]}, newest=2, beside=BESIDE)[0] is Standing.FORGED
    )


def test_a_private_key_is_its_owners_alone_and_never_written_over(key: Path) -> None:
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    with pytest.raises(SignatureError, match="never written over"):
        new_key(key)


def test_an_encrypted_key_needs_its_passphrase(tmp_path: Path) -> None:
    path = tmp_path / "sealed.pem"
    new_key(path, b"open sesame")
    with pytest.raises(SignatureError, match="encrypted"):
        signed(path)
    with pytest.raises(SignatureError, match="passphrase is wrong"):
        sign(path, version=0, head="", candidates=0, tables={}, passphrase=b"sesame")
    assert sign(path, version=0, head="", candidates=0, tables={}, passphrase=b"open sesame")["signature"]


@pytest.mark.parametrize("broken", [{}, {"format": "other"}, {"format": "triptych-signature-1"}])
def test_what_is_no_signature_is_refused(key: Path, broken: dict[str, Any]) -> None:
    with pytest.raises(SignatureError):
        standing(broken, public(key), heads=HEADS, newest=2, beside=BESIDE)


def test_what_is_no_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("hello")
    for use in (
        lambda path: signed(path),
        lambda path: standing(signed(path), path, heads=HEADS, newest=2, beside=BESIDE),
    ):
        with pytest.raises(SignatureError):
            use(tmp_path / "no.pem")
        with pytest.raises(SignatureError, match="cannot be read"):
            use(tmp_path / "missing.pem")
