"""How much the cluster's object stores have moved to disk because they were full."""

from __future__ import annotations

import logging
import time

from curation.metrics import SPILLED

_PERIOD = 10.0
_log = logging.getLogger(__name__)


class Spilling:
    """Counts from when it is made, over all nodes, whichever job it was that spilled. Needs a running Ray."""

    def __init__(self) -> None:
        self._before = _total() or 0
        self._most = 0
        self._due = 0.0

    def bytes(self, *, now: bool = False) -> int:
        """Return the bytes so far; the cluster is asked every ten seconds at most, unless it is to be `now`.

        A node that is lost takes its count with it, so the number is a lower bound.
        """
        if now or time.monotonic() >= self._due:
            self._due = time.monotonic() + _PERIOD
            total = _total()
            if total is not None and total - self._before > self._most:
                SPILLED.add(total - self._before - self._most)
                self._most = total - self._before
        return self._most


def _total() -> int | None:
    """Return what Ray says of all nodes, None where it does not say."""
    import ray
    from ray._private.internal_api import get_memory_info_reply, get_state_from_address

    try:
        state = get_state_from_address(ray.get_runtime_context().gcs_address)
        return int(get_memory_info_reply(state).store_stats.spilled_bytes_total)
    except Exception as error:  # a node that is lost while it is asked, or another version's way of asking
        _log.debug("spilling is not known: %s", error)
        return None
