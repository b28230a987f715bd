"""Which samples of a step are rewarded, when not all are."""

from __future__ import annotations


def rewarded_places(batch: int, samples: int | None) -> tuple[int, ...]:
    """Return the places of a global batch whose samples are rewarded: spread evenly, so that ranks share the work."""
    if samples is None or samples >= batch:
        return tuple(range(batch))
    return tuple(place * batch // samples for place in range(samples))
