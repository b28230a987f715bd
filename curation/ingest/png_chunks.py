"""The integrity of a PNG file: every chunk whole, every checksum right."""

from __future__ import annotations

import zlib

from curation.ingest.refusal import Reason, Refused

_SIGNATURE_BYTES = 8
_MAX_LENGTH = 2**31 - 1
_MAX_CHUNKS = 100_000


def check_png(data: bytes) -> None:
    """Check all chunks up to the end of the image; decoders skip the checksum of the pixels.

    Raises Refused with `truncated` where the file ends early, with `corrupt` where a checksum is wrong, with
    `decompression_bomb` where there are more chunks than any encoder writes: each costs a decoder more than its bytes.
    """
    view = memoryview(data)
    position = _SIGNATURE_BYTES
    for _ in range(_MAX_CHUNKS):
        head = bytes(view[position : position + 8])
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if len(head) == 8 and (not kind.isalpha() or length > _MAX_LENGTH):
            raise Refused(Reason.CORRUPT, f"no PNG chunk begins at byte {position}")
        end = position + 12 + length
        if len(head) < 8 or end > len(data):
            raise Refused(Reason.TRUNCATED, f"the PNG file ends inside the chunk at byte {position}")
        if zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise Refused(Reason.CORRUPT, f"the checksum of PNG chunk {kind.decode()} at byte {position} is wrong")
        if kind == b"IEND":
            return
        position = end
    raise Refused(Reason.BOMB, f"the PNG file has more than {_MAX_CHUNKS} chunks")
