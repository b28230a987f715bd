from __future__ import annotations

import io
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation.ingest.archive import Member, list_members
from curation.ingest.files import read_file
from curation.ingest.limits import READ_CAP
from curation.ingest.refusal import Reason, Refused

Fill = Callable[[tarfile.TarFile], None]


def add(tar: tarfile.TarFile, name: str, data: bytes = b"data", **attributes: object) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    for attribute, value in attributes.items():
        setattr(member, attribute, value)
    tar.addfile(member, io.BytesIO(data))


def tar_of(path: Path, fill: Fill, tar_format: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w", format=tar_format) as tar:
        fill(tar)
    return path


def served(path: Path) -> dict[str, bytes]:
    return {
        member.name: read_file(path, offset=member.offset, size=member.size)
        for member in list_members(path)
        if member.reason is None
    }


def refused(path: Path) -> dict[str, Reason]:
    return {member.key: member.reason for member in list_members(path) if member.reason is not None}


@pytest.mark.parametrize("tar_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_are_read_by_position_as_tarfile_reads_them(tmp_path: Path, tar_format: int) -> None:
    contents = {"a.png": b"a" * 700, "b/c.png": b"", "b/d.txt": b"d" * 512, f"{'deep/' * 18}é.png": b"e" * 10}
    if tar_format != tarfile.USTAR_FORMAT:
        contents[f"{'x' * 300}.png"] = b"long"

    def fill(tar: tarfile.TarFile) -> None:
        add(tar, "b", b"", type=tarfile.DIRTYPE)
        for name, data in contents.items():
            add(tar, name, data)

    path = tar_of(tmp_path / "a.tar", fill, tar_format)
    assert served(path) == contents
    assert refused(path) == {}
    with tarfile.open(path) as tar:
        theirs = [(member.name, member.offset_data, member.size) for member in tar if member.isfile()]
    assert [(member.name, member.offset, member.size) for member in list_members(path)] == theirs


@pytest.mark.parametrize(
    ("name", "attributes", "reason"),
    [
        ("../climbs.png", {}, Reason.UNSAFE_PATH),
        ("a/../../climbs.png", {}, Reason.UNSAFE_PATH),
        ("/absolute.png", {}, Reason.UNSAFE_PATH),
        ("C:/drive.png", {}, Reason.UNSAFE_PATH),
        ("a\\..\\backslash.png", {}, Reason.UNSAFE_PATH),
        ("link.png", {"type": tarfile.SYMTYPE, "linkname": "/somewhere/else"}, Reason.NOT_A_FILE),
        ("hard.png", {"type": tarfile.LNKTYPE, "linkname": "good.png"}, Reason.NOT_A_FILE),
        ("device.png", {"type": tarfile.CHRTYPE}, Reason.NOT_A_FILE),
        ("block.png", {"type": tarfile.BLKTYPE}, Reason.NOT_A_FILE),
        ("fifo.png", {"type": tarfile.FIFOTYPE}, Reason.NOT_A_FILE),
        ("sparse.png", {"type": tarfile.GNUTYPE_SPARSE}, Reason.NOT_A_FILE),
        ("sparse_pax.png", {"pax_headers": {"GNU.sparse.size": "99999999999999"}}, Reason.NOT_A_FILE),
        ("nul.png", {"pax_headers": {"path": "nul\x00.png"}}, Reason.UNSAFE_PATH),
        ("empty.png", {"pax_headers": {"path": ""}}, Reason.UNSAFE_PATH),
    ],
)
def test_a_member_that_is_not_safe_is_an_entry_with_a_reason(
    tmp_path: Path, name: str, attributes: dict[str, object], reason: Reason
) -> None:
    def fill(tar: tarfile.TarFile) -> None:
        add(tar, "good.png", b"good")
        data = b"" if attributes.get("type", tarfile.REGTYPE) != tarfile.REGTYPE else b"bad"
        add(tar, name, data, **attributes)
        add(tar, "after.png", b"after")

    path = tar_of(tmp_path / "a.tar", fill)
    assert list(refused(path).values()) == [reason]
    assert served(path) == {"good.png": b"good", "after.png": b"after"}
    assert list(tmp_path.iterdir()) == [path], "nothing is extracted"


def test_of_members_with_one_name_the_first_is_served(tmp_path: Path) -> None:
    def fill(tar: tarfile.TarFile) -> None:
        add(tar, "a.png", b"first")
        add(tar, "./a.png", b"second")
        add(tar, "a.png", b"", type=tarfile.SYMTYPE, linkname="b.png")

    path = tar_of(tmp_path / "a.tar", fill)
    assert served(path) == {"a.png": b"first"}
    assert list(refused(path).values()) == [Reason.DUPLICATE_MEMBER, Reason.NOT_A_FILE]
    assert len({member.key for member in list_members(path)}) == 3


def test_a_member_larger_than_is_ever_read_is_refused_though_the_archive_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    header = tarfile.TarInfo("huge.png")
    header.size = READ_CAP + 1
    after = tarfile.TarInfo("after.png")
    with path.open("wb") as file:
        file.write(header.tobuf())
        file.seek(-(-header.size // 512) * 512, io.SEEK_CUR)
        file.write(after.tobuf() + bytes(1024))
    assert refused(path) == {"huge.png": Reason.TOO_MANY_BYTES}
    assert served(path) == {"after.png": b""}


def three(tar: tarfile.TarFile) -> None:
    for name in ("a.png", "b.png", "c.png"):
        add(tar, name, name.encode() * 200)


@pytest.mark.parametrize(
    ("keep", "names", "damage"),
    [
        (0, [], {"@0": Reason.TRUNCATED}),
        (300, [], {"@0": Reason.TRUNCATED}),
        (512 + 700, [], {"a.png": Reason.TRUNCATED}),
        (1536 + 100, ["a.png"], {"@1536": Reason.TRUNCATED}),
        (3072 + 512 + 9, ["a.png", "b.png"], {"c.png": Reason.TRUNCATED}),
        (4608, ["a.png", "b.png", "c.png"], {"@4608": Reason.TRUNCATED}),
    ],
)
def test_members_before_a_cut_are_served_and_the_cut_is_an_entry(
    tmp_path: Path, keep: int, names: list[str], damage: dict[str, Reason]
) -> None:
    path = tar_of(tmp_path / "a.tar", three)
    path.write_bytes(path.read_bytes()[:keep])
    assert list(served(path)) == names
    assert refused(path) == damage


def test_members_before_a_damaged_header_are_served(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "a.tar", three)
    data = bytearray(path.read_bytes())
    data[1536 + 30] ^= 0xFF
    path.write_bytes(bytes(data))
    assert list(served(path)) == ["a.png"]
    assert refused(path) == {"@1536": Reason.CORRUPT}


def test_a_file_that_is_no_tar_is_one_entry(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(b"<html>" * 400)
    assert refused(path) == {"@0": Reason.CORRUPT}


def test_an_extension_header_that_claims_gigabytes_is_not_read(tmp_path: Path) -> None:
    header = tarfile.TarInfo("bomb")
    header.type = tarfile.XHDTYPE
    header.size = 5_000_000_000
    path = tmp_path / "a.tar"
    path.write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    assert refused(path) == {"@0": Reason.CORRUPT}


def test_names_that_are_no_text_stay_distinct_and_storable(tmp_path: Path) -> None:
    def fill(tar: tarfile.TarFile) -> None:
        add(tar, b"caf\xe9.png".decode("utf-8", "surrogateescape"), b"1")
        add(tar, "new\nline.png", b"2")

    names = list(served(tar_of(tmp_path / "a.tar", fill, tarfile.GNU_FORMAT)))
    assert names == ["caf\\xe9.png", "new\\x0aline.png"]


def test_a_part_beyond_the_end_of_a_file_is_truncated(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(b"abc")
    with pytest.raises(Refused) as caught:
        read_file(path, offset=2, size=5)
    assert caught.value.reason is Reason.TRUNCATED


@settings(deadline=None, max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)
@given(
    edits=st.lists(st.tuples(st.integers(0, 8000), st.binary(min_size=1, max_size=12)), max_size=4),
    mend=st.booleans(),
    keep=st.integers(0, 10240),
)
def test_any_damage_gives_members_that_lie_inside_the_archive(
    tmp_path: Path, edits: list[tuple[int, bytes]], mend: bool, keep: int
) -> None:
    def fill(tar: tarfile.TarFile) -> None:
        add(tar, f"{'é' * 90}.png", b"1" * 600)
        add(tar, "b.png", b"2" * 600, pax_headers={"comment": "x" * 40})

    data = bytearray(tar_of(tmp_path / "a.tar", fill).read_bytes())
    for position, replacement in edits:
        data[position : position + len(replacement)] = replacement
    if mend:
        for position in range(0, len(data) - 511, 512):
            mended = bytearray(data[position : position + 512])
            mended[148:156] = b" " * 8
            data[position + 148 : position + 156] = struct.pack("8s", b"%06o\x00 " % sum(mended))
    path = tmp_path / "damaged.tar"
    path.write_bytes(bytes(data[:keep]))
    members: list[Member] = list(list_members(path))
    assert len({member.key for member in members if member.reason is None}) == sum(
        member.reason is None for member in members
    )
    for member in members:
        member.name.encode()
        if member.reason is None:
            assert len(read_file(path, offset=member.offset, size=member.size)) == member.size
