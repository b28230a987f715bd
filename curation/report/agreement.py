"""Agreement between opinions as a table for people."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.table import Table

from curation.policy.agreement import Agreement

HEADS: tuple[str, ...] = ("pair", "candidates", "agree", "kappa", "95 % interval")


def agreement_cells(found: Agreement) -> tuple[str, ...]:
    """Return what stands under HEADS for one pair."""
    number = "n/a" if math.isnan(found.kappa) else f"{found.kappa:.2f}"
    interval = "" if math.isnan(found.low) else f"{found.low:.2f} to {found.high:.2f}"
    return f"{found.first}, {found.second}", f"{found.candidates:,}", f"{found.observed:.1%}", number, interval


def agreement_table(found: Sequence[Agreement]) -> Table:
    """Return all pairs as a table for a terminal."""
    table = Table(*HEADS, box=None, padding=(0, 2))
    for each in found:
        table.add_row(*agreement_cells(each))
    return table
