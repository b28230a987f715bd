"""What other processes do to a store in tests: commit, and end in the middle of it as if they were killed."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import pyarrow as pa

from manifests.arrow_schema import arrow_schema, to_table
from manifests.files import WritableFiles
from manifests.records import ROLES, Asset, Triplet
from manifests.shards import write_shard
from manifests.store import Committed, Store
from tests.manifests.making import sample, triplet_row

Root = str | Path
KILLED = 9


def animals(start: int, count: int = 5) -> list[str]:
    return [f"animal {number}" for number in range(start, start + count)]


def asset(ref: str) -> Asset:
    values: dict[str, Any] = dict.fromkeys(Asset.model_fields)
    texts = ("locator", "fingerprint", "subject", "family", "treatment", "style", "source")
    return Asset.model_validate(values | dict.fromkeys(texts, "x") | {"role": "style", "split": "train", "ref_id": ref})


def commit(store: Store, names: list[str], *, split: str = "train", rejected: tuple[str, ...] = ()) -> Committed:
    """Pack and commit samples of these names as a job does, with the images behind them."""
    shards = []
    if names:
        shards.append(write_shard(store.files, [sample(name) for name in names], split=split))  # type: ignore[arg-type]
    rows = [
        triplet_row(name, accepted=True, split=split, shard=shard.name, offset=shard.offsets[sample(name).key])
        for shard in shards
        for name in names
    ]
    rows += [triplet_row(name, split=split, reasons=["style_leak>0.5"]) for name in rejected]
    images = to_table(Asset, [asset(f"{name}/{role}") for name in names for role in ROLES])
    return store.commit(pa.Table.from_pylist(rows, arrow_schema(Triplet)), images, shards)


def processes() -> ForkServerContext:
    """Return how processes are started: out of one that has the imports behind it, and has not run deltalake."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.system.store_workers", "manifests.upkeep.compact", "boto3"])
    return context


def started(work: Callable[..., None], *words: Any) -> ForkServerProcess:
    """Run some work in a process of its own, in the environment of this one."""
    process = processes().Process(target=_in_environment, args=(dict(os.environ), work, words))
    process.start()
    return process


def _in_environment(environment: dict[str, str], work: Callable[..., None], words: tuple[Any, ...]) -> None:
    os.environ.update(environment)
    work(*words)


def commit_overlapping(root: Root, number: int) -> None:
    """Commit three batches that overlap with those of other numbers."""
    store = Store(root)
    for batch in range(3):
        commit(store, animals(2 * number + 5 * batch), rejected=(f"reject {batch}",))


def commit_dying(root: Root, names: list[str], after: int) -> None:
    """Commit, and end before the write of this number, as a killed process does: nothing is cleaned up."""
    commit(dying(root, after), names)


def compact_dying(root: Root, after: int) -> None:
    """Compact, and end before the write of this number."""
    from manifests.upkeep.compact import compact

    compact(dying(root, after), target=10**8)


def dies(work: Callable[..., None], *words: Any) -> bool:
    """Run some work that may end before its time, and tell whether it did."""
    process = started(work, *words)
    process.join(120)
    assert process.exitcode in (0, KILLED), process.exitcode
    return process.exitcode == KILLED


def dying(root: Root, after: int) -> Store:
    """Return a store whose process ends before its write of this number."""
    store = Store(root)
    watch(store, _Dying(store.files, after))
    return store


def watch(store: Store, files: Any) -> None:
    """Have a store go through other files."""
    store.files = files
    for table in store.tables.values():
        table.files = table.log._files = files


class _Dying:
    def __init__(self, files: WritableFiles, after: int) -> None:
        self._files = files
        self._left = after

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._files, name)
        return self._write(call) if name in ("put", "put_if_absent", "put_stream", "delete") else call

    def _write(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def write(*words: Any) -> Any:
            if self._left == 0:
                os._exit(KILLED)
            self._left -= 1
            return call(*words)

        return write
