"""Looking for bytes in every file below a folder, whatever it is packed in."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow.parquet as pq


def traces(folder: Path, needles: Iterable[bytes]) -> list[tuple[str, bytes]]:
    """Return in which files which of some bytes are found."""
    wanted = list(needles)
    assert all(len(needle) >= 8 for needle in wanted), "shorter ones are found by chance"
    return [
        (str(path.relative_to(folder)), needle)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        for data in _layers(path)
        for needle in wanted
        if needle in data
    ]


def _layers(path: Path) -> Iterator[bytes]:
    data = path.read_bytes()
    yield data
    if data[:4] == b"PAR1":
        table = pq.read_table(io.BytesIO(data))
        yield json.dumps(table.to_pylist(), default=str).encode()
        yield str(pq.read_metadata(io.BytesIO(data)).to_dict()).encode()
    elif path.suffix == ".tar":
        with tarfile.open(path) as archive:
            for member in archive:
                yield member.name.encode()
                yield archive.extractfile(member).read()  # type: ignore[union-attr]
    elif data[:2] == b"\x1f\x8b":
        yield gzip.decompress(data)
