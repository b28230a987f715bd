"""From the patterns of a job spec to the tar files on disk."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from braceexpand import braceexpand

_MAX_EXPANSIONS = 100_000
_RANGE = re.compile(r"\{(-?\d+)\.\.(-?\d+)")
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


def find_tars(patterns: Sequence[str]) -> list[Path]:
    """Return the tar files of patterns with braces (`{000..009}`) and wildcards, in order, each once.

    The files of one wildcard are sorted by name. Raises ValueError where a pattern is not local or matches nothing.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        if "://" in pattern or pattern.startswith("pipe:"):
            raise ValueError(f"{pattern} is not a local path; download the archives first and name where they lie")
        _check_ranges(pattern)
        try:
            expanded = list(islice(braceexpand(pattern), _MAX_EXPANSIONS + 1))
        except ValueError:
            raise ValueError(f"{pattern} has an unbalanced brace; write ranges as {{000..009}}") from None
        if len(expanded) > _MAX_EXPANSIONS:
            raise _too_many(pattern)
        for path in expanded:
            matches = [path] if Path(path).exists() else _matches(path)
            files = [Path(match) for match in matches if Path(match).is_file()]
            if not files:
                raise ValueError(f"no tar file matches {path}; mend the pattern or remove it")
            found.update(dict.fromkeys(files))
    return list({os.path.realpath(path): path for path in found}.values())


def _check_ranges(pattern: str) -> None:
    """Refuse vast ranges before they are expanded, since braceexpand holds each range in memory."""
    for first, last in _RANGE.findall(pattern):
        if abs(int(last[:18]) - int(first[:18])) >= _MAX_EXPANSIONS:
            raise _too_many(pattern)


def _too_many(pattern: str) -> ValueError:
    return ValueError(f"{pattern} expands to more than {_MAX_EXPANSIONS} paths; use a wildcard instead")


def _matches(pattern: str) -> list[str]:
    return sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern


def tar_names(paths: Sequence[Path]) -> list[str]:
    """Return a name for each tar file: its file name, or its path below the common folder where two share one."""
    names = [path.name for path in paths]
    if len(set(names)) == len(names):
        return names
    absolute = [path.resolve() for path in paths]
    common = os.path.commonpath([path.parent for path in absolute])
    return [path.relative_to(common).as_posix() for path in absolute]


def require_plain(path: Path) -> None:
    """Check that an archive may be read and is not compressed: members are read in any order. Raises ValueError."""
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}; mend its permissions") from None
    for magic, name in _COMPRESSED.items():
        if start.startswith(magic):
            raise ValueError(f"{path} is compressed with {name}; decompress it, members are read in any order")
