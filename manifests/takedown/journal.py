"""The journal of a takedown: written before anything is changed, and deleted when nothing is left to be done."""

from __future__ import annotations

JOURNAL = "takedowns/journal.json"
"""Where it lies in a store. There is one at most."""
