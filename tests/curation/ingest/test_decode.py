from __future__ import annotations

import hashlib
import struct
import threading
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms
from pydantic import ValidationError

from curation.ingest.decode import decode
from curation.ingest.limits import Limits
from curation.ingest.refusal import Reason, Refused
from tests.curation.ingest.hostile import encoded, exif_block, picture, png_chunk

LIMITS = Limits()
RED, GREEN, BLUE, GREY = (200, 10, 20), (15, 180, 30), (25, 35, 220), (90, 90, 90)


def quarters() -> np.ndarray:
    """[32, 48, 3]: red, green over blue, grey."""
    image = np.zeros((32, 48, 3), np.uint8)
    image[:16, :24], image[:16, 24:], image[16:, :24], image[16:, 24:] = RED, GREEN, BLUE, GREY
    return image


@pytest.mark.parametrize(
    ("image_format", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("GIF", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("WEBP", {"quality": 95}, 6),
        ("JPEG", {"quality": 98, "subsampling": 0}, 3),
        ("JPEG", {"quality": 98, "subsampling": 0, "progressive": True}, 3),
    ],
)
def test_every_format_gives_the_colours_that_were_stored(
    image_format: str, options: dict[str, object], tolerance: int
) -> None:
    data = encoded(Image.fromarray(quarters()), image_format, **options)
    decoded = decode(data, LIMITS)
    assert decoded.pixels.shape == (32, 48, 3)
    assert decoded.pixels.dtype == np.uint8
    centres = decoded.pixels[[8, 8, 24, 24], [12, 36, 12, 36]].astype(int)
    assert np.abs(centres - [RED, GREEN, BLUE, GREY]).max() <= tolerance
    assert (decoded.format, decoded.frames, decoded.alpha) == (image_format, 1, None)
    assert decoded.sha256 == hashlib.sha256(data).hexdigest()


STORED_TO_UPRIGHT = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].transpose(1, 0, 2),
    8: lambda stored: np.rot90(stored, 1),
}


@pytest.mark.parametrize("image_format", ["PNG", "WEBP", "TIFF", "JPEG"])
@pytest.mark.parametrize("orientation", STORED_TO_UPRIGHT)
def test_an_image_stored_on_its_side_comes_out_upright(orientation: int, image_format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 98, "subsampling": 0}}.get(image_format, {})
    data = encoded(Image.fromarray(quarters()), image_format, exif=exif, **options)
    decoded = decode(data, LIMITS)
    pixels = decoded.pixels
    assert decoded.turned == (orientation != 1)
    expected = STORED_TO_UPRIGHT[orientation](quarters())
    assert pixels.shape == expected.shape
    difference = np.abs(pixels.astype(int) - expected)
    assert np.quantile(difference, 0.9) <= 3


def test_alpha_is_turned_with_its_pixels() -> None:
    rgba = np.dstack([quarters(), np.full((32, 48), 255, np.uint8)])
    rgba[:4, :4, 3] = 0
    exif = Image.Exif()
    exif[0x0112] = 6
    decoded = decode(encoded(Image.fromarray(rgba), "PNG", exif=exif), LIMITS)
    assert decoded.alpha is not None
    assert decoded.alpha.shape == decoded.pixels.shape[:2] == (48, 32)
    assert decoded.alpha[:4, -4:].max() == 0
    assert decoded.alpha[:4, :-4].min() == 255


def test_orientation_zero_and_exif_in_either_byte_order_are_understood() -> None:
    big = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00"
    image = Image.fromarray(quarters())
    assert decode(encoded(image, "JPEG", exif=big), LIMITS).pixels.shape == (48, 32, 3)
    unknown = exif_block([(0x0112, 3, 1, bytes(4))])
    assert decode(encoded(image, "JPEG", exif=unknown), LIMITS).pixels.shape == (32, 48, 3)


def test_transparency_shows_the_stated_background() -> None:
    rgba = np.zeros((32, 32, 4), np.uint8)
    rgba[:, :, :3] = (100, 0, 200)
    rgba[:, :16, 3], rgba[:, 16:, 3] = 0, 128
    decoded = decode(encoded(Image.fromarray(rgba), "PNG"), Limits(background="#00FF00"))
    assert decoded.pixels[0, 0].tolist() == [0, 255, 0]
    assert np.abs(decoded.pixels[0, 31].astype(int) - [50, 127, 100]).max() <= 1
    assert decoded.alpha is not None
    assert decoded.alpha[0].tolist() == [0] * 16 + [128] * 16


