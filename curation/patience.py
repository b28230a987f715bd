"""Waiting for a store that does not answer: servers are restarted, networks part and heal."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

_FIRST, _LONGEST = 1.0, 15.0
_log = logging.getLogger(__name__)

Result = TypeVar("Result")


def patiently(work: Callable[[], Result], *, seconds: float, what: str) -> Result:
    """Return what `work` returns, called again while it raises ConnectionError, for so many seconds.

    Pauses grow from one second to fifteen, and are drawn at random, so that many workers do not come back at once.
    `work` has to bear being done twice, since a part of it may have been done when the connection was lost. Any other
    error passes through at once: a store that is full or refuses does not mend itself.
    """
    end, pause = time.monotonic() + seconds, _FIRST
    while True:
        try:
            return work()
        except ConnectionError as error:
            if time.monotonic() + pause > end:
                raise
            _log.warning("%s: %s; trying again", what, error)
        time.sleep(random.uniform(pause / 2, pause))
        pause = min(2 * pause, _LONGEST)
