"""The index of the atelier: one SQLite file with only the drawings in use.

The packages hold 100 MB of JSON; a worker needs a few of its drawings, now. SQLite reads just the asked-for rows,
and its connections are opened for one query each, so nothing is held open across forks, threads or pickles.
"""

from __future__ import annotations

import io
import json
import os
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from curation.corpus.catalogue import Catalogue, Drawing, DrawingSet, catalogue, read_set
from curation.corpus.packages import PACKAGES, REALISTIC_FAMILY, Package

_SCHEMA = """
CREATE TABLE sets (name TEXT PRIMARY KEY, licence TEXT NOT NULL, author TEXT NOT NULL, url TEXT NOT NULL);
CREATE TABLE drawings (
    set_name TEXT NOT NULL, subject TEXT NOT NULL, body TEXT NOT NULL,
    left REAL NOT NULL, top REAL NOT NULL, width REAL NOT NULL, height REAL NOT NULL,
    PRIMARY KEY (set_name, subject)
);
CREATE TABLE renders (
    set_name TEXT NOT NULL, subject TEXT NOT NULL, webp BLOB NOT NULL, PRIMARY KEY (set_name, subject)
);
"""


@dataclass(frozen=True)
class Credit:
    """Under which licence (SPDX identifier) and by whom a set is published, and the page to attribute it to."""

    licence: str
    author: str
    url: str


_RENDER_CREDIT = Credit("MIT", "Microsoft Corporation via LobeHub", "https://github.com/lobehub/fluent-emoji")
"""The 3-D package has no `info.json`; its `package.json` names the packager only."""


def build_index(tarballs: Path, index: Path) -> int:
    """Build the index from verified tarballs, whole or not at all; return the number of subjects.

    Tarballs are read in memory: no path inside an archive ever reaches the file system.
    """
    sets: dict[str, DrawingSet] = {}
    credits: dict[str, Credit] = {}
    renders: dict[str, bytes] = {}
    render_set = ""
    for package in PACKAGES:
        if package.family == REALISTIC_FAMILY:
            renders, render_set = _read_renders(tarballs / package.tarball), package.set
            credits[package.set] = _RENDER_CREDIT
        else:
            sets[package.set], credits[package.set] = _read_drawings(tarballs / package.tarball)
    found = catalogue(sets, renders)
    subjects = found.default_subjects({package.set: package.family for package in PACKAGES})
    handle, name = tempfile.mkstemp(dir=index.parent, prefix=".index-", suffix=".sqlite")
    os.close(handle)
    try:
        with closing(sqlite3.connect(name)) as db, db:
            db.executescript(_SCHEMA)
            db.executemany("INSERT INTO sets VALUES (?, ?, ?, ?)", [(s, *_row(c)) for s, c in credits.items()])
            db.executemany("INSERT INTO drawings VALUES (?, ?, ?, ?, ?, ?, ?)", _drawing_rows(found, subjects))
            db.executemany(
                "INSERT INTO renders VALUES (?, ?, ?)",
                ((render_set, subject, renders[found.renders[subject]]) for subject in subjects),
            )
        Path(name).chmod(0o644)
        Path(name).replace(index)
    finally:
        Path(name).unlink(missing_ok=True)
    return len(subjects)


def _row(credit: Credit) -> tuple[str, str, str]:
    return credit.licence, credit.author, credit.url


def _drawing_rows(found: Catalogue, subjects: list[str]) -> Iterator[tuple[str, str, str, float, float, float, float]]:
    for set_name, drawings in found.drawings.items():
        for subject in subjects:
            if drawing := drawings.get(subject):
                yield set_name, subject, drawing.body, drawing.left, drawing.top, drawing.width, drawing.height


def _read_drawings(tarball: Path) -> tuple[DrawingSet, Credit]:
    wanted = {"package/icons.json", "package/chars.json", "package/info.json"}
    with tarfile.open(tarball) as archive:
        files = {m.name: json.loads(_content(archive, m)) for m in archive if m.name in wanted}
    info = files["package/info.json"]
    credit = Credit(info["license"]["spdx"], info["author"]["name"], info["author"]["url"])
    return read_set(files["package/icons.json"], files.get("package/chars.json")), credit


def _read_renders(tarball: Path) -> dict[str, bytes]:
    with tarfile.open(tarball) as archive:
        return {Path(m.name).stem: _content(archive, m) for m in archive if m.name.endswith(".webp")}


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    return (archive.extractfile(member) or io.BytesIO()).read()


@contextmanager
def _reading(index: Path) -> Iterator[sqlite3.Connection]:
    """Open the index without locks: it is written once, under another name, and never changed."""
    with closing(sqlite3.connect(f"{index.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as db:
        yield db


def is_whole(index: Path) -> bool:
    """Tell whether SQLite finds every page of the index in order. Raises sqlite3.DatabaseError where it is no index."""
    with _reading(index) as db:
        return list(db.execute("PRAGMA quick_check(1)")) == [("ok",)]


def read_credits(index: Path) -> dict[str, Credit]:
    """Return the licence, author and page of every set."""
    with _reading(index) as db:
        return {row[0]: Credit(*row[1:]) for row in db.execute("SELECT name, licence, author, url FROM sets")}


def subjects_by_set(index: Path) -> dict[str, tuple[str, ...]]:
    """Return the subjects that each set shows, sorted, for the sets in the order of `PACKAGES`."""
    found: dict[str, list[str]] = {package.set: [] for package in PACKAGES}
    with _reading(index) as db:
        query = "SELECT set_name, subject FROM drawings UNION ALL SELECT set_name, subject FROM renders"
        for set_name, subject in db.execute(query):
            found[set_name].append(subject)
    return {set_name: tuple(sorted(subjects)) for set_name, subjects in found.items()}


def read_drawing(index: Path, package: Package, subject: str) -> Drawing | None:
    """Return a set's drawing of a subject, or None where it has none."""
    with _reading(index) as db:
        query = "SELECT body, left, top, width, height FROM drawings WHERE set_name = ? AND subject = ?"
        row = db.execute(query, (package.set, subject)).fetchone()
    return Drawing(*row) if row else None


def read_render(index: Path, package: Package, subject: str) -> bytes | None:
    """Return the WebP file of a set's 3-D render of a subject, or None where it has none."""
    with _reading(index) as db:
        query = "SELECT webp FROM renders WHERE set_name = ? AND subject = ?"
        row = db.execute(query, (package.set, subject)).fetchone()
    return bytes(row[0]) if row else None