def test_an_alpha_channel_that_is_opaque_everywhere_is_none() -> None:
    assert decode(encoded(Image.fromarray(quarters()).convert("RGBA"), "PNG"), LIMITS).alpha is None


def test_a_palette_keeps_its_colours_and_its_transparent_entry() -> None:
    palette = Image.new("P", (32, 32), 0)
    palette.putpalette([*RED, *GREEN, *BLUE])
    palette.paste(1, (0, 0, 16, 32))
    palette.paste(2, (0, 16, 16, 32))
    for data in (
        encoded(palette, "PNG", transparency=0),
        encoded(palette, "PNG", transparency=bytes([0, 255, 255])),
        encoded(palette, "GIF", transparency=0),
    ):
        decoded = decode(data, Limits(background="#102030"))
        assert decoded.pixels[[0, 31, 0], [0, 0, 31]].tolist() == [[*GREEN], [*BLUE], [0x10, 0x20, 0x30]]
        assert decoded.alpha is not None
        assert decoded.alpha[[0, 31, 0], [0, 0, 31]].tolist() == [255, 255, 0]


def test_grey_one_bit_and_grey_with_alpha_become_rgb() -> None:
    grey = decode(encoded(Image.new("L", (32, 32), 77), "PNG"), LIMITS)
    assert grey.pixels[5, 5].tolist() == [77, 77, 77]
    bits = Image.new("1", (32, 32), 0)
    bits.paste(1, (0, 0, 16, 32))
    for image_format in ("PNG", "BMP", "TIFF"):
        decoded = decode(encoded(bits, image_format), LIMITS)
        assert decoded.pixels[0, [0, 31]].tolist() == [[255] * 3, [0] * 3]
    faint = decode(encoded(Image.new("LA", (32, 32), (0, 51)), "PNG"), LIMITS)
    assert faint.pixels[0, 0].tolist() == [204, 204, 204]
    assert faint.alpha is not None
    assert faint.alpha[0, 0] == 51


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 32 * 32).reshape(32, 32).astype(np.uint16)
    expected = np.round(ramp / 257.0)
    for image_format in ("PNG", "TIFF"):
        pixels = decode(encoded(Image.fromarray(ramp), image_format), LIMITS).pixels
        assert np.abs(pixels - expected[:, :, None]).max() <= 1


def test_sixteen_bit_colour_is_scaled() -> None:
    rows = b"".join(b"\x00" + struct.pack(">HHH", 65535, 32768, 257) * 20 for _ in range(20))
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        png_chunk(kind, content)
        for kind, content in (
            (b"IHDR", struct.pack(">IIBBBBB", 20, 20, 16, 2, 0, 0, 0)),
            (b"IDAT", zlib.compress(rows)),
            (b"IEND", b""),
        )
    )
    assert decode(data, LIMITS).pixels[7, 7].tolist() == [255, 128, 1]


def test_a_transparent_value_of_a_sixteen_bit_grey_image_is_transparent() -> None:
    values = np.full((20, 20), 40_000, np.uint16)
    values[:10] = 1234
    data = encoded(Image.fromarray(values), "PNG")
    decoded = decode(data[:33] + png_chunk(b"tRNS", struct.pack(">H", 1234)) + data[33:], LIMITS)
    assert decoded.alpha is not None
    assert decoded.alpha[[0, 19], 0].tolist() == [0, 255]
    assert decoded.pixels[[0, 19], 0].tolist() == [[255] * 3, [156] * 3]


