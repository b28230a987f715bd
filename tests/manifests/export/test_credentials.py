"""Images that were drawn are exported with signed content credentials, which any C2PA reader checks."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from curation.graph.encoding import EXTENSIONS, encode
from manifests.audit.ledger import AuditError, Ledger
from manifests.export.credentials import Credentials
from manifests.export.folder import export
from manifests.records import ROLES
from manifests.store import Store
from tests.manifests.export.test_folder import store as store


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of our own authority, as C2PA asks for: EKU, key usage, not its own issuer."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def name(text: str) -> x509.Name:
        return x509.Name(
            [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Tests"), x509.NameAttribute(NameOID.COMMON_NAME, text)]
        )

    def usage(**granted: bool) -> x509.KeyUsage:
        kinds = "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign"
        none = dict.fromkeys([*kinds.split(), "crl_sign", "encipher_only", "decipher_only"], False)
        return x509.KeyUsage(**none | granted)

    root, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)

    def certificate(subject: str, key: Any, issuer_key: Any, *, authority: bool) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name("root"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=30))
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()), critical=False)
        )
        granted = {"key_cert_sign": True, "crl_sign": True} if authority else {"digital_signature": True}
        builder = builder.add_extension(usage(**granted), critical=True)
        if not authority:
            purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
            builder = builder.add_extension(purpose, critical=False)
        return builder.sign(issuer_key, hashes.SHA256())

    chain = [certificate("signer", leaf, root, authority=False), certificate("root", root, root, authority=True)]
    folder = tmp_path_factory.mktemp("keys")
    paths = folder / "chain.pem", folder / "key.pem"
    paths[0].write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in chain))
    paths[1].write_bytes(leaf.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths


def manifest_of(data: bytes, mime: str) -> dict[str, Any]:
    import c2pa

    with c2pa.Reader(mime, io.BytesIO(data)) as reader:
        read: dict[str, Any] = json.loads(reader.json())
    return read


@pytest.mark.parametrize("kind", ["webp", "png", "jpeg"])
def test_a_reader_finds_what_it_is_and_that_nothing_changed(kind: str, files: tuple[Path, Path]) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (40, 30, 3), np.uint8)
    plain = encode(pixels, kind)
    signed = Credentials(*files).signed(plain, EXTENSIONS[kind], "trainedAlgorithmicMedia", {"candidate_id": "c1"})
    with Image.open(io.BytesIO(plain)) as before, Image.open(io.BytesIO(signed)) as after:
        assert np.array_equal(np.asarray(before), np.asarray(after))
    read = manifest_of(signed, f"image/{kind}")
    told = json.dumps(read)
    assert "digitalsourcetype/trainedAlgorithmicMedia" in told
    assert '"candidate_id": "c1"' in told
    failures = [one["code"] for one in read["validation_results"]["activeManifest"]["failure"]]
    assert failures in ([], ["signingCredential.untrusted"]), "nobody trusts our own authority; all else is sound"
    tail = plain[-60:-40]
    at = signed.index(tail)
    broken = manifest_of(signed[:at] + bytes([tail[0] ^ 1]) + signed[at + 1 :], f"image/{kind}")
    assert "assertion.dataHash.mismatch" in json.dumps(broken["validation_results"])


def test_an_export_signs_what_was_drawn_and_nothing_else(
    store: Store, tmp_path: Path, files: tuple[Path, Path]
) -> None:
    import pyarrow.parquet as pq

    export(Ledger(store.root), tmp_path / "out", credentials=Credentials(*files))
    rows = [row for path in (tmp_path / "out" / "data").glob("*.parquet") for row in pq.read_table(path).to_pylist()]
    for row in rows:
        for role in ROLES:
            drawn = row[f"{role}_source"] == "generated" or row[f"{role}_treatment"] != "none"
            assert (b"c2pa" in row[role]["bytes"]) is drawn
    assert any(row["content_source"] == "generated" for row in rows)


def test_what_cannot_sign_is_said_before_anything_is_written(tmp_path: Path, files: tuple[Path, Path]) -> None:
    with pytest.raises(AuditError, match="cannot be read"):
        Credentials(tmp_path / "none.pem", files[1])
    (tmp_path / "bad.pem").write_text("hello")
    with pytest.raises(AuditError, match=r"bad\.pem.*cannot sign"):
        Credentials(tmp_path / "bad.pem", files[1])
