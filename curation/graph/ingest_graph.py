"""The first graph: every target is read, painted, encoded and hashed, or refused with a reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import ray

from curation.context import gallery_of
from curation.deduplicate import perceptual_hash
from curation.gallery import UnavailableError
from curation.graph.encoding import encode
from curation.graph.pack import describe_asset
from curation.graph.resources import pool
from curation.spec.model import JobSpec
from manifests.arrow_schema import arrow_schema, to_table
from manifests.identities import asset_id
from manifests.images import ImageRef
from manifests.records import Asset

_BLOCK = 256
_UNEXPECTED = "ingest_failed"


class IngestWorker:
    """Reads targets under the spec's limits; what cannot be read becomes a row that says why."""

    def __init__(self, spec: JobSpec) -> None:
        self._spec = spec
        self._gallery = gallery_of(spec)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Return the asset row of each target reference in the batch."""
        refs = [ImageRef.model_validate_json(text) for text in batch["ref"].to_pylist()]
        return to_table(Asset, [self.ingest(ref) for ref in refs])

    def ingest(self, ref: ImageRef) -> Asset:
        """Return the asset row of one target."""
        ref_id = self._gallery.ref_id(ref)
        try:
            pixels = self._gallery.load(ref).pixels
            data = encode(pixels, self._spec.image.format)
        except UnavailableError as error:
            return _refused(ref, ref_id, str(error.reason), error.detail)
        except Exception as error:  # one image's fault costs one row, never the job
            return _refused(ref, ref_id, _UNEXPECTED, f"{type(error).__name__}: {error}")
        return describe_asset(
            ref, ref_id, role="target", data=data, asset=asset_id(data), perceptual_hash=perceptual_hash(pixels)
        )


def ingest(spec: JobSpec, refs: Sequence[ImageRef]) -> Iterator[pa.Table]:
    """Yield asset rows of the targets, block by block, in any order. Needs a running Ray."""
    if not refs:
        return
    blocks = [
        pa.table({"ref": [ref.model_dump_json() for ref in refs[start : start + _BLOCK]]})
        for start in range(0, len(refs), _BLOCK)
    ]
    stage = spec.stages.ingest
    rows = ray.data.from_arrow(blocks).map_batches(
        IngestWorker,
        fn_constructor_kwargs={"spec": spec},
        batch_size=stage.batch,
        batch_format="pyarrow",
        **pool(stage),
    )
    for batch in rows.iter_batches(batch_size=None, batch_format="pyarrow"):
        yield batch.select(arrow_schema(Asset).names).cast(arrow_schema(Asset))


def _refused(ref: ImageRef, ref_id: str, reason: str, detail: str) -> Asset:
    more: dict[str, Any] = {"refused": reason, "detail": detail}
    return describe_asset(ref, ref_id, role="target", data=None, asset=None, **more)
