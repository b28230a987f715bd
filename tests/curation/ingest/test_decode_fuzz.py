from __future__ import annotations

import re
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from curation.ingest.decode import Decoded, decode
from curation.ingest.limits import Limits
from curation.ingest.refusal import Reason, Refused
from tests.curation.ingest.hostile import encoded, picture

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

LIMITS = [Limits(max_pixels=1_000_000), Limits(max_pixels=1_000_000, allow_animation=True, min_side=1)]


def _seeds() -> list[bytes]:
    small = picture(24, 18)
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    deep = Image.fromarray(np.arange(24 * 18, dtype=np.uint16).reshape(18, 24) * 100)
    seeds = [encoded(small, kind, exif=exif, icc_profile=profile) for kind in ("PNG", "JPEG", "WEBP", "TIFF")]
    seeds += [encoded(small, kind, save_all=True, append_images=[small.rotate(9)]) for kind in ("GIF", "PNG", "WEBP")]
    seeds += [encoded(small, "TIFF", compression=kind) for kind in ("tiff_lzw", "jpeg", "packbits", "tiff_deflate")]
    seeds += [encoded(small, "JPEG", progressive=True), encoded(small.convert("CMYK"), "JPEG")]
    seeds += [encoded(small.convert("P"), kind) for kind in ("PNG", "GIF", "BMP", "TIFF")]
    seeds += [encoded(small.convert("RGBA"), kind) for kind in ("PNG", "WEBP", "TIFF", "BMP")]
    seeds += [encoded(deep, "PNG"), encoded(deep, "TIFF"), encoded(deep.convert("F"), "TIFF")]
    seeds += [encoded(small.convert("1"), kind) for kind in ("PNG", "BMP", "TIFF", "GIF")]
    return seeds


SEEDS = _seeds()
MAGICS = [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"BM", b"II*\x00", b"MM\x00*", b"RIFF\x40\x00\x00\x00WEBP"]
MAGICS += [b"\xff\xd8\xff\xe1\x00\x40Exif\x00\x00", b"II+\x00\x08\x00\x00\x00", b"RIFF\x40\x00\x00\x00WEBPVP8X"]


def check(data: bytes) -> None:
    """Either a well-formed image or a refusal; any other exception fails the test."""
    for limits in LIMITS:
        outcome = decoded_or_refused(data, limits)
        if isinstance(outcome, Decoded):
            check_decoded(outcome, limits)
        else:
            assert outcome.reason in Reason
            assert outcome.detail
            assert not re.search("0x[0-9a-f]{8}", outcome.detail), "an address changes from run to run"


def decoded_or_refused(data: bytes, limits: Limits) -> Decoded | Refused:
    try:
        return decode(data, limits)
    except Refused as refused:
        return refused


def with_right_checksums(data: bytes) -> bytes:
    """A damaged PNG whose chunks pass their check, so that what is behind the check meets the damage."""
    if not data.startswith(MAGICS[0]):
        return data
    mended, position = bytearray(data), 8
    while position + 12 <= len(data):
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        mended[max(end - 4, 0) : end] = zlib.crc32(mended[position + 4 : end - 4]).to_bytes(4, "big")
        position = end
    return bytes(mended[: len(data)])


def check_decoded(decoded: Decoded, limits: Limits) -> None:
    height, width, channels = decoded.pixels.shape
    assert channels == 3
    assert decoded.pixels.dtype == np.uint8
    assert decoded.pixels.flags["C_CONTIGUOUS"]
    assert limits.min_side <= min(height, width)
    assert max(height, width) <= limits.max_side
    assert height * width <= limits.max_pixels
    assert decoded.frames >= 1
    assert decoded.format in limits.formats
    if decoded.alpha is not None:
        assert decoded.alpha.shape == (height, width)
        assert decoded.alpha.dtype == np.uint8
        assert decoded.alpha.min() < 255


quick = settings(deadline=None, max_examples=4000, suppress_health_check=[HealthCheck.too_slow], database=None)


@quick
@given(
    data=st.one_of(st.binary(max_size=300), st.tuples(st.sampled_from(MAGICS), st.binary(max_size=300)).map(b"".join))
)
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    check(data)


@quick
@given(
    seed=st.sampled_from(SEEDS),
    edits=st.lists(st.tuples(st.floats(0, 0.999), st.binary(min_size=1, max_size=4)), min_size=1, max_size=4),
    near_the_start=st.booleans(),
)
def test_any_mutation_of_a_valid_file_is_decoded_or_refused(
    seed: bytes, edits: list[tuple[float, bytes]], near_the_start: bool
) -> None:
    data = bytearray(seed)
    reach = min(len(data), 120) if near_the_start else len(data)
    for place, replacement in edits:
        start = int(place * reach)
        data[start : start + len(replacement)] = replacement
    check(bytes(data))
    check(with_right_checksums(bytes(data)))


@quick
@given(seed=st.sampled_from(SEEDS), place=st.floats(0, 1), cut=st.integers(0, 60), extra=st.binary(max_size=20))
def test_any_cut_or_gap_in_a_valid_file_is_decoded_or_refused(
    seed: bytes, place: float, cut: int, extra: bytes
) -> None:
    start = int(place * len(seed))
    check(seed[:start])
    check(seed[:start] + extra + seed[start + cut :])
