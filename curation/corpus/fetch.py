"""Fetching of the pinned artwork packages through the npm client."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from filelock import FileLock

from curation.corpus.cache import corpus_dir, index_path
from curation.corpus.index import build_index, is_whole, subjects_by_set
from curation.corpus.packages import PACKAGES, REALISTIC_FAMILY, Package

_PARALLEL = 4
_TIMEOUT_SECONDS = 600

Progress = Callable[[Package, bool], None]
"""Called once for each package that stands verified in the cache; the flag tells whether it had to be downloaded."""


class FetchError(Exception):
    """The artwork could not be fetched; the message says why and what to do."""


def fetch_corpus(progress: Progress | None = None) -> int:
    """Bring every pinned package into the cache and build the index; return the number of subjects.

    What already lies there with the right hash is not fetched again, so an interrupted fetch goes on where it
    stopped, and a full cache needs neither npm nor a network. A damaged index is built anew. Concurrent callers
    wait for each other. Raises `FetchError`.
    """
    folder = corpus_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            return _fetch_locked(folder, progress or (lambda _package, _downloaded: None))
    except OSError as error:
        raise FetchError(f"Cannot write to the cache {folder}: {error}. Point TRIPTYCH_CACHE elsewhere.") from error


def _fetch_locked(folder: Path, progress: Progress) -> int:
    missing = []
    for package in PACKAGES:
        if _verified(folder / package.tarball, package):
            progress(package, False)
        else:
            missing.append(package)
    if missing:
        npm = shutil.which("npm")
        if npm is None:
            raise FetchError("npm was not found: install Node.js (it brings npm) to fetch the artwork, then run again.")
        with ThreadPoolExecutor(_PARALLEL) as pool:
            running = {pool.submit(_download, npm, folder, package): package for package in missing}
            try:
                for done in as_completed(running):
                    done.result()
                    progress(running[done], True)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    index = index_path()
    return _subjects_in(index) or build_index(folder, index)


def _subjects_in(index: Path) -> int:
    """Return the number of subjects in the index; 0 where it is missing or damaged."""
    renders = next(package.set for package in PACKAGES if package.family == REALISTIC_FAMILY)
    try:
        return len(subjects_by_set(index)[renders]) if index.is_file() and is_whole(index) else 0
    except sqlite3.DatabaseError:
        return 0


def _download(npm: str, folder: Path, package: Package) -> None:
    """Have npm pack one package into a scratch folder; move the tarball into place once its hash is right."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as scratch:
        command = [npm, "pack", "--json", "--ignore-scripts", "--pack-destination", scratch, package.spec]
        environment = {**os.environ, "npm_config_update_notifier": "false", "npm_config_fund": "false"}
        try:
            run = subprocess.run(
                command, cwd=scratch, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS
            )
        except subprocess.TimeoutExpired as error:
            raise FetchError(f"npm took more than {_TIMEOUT_SECONDS} s over {package.spec}; try again.") from error
        if run.returncode != 0:
            raise FetchError(
                f"npm could not fetch {package.spec}: {_why(run.stderr)}. Check the network and try again."
            )
        tarballs = list(Path(scratch).glob("*.tgz"))
        if len(tarballs) != 1:
            raise FetchError(f"npm reported success but left no tarball of {package.spec}; update npm and try again.")
        if not _verified(tarballs[0], package):
            raise FetchError(
                f"{package.spec} does not match its pinned sha512 and was thrown away: the registry or a mirror "
                "serves another file under that version."
            )
        tarballs[0].replace(folder / package.tarball)


def _why(stderr: str) -> str:
    """Return the first line in which npm tells its trouble."""
    lines = [
        line.removeprefix("npm error").removeprefix("npm ERR!").strip()
        for line in stderr.splitlines()
        if line.startswith(("npm error", "npm ERR!"))
    ]
    told = [line for line in lines if line and not line.startswith(("code ", "A complete log"))]
    return (told or lines or ["no reason given"])[0].rstrip(".")


def _verified(path: Path, package: Package) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    return f"sha512-{base64.b64encode(digest).decode()}" == package.integrity