@pytest.mark.parametrize(
    ("values", "black", "white"),
    [
        (np.array([[0.0, 1.0]], np.float32), 0.0, 1.0),
        (np.array([[0.25, 0.75]], np.float32), 0.0, 1.0),
        (np.array([[-3.0, 5.0]], np.float32), -3.0, 5.0),
        (np.array([[0, 65535]], np.int32), 0, 65535),
        (np.array([[-10, 1_000_000]], np.int32), -10, 1_000_000),
    ],
)
def test_floats_and_long_integers_are_scaled_by_the_stated_rule(values: np.ndarray, black: float, white: float) -> None:
    image = Image.fromarray(np.tile(values, (32, 16)))
    pixels = decode(encoded(image, "TIFF"), LIMITS).pixels
    expected = np.round((values[0] - black) / (white - black) * 255)
    assert np.abs(pixels[0, :2, 0] - expected).max() <= 1


def test_cmyk_becomes_the_colours_that_it_prints() -> None:
    image = Image.new("CMYK", (32, 32), (0, 255, 255, 0))
    image.paste((255, 0, 0, 0), (16, 0, 32, 32))
    for image_format in ("JPEG", "TIFF"):
        pixels = decode(encoded(image, image_format), LIMITS).pixels.astype(int)
        assert np.abs(pixels[16, 4] - [255, 0, 0]).max() <= 4
        assert np.abs(pixels[16, 28] - [0, 255, 255]).max() <= 4


def _profile_with_red_and_green_swapped() -> bytes:
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    positions = {}
    for entry in range(132, 132 + 12 * int.from_bytes(data[128:132], "big"), 12):
        positions[bytes(data[entry : entry + 4])] = int.from_bytes(data[entry + 4 : entry + 8], "big")
    red, green = positions[b"rXYZ"], positions[b"gXYZ"]
    data[red : red + 20], data[green : green + 20] = data[green : green + 20], data[red : red + 20]
    return bytes(data)


@pytest.mark.parametrize("image_format", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_a_colour_profile_is_applied(image_format: str) -> None:
    """A profile whose red primary is sRGB's green and the other way round swaps those channels."""
    options: dict[str, object] = {"lossless": True} if image_format == "WEBP" else {}
    if image_format == "JPEG":
        options = {"quality": 98}
    data = encoded(
        Image.new("RGB", (32, 32), RED), image_format, icc_profile=_profile_with_red_and_green_swapped(), **options
    )
    assert np.abs(decode(data, LIMITS).pixels[9, 9].astype(int) - [RED[1], RED[0], RED[2]]).max() <= 4


def test_an_srgb_profile_changes_nothing_and_fits_grey_and_palette_images_too() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for image, expected in (
        (Image.new("RGB", (32, 32), BLUE), BLUE),
        (Image.new("L", (32, 32), 120), (120,) * 3),
        (Image.new("RGB", (32, 32), GREEN).convert("P"), None),
    ):
        pixels = decode(encoded(image, "PNG", icc_profile=profile), LIMITS).pixels
        wanted = image.convert("RGB").getpixel((0, 0)) if expected is None else expected
        assert np.abs(pixels[0, 0].astype(int) - wanted).max() <= 1


@pytest.mark.parametrize("image_format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_is_taken_where_animation_is_allowed(image_format: str) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in (RED, GREEN, BLUE)]
    data = encoded(frames[0], image_format, save_all=True, append_images=frames[1:], **_exact(image_format))
    with pytest.raises(Refused) as caught:
        decode(data, LIMITS)
    assert caught.value.reason is Reason.ANIMATED
    decoded = decode(data, Limits(allow_animation=True))
    assert decoded.frames == 3
    assert decoded.pixels[5, 5].tolist() == [*RED]


def _exact(image_format: str) -> dict[str, object]:
    return {"lossless": True} if image_format == "WEBP" else {}


def test_a_preview_beside_the_page_of_a_tiff_is_no_second_page() -> None:
    preview = picture(24, 16)
    preview.encoderinfo = {"tiffinfo": {254: 1}}
    data = encoded(picture(), "TIFF", save_all=True, append_images=[preview])
    assert decode(data, LIMITS).frames == 1


def test_the_further_pictures_of_a_jpeg_are_no_animation() -> None:
    data = encoded(picture(), "MPO", save_all=True, append_images=[picture(24, 16)])
    decoded = decode(data, LIMITS)
    assert (decoded.format, decoded.frames, decoded.pixels.shape) == ("JPEG", 1, (32, 48, 3))


def test_the_video_behind_a_motion_photo_is_not_taken_for_scans_or_segments() -> None:
    video = b"\xff\xda\x00\x02" * 20_000
    assert decode(encoded(picture(), "JPEG") + video, LIMITS).pixels.shape == (32, 48, 3)


@pytest.mark.parametrize("options", [{"progressive": True}, {"restart_marker_blocks": 1}, {"optimize": True}])
def test_jpeg_files_of_many_scans_and_restart_markers_are_let_in(options: dict[str, object]) -> None:
    assert decode(encoded(picture(300, 200), "JPEG", **options), LIMITS).pixels.shape == (200, 300, 3)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"max_pixels": 1000}, Reason.TOO_MANY_PIXELS),
        ({"max_side": 40}, Reason.SIDE_TOO_LONG),
        ({"min_side": 33}, Reason.SIDE_TOO_SHORT),
        ({"formats": ("jpeg", "webp")}, Reason.FORMAT_NOT_ALLOWED),
    ],
)
def test_each_limit_of_the_spec_is_kept(change: dict[str, object], reason: Reason) -> None:
    data = encoded(picture(), "PNG")
    with pytest.raises(Refused) as caught:
        decode(data, Limits.model_validate(change))
    assert caught.value.reason is reason


