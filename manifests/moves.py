"""Where the bytes of a shard lie after compaction: rows go on naming the shard that they were committed in.

A compaction joins shards into a larger one. No row, no root and no digest changes: the chain says of which parts of
other shards the new one is made. Once the old files are vacuumed away, a reader that asks for a range of one is given
the same bytes out of the new one. The files `moves/<number>.json` repeat what the chain says, one for each compaction,
so that a reader need not walk through it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from manifests.chain import PARTS, Link
from manifests.files import Files, WritableFiles, open_files
from manifests.files.presence import is_there
from manifests.shards import FOLDER

ERASED_SHARDS = "erased"
"""Key of a file below `moves/`: shards of which nothing is left."""

_NONE: tuple[str, int] = ("", 0)


class MovedFiles:
    """Files of which shards may have been moved into others: ranges of such are read where they lie now."""

    def __init__(self, files: Files) -> None:
        self.root = files.root
        self._files = files
        self._moves: dict[str, list[tuple[int, int, str, int]]] = {}
        self._read = 0
        self._lock = threading.Lock()

    def read(self, name: str) -> bytes:
        """Return a whole file."""
        return self._files.read(name)

    def read_range(self, name: str, offset: int, size: int) -> bytes:
        """Return a part of a file, or of a shard that was moved."""
        try:
            return self._files.read_range(name, offset, size)
        except FileNotFoundError:
            folder, _, shard = name.rpartition("/")
            into, start = self._place(shard, offset, size) if folder == FOLDER else _NONE
            if not into:
                if shard in self._moves:
                    raise FileNotFoundError(
                        f"{self.root}/{name}: this part of it was taken down; read a newer version of the store"
                    ) from None
                raise
            return self.read_range(f"{FOLDER}/{into}", start, size)

    def local_path(self, name: str) -> Path | None:
        """Return where a file lies on this machine, None where it lies elsewhere."""
        return self._files.local_path(name)

    def _place(self, shard: str, offset: int, size: int) -> tuple[str, int]:
        with self._lock:
            if shard not in self._moves:
                self._read_moves()
            for start, end, into, at in self._moves.get(shard, ()):
                if start <= offset and offset + size <= end:
                    return into, at + offset - start
        return _NONE

    def _read_moves(self) -> None:
        """Read the moves that were written since the last time; each is written once and never changed."""
        while True:
            try:
                found = json.loads(self._files.read(_name(self._read)))
            except FileNotFoundError:
                return
            for name in found.get(ERASED_SHARDS, ()):
                self._moves.setdefault(name, [])
            for shard in found["shards"]:
                for part in shard[PARTS]:
                    place = (part["start"], part["start"] + part["bytes"], shard["name"], part["at"])
                    self._moves.setdefault(part["shard"], []).append(place)
            self._read += 1


def open_moved(root: str | Path) -> Files:
    """Return the files below a root, to be read, with shards found wherever they lie now. Raises as `open_files`."""
    return MovedFiles(open_files(root))


def write_moves(files: WritableFiles, links: Sequence[Link]) -> None:
    """Write what is missing of the files that say where shards lie now. Any number of processes may do so at once.

    They are written in order, so that all before one that is there are there too.
    """
    wanted = move_files(links)
    first = len(wanted)
    while first and not is_there(files, wanted[first - 1][0]):
        first -= 1
    for name, said in wanted[first:]:
        files.put_if_absent(name, json.dumps(said, sort_keys=True).encode())


def move_files(links: Sequence[Link]) -> list[tuple[str, dict[str, Any]]]:
    """Return the names and contents of the files that say where shards lie now."""
    moves = list[dict[str, Any]]()
    for one in links:
        shards = [shard for shard in one.shards if shard.get(PARTS)]
        erased = list((one.erased or {}).get("shards", ()))
        if shards or erased:
            moves.append({"version": 1, "shards": shards} | ({ERASED_SHARDS: erased} if erased else {}))
    return [(_name(number), said) for number, said in enumerate(moves)]


def replaced_shards(links: Sequence[Link]) -> dict[str, int]:
    """Return the shards that were replaced by others, and the version of `triplets` that says so."""
    parts = ((part["shard"], one.version) for one in links for shard in one.shards for part in shard.get(PARTS, ()))
    return dict(parts)


def within(links: Sequence[Link]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return for each shard that was replaced the shards that are made of parts of it, by name."""
    made: dict[str, dict[str, dict[str, Any]]] = {}
    for shard in (shard for one in links for shard in one.shards):
        for part in shard.get(PARTS, ()):
            made.setdefault(part["shard"], {})[shard["name"]] = shard
    return made


def homes(links: Sequence[Link]) -> dict[str, str]:
    """Return for each shard that was replaced the shard that holds its samples now."""
    into: dict[str, str] = {}
    for one in links:
        for shard in one.shards:
            into |= {part["shard"]: shard["name"] for part in shard.get(PARTS, ())}

    def home(shard: str) -> str:
        while shard in into:
            shard = into[shard]
        return shard

    return {shard: home(shard) for shard in into}


def parts_of(shard: dict[str, Any], parts: Sequence[Any]) -> dict[str, Any]:
    """Return what a commit says of a shard that is made of parts of others."""
    return {**shard, PARTS: [vars(part) for part in parts]}


def _name(number: int) -> str:
    return f"moves/{number:06}.json"
