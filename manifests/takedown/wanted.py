"""What is to be taken down, as a person asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_SHORTEST = 8


class TakedownError(ValueError):
    """A takedown cannot be done as asked; the message is one line."""


@dataclass(frozen=True)
class Wanted:
    """Images by any of these; one that any of them names is taken down."""

    assets: Sequence[str] = ()
    """Asset ids, or their first eight digits or more."""
    sources: Sequence[str] = ()
    """`SOURCE:LOCATOR`, a locator, or the address that the source states."""
    licences: Sequence[str] = ()
    authors: Sequence[str] = ()
    looks: Sequence[str] = ()
    """Perceptual hashes, 64 hexadecimal digits each."""
    distance: int = 0
    """Bits in which a perceptual hash may differ from one of `looks`."""
    refs: Sequence[str] = field(default=())
    """`ref_id`s, as a query over `assets` gives them."""

    def __post_init__(self) -> None:
        short = [one for one in self.assets if len(one) < _SHORTEST]
        if short:
            raise TakedownError(
                f"asset {short[0]!r}: give {_SHORTEST} digits at least, so that no other image is meant"
            )

    @property
    def empty(self) -> bool:
        """Tell whether nothing is asked for."""
        return not any((self.assets, self.sources, self.licences, self.authors, self.looks, self.refs))

    @property
    def by(self) -> list[str]:
        """Return the ways in which images are named, without the names."""
        ways = ("assets", "sources", "licences", "authors", "looks", "refs")
        return [way for way in ways if getattr(self, way)]

    def named(self, rows: pa.Table) -> pa.Array:
        """Return for each row of `assets` whether it is named, as booleans."""
        place = pc.binary_join_element_wise(rows["source"], rows["locator"], ":")
        chosen = np.zeros(rows.num_rows, bool)
        pairs = (
            (rows["asset_id"], [one for one in self.assets if len(one) == 64]),
            (place, self.sources),
            (rows["locator"], self.sources),
            (rows["attribution_url"], self.sources),
            (rows["licence"], self.licences),
            (rows["author"], self.authors),
            (rows["ref_id"], self.refs),
        )
        for column, values in pairs:
            if values:
                chosen |= _flags(pc.is_in(column, value_set=pa.array(list(values), pa.string())))
        for one in self.assets:
            if len(one) < 64:
                chosen |= _flags(pc.starts_with(rows["asset_id"], one))
        if self.looks:
            chosen |= self._alike(rows["perceptual_hash"].to_pylist())
        return pa.array(chosen)

    def _alike(self, hashes: Sequence[str | None]) -> np.ndarray:
        wanted = [int(look, 16) for look in self.looks]
        return np.array(
            [
                text is not None and any((int(text, 16) ^ look).bit_count() <= self.distance for look in wanted)
                for text in hashes
            ],
            bool,
        )


def _flags(mask: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(pc.fill_null(mask, False).to_numpy(zero_copy_only=False))
