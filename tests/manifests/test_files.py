"""Bytes come back exactly, from many threads at once, and what is wrong is told in one line."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.files import NoSuchRootError, delta_options, open_files
from manifests.files.local import LocalFiles


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@given(data=st.binary(max_size=300), offset=st.integers(0, 400), size=st.integers(0, 400))
def test_a_range_is_the_slice_or_an_error(data: bytes, offset: int, size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "part").write_bytes(data)
        files = open_files(folder)
        if size and offset + size > len(data):
            with pytest.raises(OSError, match=f"ends before byte {offset + size}"):
                files.read_range("part", offset, size)
        else:
            assert files.read_range("part", offset, size) == data[offset : offset + size]


def test_a_whole_file(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "c").write_bytes(b"all of it")
    files = open_files(str(tmp_path))
    assert files.read("a b/c") == b"all of it"
    assert files.root == str(tmp_path)
    assert files.local_path("a b/c") == tmp_path / "a b" / "c"


def test_a_missing_file_names_itself_and_the_mend(tmp_path: Path) -> None:
    files = open_files(tmp_path)
    for read in (lambda: files.read("gone"), lambda: files.read_range("gone", 0, 1)):
        with pytest.raises(FileNotFoundError, match=r"gone: no such file; `triptych store verify"):
            read()


def test_a_missing_folder_is_told_from_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(NoSuchRootError, match="nowhere: no such folder"):
        open_files(tmp_path / "nowhere").read("any")


def test_threads_that_push_each_others_files_out_never_read_the_wrong_one(tmp_path: Path) -> None:
    for number in range(32):
        (tmp_path / str(number)).write_bytes(bytes([number]) * 4096)
    files = LocalFiles(tmp_path, kept_open=2)

    def wrong(start: int) -> int:
        numbers = [(start * 7 + step * 5) % 32 for step in range(1500)]
        return sum(files.read_range(str(n), n, 64) != bytes([n]) * 64 for n in numbers)

    before = open_descriptors()
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(wrong, range(8))) == 0
    assert open_descriptors() <= before + 2


def test_files_close_with_their_reader(tmp_path: Path) -> None:
    before = open_descriptors()
    files = LocalFiles(tmp_path)
    for number in range(20):
        (tmp_path / str(number)).write_bytes(b"x")
        files.read_range(str(number), 0, 1)
    assert open_descriptors() == before + 20
    del files
    assert open_descriptors() == before


def test_a_child_process_reads_on_with_what_is_open(tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(bytes(range(100)))
    files = open_files(tmp_path)
    files.read_range("part", 0, 10)
    child = os.fork()
    if child == 0:
        os._exit(0 if files.read_range("part", 50, 10) == bytes(range(50, 60)) else 1)
    assert files.read_range("part", 20, 10) == bytes(range(20, 30))
    assert os.waitpid(child, 0)[1] == 0


def test_a_local_store_needs_no_options_and_no_boto3(tmp_path: Path) -> None:
    assert delta_options(tmp_path) == {}
    code = (
        "import sys; from manifests.files import open_files; from manifests.snapshot import Snapshot\n"
        "open_files('.'); assert not {'boto3', 'torch', 'ray'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


@pytest.mark.parametrize("root", ["gs://bucket/store", "https://host/store", "file:///store"])
def test_an_address_of_another_kind_is_refused(root: str) -> None:
    with pytest.raises(ValueError, match="a local folder or s3://bucket/prefix"):
        open_files(root)


@pytest.mark.parametrize("root", ["s3://", "s3:///prefix"])
def test_an_address_without_a_bucket_is_refused(root: str) -> None:
    with pytest.raises(ValueError, match="names no bucket"):
        open_files(root)


def test_credentials_in_an_address_are_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="AWS_ACCESS_KEY_ID") as caught:
        open_files("s3://AKIAME:hush@bucket/store")
    assert "hush" not in str(caught.value)
    assert "AKIAME" not in str(caught.value)


def test_without_boto3_the_mend_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'triptych\[s3\]'"):
        open_files("s3://bucket/store")
