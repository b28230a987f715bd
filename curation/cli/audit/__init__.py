"""`triptych audit`: what is in a store, why, where from, and where it went.

A verb is a module of this folder: its function `add_to(app)` adds the command. Each that opens a store is held against
the store's roles, and logged there (`_access.py`). Modules whose names begin with an
underscore hold what verbs share.
"""

from __future__ import annotations

from importlib import import_module
from inspect import signature
from pkgutil import iter_modules

import typer

from curation.cli.audit._access import logged

app = typer.Typer(
    help="What is in a store, why it is there or not, where it came from, and where it went. "
    "Exit code 0: all is well; 1: something was found; 2: it cannot be done as asked.",
    no_args_is_help=True,
)

for _module in sorted(iter_modules(__path__), key=lambda module: module.name):
    if not _module.name.startswith("_"):
        import_module(f"{__name__}.{_module.name}").add_to(app)

_UNHELD = ("access", "log")
"""They ask for rights, and log, by themselves."""

for _command in app.registered_commands:
    _verb = _command.callback
    if _verb is not None and _verb.__name__ not in _UNHELD and "store" in signature(_verb).parameters:
        _command.callback = logged(_verb)
