"""Safe listing of tar archives: nothing is extracted, and every oddity is an entry with a reason."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from curation.ingest.limits import READ_CAP
from curation.ingest.names import printable, unsafe
from curation.ingest.refusal import Reason

_BLOCK = tarfile.BLOCKSIZE
_MAX_EXTENSION_BYTES = 1024 * 1024
_MAX_DIGITS = 20
_PAX = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_LONG_NAME = tarfile.GNUTYPE_LONGNAME
_EXTENSIONS = (*_PAX, _LONG_NAME, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK)
_REGULAR = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_WITHOUT_DATA = (
    tarfile.LNKTYPE,
    tarfile.SYMTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.DIRTYPE,
    tarfile.FIFOTYPE,
)
_KINDS = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.CHRTYPE: "a character device",
    tarfile.BLKTYPE: "a block device",
    tarfile.FIFOTYPE: "a FIFO",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}


@dataclass(frozen=True)
class Member:
    """One member of a tar file, or a place where the file is damaged."""

    name: str
    """Path inside the archive as stored, printable; `@` and the byte position for damage."""
    offset: int
    """Position of the first byte of its data."""
    size: int
    """Bytes of data."""
    reason: Reason | None = None
    """Why it is not served, or None where it is."""
    detail: str = ""
    repeated: bool = False
    """Whether an earlier member has the same name."""

    @property
    def key(self) -> str:
        """Return a name that no other member of the archive has."""
        return f"{self.name}@{self.offset}" if self.repeated else self.name


def list_members(path: Path) -> Iterator[Member]:
    """Yield the files of an uncompressed tar archive in their order; folders with safe names are left out.

    Reads headers only. Members with unsafe names, links, devices, sparse files, files above `READ_CAP` and repeated
    names carry a reason. Where the archive is damaged or cut, the members before are yielded, and then one member
    that stands for the damage. Serve data with `curation.ingest.files.read_file`. Raises OSError where the archive
    itself cannot be opened.
    """
    seen: set[str] = set()
    with path.open("rb") as file:
        end = file.seek(0, 2)
        for member in _walk(file, end):
            normal = "/".join(part for part in member.name.split("/") if part not in ("", "."))
            if normal in seen:
                member = replace(member, repeated=True)
                if member.reason is None:
                    detail = "an earlier member of the archive has this name"
                    member = replace(member, reason=Reason.DUPLICATE_MEMBER, detail=detail)
            seen.add(normal)
            yield member


@dataclass
class _Announced:
    """What extension headers announce of the member that follows them."""

    name: str | None = None
    size: int | None = None
    sparse: bool = False

    def absorb(self, kind: bytes, block: bytes) -> bool:
        """Take an extension header's data in; return False where it is malformed."""
        if kind == _LONG_NAME:
            self.name = block.rstrip(b"\x00").decode("utf-8", "surrogateescape")
        elif kind in _PAX:
            records = _pax_records(block)
            if records is None:
                return False
            size = records.get("size", "")
            self.name = records.get("path", self.name)
            self.size = int(size) if size.isdecimal() and len(size) <= _MAX_DIGITS else self.size
            self.sparse = self.sparse or any(keyword.startswith("GNU.sparse.") for keyword in records)
        return True


def _walk(file: BinaryIO, end: int) -> Iterator[Member]:
    position = 0
    announced = _Announced()
    while True:
        file.seek(position)
        block = file.read(_BLOCK)
        data = position + _BLOCK
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            if len(block) < _BLOCK or block.count(0) < _BLOCK:
                yield _damage(position, cut=len(block) < _BLOCK)
            return
        is_extension = header.type in _EXTENSIONS
        size = header.size if is_extension or announced.size is None else announced.size
        stored = 0 if header.type in _WITHOUT_DATA else size
        if size < 0 or (is_extension and stored > _MAX_EXTENSION_BYTES):
            yield _damage(position, cut=False)
            return
        if is_extension:
            if data + stored > end or not announced.absorb(header.type, file.read(stored)):
                yield _damage(position, cut=data + stored > end)
                return
        else:
            if header.type == tarfile.GNUTYPE_SPARSE:
                data = _end_of_sparse_map(file, block, data)
            member = _judge(header, announced, data, size, end)
            if member is not None:
                yield member
            if data + stored > end:
                if member is None or member.reason is not Reason.TRUNCATED:
                    yield _damage(data, cut=True)
                return
            announced = _Announced()
        position = data + -(-stored // _BLOCK) * _BLOCK


def _end_of_sparse_map(file: BinaryIO, block: bytes, position: int) -> int:
    """Return where the data of an old GNU sparse member begins, behind the blocks that continue its header."""
    continued = block[482:483]
    while continued and continued != b"\x00":
        continued = file.read(_BLOCK)[504:505]
        position += _BLOCK
    return position


def _judge(header: tarfile.TarInfo, announced: _Announced, data: int, size: int, end: int) -> Member | None:
    name = header.name if announced.name is None else announced.name
    member = Member(printable(name), data, size)
    danger = unsafe(name)
    if danger is not None:
        return replace(member, reason=Reason.UNSAFE_PATH, detail=danger)
    if header.type == tarfile.DIRTYPE:
        return None
    if announced.sparse or header.type not in _REGULAR:
        kind = "a sparse file" if announced.sparse else _KINDS.get(header.type, f"of unknown type {header.type!r}")
        return replace(member, reason=Reason.NOT_A_FILE, detail=f"the member is {kind}")
    if size > READ_CAP:
        detail = f"the member states {size} bytes; no more than {READ_CAP} are ever read"
        return replace(member, reason=Reason.TOO_MANY_BYTES, detail=detail)
    if data + size > end:
        return replace(member, reason=Reason.TRUNCATED, detail=f"the archive ends {data + size - end} bytes early")
    return member


def _damage(position: int, *, cut: bool) -> Member:
    if cut:
        detail = f"the archive ends at byte {position} without its end mark; later members are lost"
        return Member(f"@{position}", position, 0, Reason.TRUNCATED, detail)
    detail = f"the archive has no valid header at byte {position}; later members are lost"
    return Member(f"@{position}", position, 0, Reason.CORRUPT, detail)


def _pax_records(block: bytes) -> dict[str, str] | None:
    """Return the records of a pax header, or None where it is malformed."""
    records: dict[str, str] = {}
    position = 0
    while position < len(block):
        space = block.find(b" ", position, position + 21)
        digits = block[position:space]
        if space < 0 or not digits.isdigit():
            return None
        end = position + int(digits)
        keyword, equals, value = block[space + 1 : end - 1].partition(b"=")
        if end <= space or end > len(block) or block[end - 1 : end] != b"\n" or not equals:
            return None
        records[keyword.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        position = end
    return records
