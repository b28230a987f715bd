"""`triptych audit`: what is in a store, why, where from, and where it went.

A verb is a module of this folder: its function `add_to(app)` adds the command. Modules whose names begin with an
underscore hold what verbs share.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

import typer

app = typer.Typer(
    help="What is in a store, why it is there or not, where it came from, and where it went. "
    "Exit code 0: all is well; 1: something was found; 2: it cannot be done as asked.",
    no_args_is_help=True,
)

for _module in sorted(iter_modules(__path__), key=lambda module: module.name):
    if not _module.name.startswith("_"):
        import_module(f"{__name__}.{_module.name}").add_to(app)