def test_the_sides_are_those_of_the_limits_inclusive() -> None:
    assert decode(encoded(picture(48, 32), "PNG"), Limits(max_side=48, min_side=32)).pixels.shape == (32, 48, 3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"background": "white"}, "#ffffff"),
        ({"background": "#12345g"}, "#ffffff"),
        ({"formats": ["PSD"]}, "PNG"),
        ({"max_pixels": 10**12}, "less than or equal"),
        ({"min_side": 500, "max_side": 100}, "min_side is 500"),
        ({"max_megapixels": 3}, "Extra inputs"),
    ],
)
def test_limits_that_make_no_sense_are_refused_with_the_mend(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Limits.model_validate(change)


def test_threads_decode_side_by_side_and_agree() -> None:
    files = [encoded(Image.fromarray(quarters()), kind, **_exact(kind)) for kind in ("PNG", "WEBP", "GIF", "TIFF")]
    expected = quarters()
    wrong: list[int] = []

    def work() -> None:
        for index in range(40):
            if not np.array_equal(decode(files[index % len(files)], LIMITS).pixels, expected):
                wrong.append(index)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_refusal_travels_between_processes_unchanged() -> None:
    import pickle

    refused = pickle.loads(pickle.dumps(Refused(Reason.CORRUPT, "broken")))
    assert (refused.reason, refused.detail) == (Reason.CORRUPT, "broken")


def _png(bits: int, colour_type: int, transparent: bytes, rows: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        png_chunk(kind, content)
        for kind, content in (
            (b"IHDR", struct.pack(">IIBBBBB", 20, 20, bits, colour_type, 0, 0, 0)),
            (b"tRNS", transparent),
            (b"IDAT", zlib.compress(rows)),
            (b"IEND", b""),
        )
    )


@pytest.mark.parametrize(
    ("bits", "left", "right", "transparent"),
    [
        (1, b"\x00\x0f", b"\xff", 0),
        (2, b"\xaa" * 2, b"\xff" * 3, 2),
        (4, b"\x55" * 5, b"\xff" * 5, 5),
        (8, b"\x09" * 10, b"\xff" * 10, 9),
    ],
)
def test_grey_of_few_bits_keeps_its_transparent_value(bits: int, left: bytes, right: bytes, transparent: int) -> None:
    row = (b"\x00" + left + right).ljust(1 + 20 * bits // 8 + (20 * bits % 8 > 0), b"\xff")
    decoded = decode(_png(bits, 0, struct.pack(">H", transparent), row * 20), LIMITS)
    assert decoded.alpha is not None
    assert decoded.alpha[0, [0, 19]].tolist() == [0, 255]


def test_sixteen_bit_colour_keeps_its_transparent_value() -> None:
    left, right = struct.pack(">HHH", 4660, 2, 60000), struct.pack(">HHH", 300, 40000, 9)
    decoded = decode(_png(16, 2, left, (b"\x00" + left * 10 + right * 10) * 20), LIMITS)
    assert decoded.alpha is not None
    assert decoded.alpha[0, [0, 19]].tolist() == [0, 255]
