"""All samples that a run may see, resolved before it starts: who they are, where they lie, which bucket they are in."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator

from manifests.identities import digest_of
from manifests.records import ROLES, Role
from manifests.snapshot import Snapshot
from uso.images import Size
from uso.training.order import SourceSizes


class Slots(BaseModel):
    """Which image of a triplet takes which place in training; None leaves the place empty.

    USO's own are the default. Stage 1 has no content. A de-stylization expert has `target: content, content: target`;
    a stylization expert `target: style, content: target` (uso-method: experts are subject-reference models).
    `second` is a further reference in the content's place, after it, cut and encoded as the content is: the style
    image stands there where one autoencoder shall serve for both (the paper's ablation).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: Role = "target"
    content: Role | None = "content"
    style: Role | None = "style"
    second: Role | None = None

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        used = [role for role in (self.target, self.content, self.style, self.second) if role is not None]
        if len(set(used)) < len(used):
            raise ValueError(f"slots: each image of a triplet can take one place, not two ({', '.join(used)})")
        if self.second is not None and self.content is None:
            raise ValueError("slots: a second reference stands after the first; put it in `content`")
        return self

    @property
    def roles(self) -> tuple[Role, ...]:
        """Return the images of a triplet that are read at all."""
        used = {self.target, self.content, self.style, self.second}
        return tuple(role for role in ROLES if role in used)


@dataclass(frozen=True)
class Bucket:
    """One shape of training: the target's size in pixels, and the content reference's where there is one."""

    target: Size
    content: Size | None


@dataclass(frozen=True)
class CatalogSource:
    """The samples of one store at one version, in the order in which they lie in its shards.

    `rows` has the columns candidate_id, shard, one `<role>_id` for each image that is read, and those that the prompt
    is made of. `share` is how many of them an epoch takes. `buckets` holds, for each, its bucket's number.
    """

    snapshot: Snapshot
    where: str | None
    weight: float | None
    rows: pa.Table
    buckets: NDArray[np.int32]
    share: int

    @cached_property
    def shards(self) -> tuple[tuple[str, int], ...]:
        """Return (name, samples) of each shard, in order."""
        return runs_of(self.rows["shard"])

    def described(self) -> dict[str, object]:
        """Return what a run records of the source."""
        return {
            "store": self.snapshot.root,
            "version": self.snapshot.version,
            "digest": self.snapshot.digest,
            "where": self.where,
            "weight": self.weight,
            "samples": self.rows.num_rows,
        }


@dataclass(frozen=True)
class Entry:
    """One sample as the loader needs it: where it lies, what its images are, and its prompt's parts."""

    source: int
    id: str
    shard: str
    bucket: Bucket
    assets: dict[Role, str]
    fields: dict[str, str]


class Catalog:
    """The samples of all sources, numbered through: row r of the catalog belongs to one source.

    `prompt` is a template over columns of the manifest, such as `{subject}, {style}`; without one the shard's own
    prompt is taken.
    """

    def __init__(
        self, sources: Sequence[CatalogSource], buckets: Sequence[Bucket], slots: Slots, prompt: str | None = None
    ) -> None:
        self.sources = tuple(sources)
        self.buckets = tuple(buckets)
        self.slots = slots
        self.prompt = prompt
        self._starts = np.cumsum([0, *(source.rows.num_rows for source in sources)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def digest(self) -> str:
        """Return what decides which samples a run sees: the stores' own digests and the filters, not where they lie."""
        facts = [[source.snapshot.digest, source.where, source.weight, source.share] for source in self.sources]
        return digest_of([facts, [[bucket.target, bucket.content] for bucket in self.buckets], self.prompt])

    def sizes(self) -> list[SourceSizes]:
        """Return what the order needs of each source."""
        return [
            SourceSizes(tuple(size for _, size in source.shards), source.buckets, source.share)
            for source in self.sources
        ]

    def entry(self, row: int) -> Entry:
        """Return the sample at a row."""
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        source, within = self.sources[number], row - int(self._starts[number])
        values = {name: source.rows[name][within].as_py() for name in source.rows.column_names}
        return Entry(
            source=number,
            id=values["candidate_id"],
            shard=values["shard"],
            bucket=self.buckets[source.buckets[within]],
            assets={role: values[f"{role}_id"] for role in self.slots.roles},
            fields={name: spoken(values[name]) for name in prompt_columns(self.prompt)},
        )

    def ids(self) -> pa.ChunkedArray:
        """Return the candidate id of every row."""
        return pa.chunked_array([chunk for source in self.sources for chunk in source.rows["candidate_id"].chunks])


def runs_of(names: pa.ChunkedArray) -> tuple[tuple[str, int], ...]:
    """Return (name, how often in a row) along a column of names."""
    runs = pc.run_end_encode(names.combine_chunks())
    sizes = np.diff(np.concatenate([[0], np.asarray(runs.run_ends)]))
    return tuple(zip(runs.values.to_pylist(), sizes.tolist(), strict=True))


def prompt_columns(template: str | None) -> list[str]:
    """Return the columns that a prompt template names. Raises ValueError on one that is no plain template."""
    if template is None:
        return []
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"prompt {template!r} is not a template such as '{{subject}}, {{style}}': {error}") from error
    names = [name for _, name, _, _ in parts if name is not None]
    wrong = [name for name in names if not re.fullmatch(r"[a-z_]+", name)]
    if wrong or any(form or conversion for _, _, form, conversion in parts):
        raise ValueError(f"prompt {template!r}: between braces only names of columns may stand, e.g. {{subject}}")
    return list(dict.fromkeys(names))


def spoken(value: object) -> str:
    """Return a name of the manifest as words: `tiger-face` is `tiger face`, a missing one is empty."""
    return "" if value is None else re.sub(r"[-_+]+", " ", str(value)).strip()
