"""How the command line says that something cannot be done: one line to stderr, exit code 2, no traceback."""

from __future__ import annotations

import typer
from rich.console import Console

USAGE = 2
"""Exit code for a bad flag, file or spec."""


def fail(message: str, *, code: int = USAGE) -> typer.Exit:
    """Print what is wrong and what mends it, and return the exit to raise."""
    Console(stderr=True, soft_wrap=True).print(message, style="red", markup=False, highlight=False)
    return typer.Exit(code)
