"""Content credentials: a C2PA manifest in an exported image, signed with a key of the user's.

C2PA Technical Specification 2.1: assertion `c2pa.actions.v2`, action `c2pa.created` with its digital source type.
Needs `c2pa-python` (`pip install 'triptych[c2pa]'`).
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from manifests.audit.errors import AuditError
from manifests.export.marks import SourceType

_PREFIX = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_TYPES = {"webp": "image/webp", "png": "image/png", "jpg": "image/jpeg"}


class Credentials:
    """Signs images as synthetic media."""

    def __init__(self, certificates: Path, key: Path, *, title: str = "triptych") -> None:
        """Take a certificate chain (PEM, the signer's own first) and its private key (PEM, PKCS 8, ECDSA P-256).

        Raises AuditError where `c2pa-python` is not installed, or the two cannot be used for signing.
        """
        try:
            import c2pa
        except ModuleNotFoundError:
            raise AuditError("content credentials need c2pa-python; pip install 'triptych[c2pa]'") from None
        self._c2pa = c2pa
        self._title = title
        try:
            info = c2pa.C2paSignerInfo(b"es256", certificates.read_bytes(), key.read_bytes(), None)
            self._signer = c2pa.Signer.from_info(info)
            self.signed(_probe(), "png", "trainedAlgorithmicMedia", {})
        except OSError as error:
            raise AuditError(f"{error.filename}: cannot be read: {error.strerror}") from None
        except (c2pa.C2paError, AuditError) as error:
            raise AuditError(f"{certificates}, {key}: cannot sign: {error}") from None

    def signed(self, data: bytes, extension: str, kind: SourceType, lineage: Mapping[str, Any]) -> bytes:
        """Return an image with its manifest; `lineage` says where it comes from. No pixel changes."""
        definition = {
            "claim_generator_info": [{"name": "triptych"}],
            "format": _TYPES[extension],
            "title": self._title,
            "assertions": [
                {
                    "label": "c2pa.actions.v2",
                    "data": {"actions": [{"action": "c2pa.created", "digitalSourceType": f"{_PREFIX}{kind}"}]},
                },
                {"label": "triptych.lineage", "data": dict(lineage)},
            ],
        }
        out = io.BytesIO()
        try:
            with self._c2pa.Builder(json.dumps(definition)) as builder:
                builder.sign(self._signer, _TYPES[extension], io.BytesIO(data), out)
        except self._c2pa.C2paError as error:
            raise AuditError(f"an image cannot be signed: {error}") from None
        return out.getvalue()


def _probe() -> bytes:
    """Return a picture to try a key on: certificates are looked at when something is signed."""
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "PNG")
    return out.getvalue()
