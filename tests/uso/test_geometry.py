"""Position ids, packing, schedule, and the sizes that images are cut to."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from uso.images import (
    aspect_buckets,
    content_sizes,
    fit_content,
    fit_target,
    flatten,
    image_tensor,
    nearest_bucket,
    tensor_images,
)
from uso.packing import pack, unpack
from uso.position_ids import ID_SHIFTS, text_ids, unope_ids
from uso.schedule import flow_times, shift_mu

GRID = st.tuples(st.integers(1, 9), st.integers(1, 9))


@given(target=GRID, references=st.lists(GRID, max_size=4))
def test_diagonal_references_share_no_row_and_no_column(
    target: tuple[int, int], references: list[tuple[int, int]]
) -> None:
    own, others = unope_ids(target, references, "d")
    images = [own, *others]
    assert [len(ids) for ids in images] == [rows * columns for rows, columns in (target, *references)]
    assert not any(ids[:, 0].any() for ids in images)
    for axis in (1, 2):
        spans = [(ids[:, axis].min().item(), ids[:, axis].max().item()) for ids in images]
        assert spans[0][0] == 0
        assert all(after[0] == before[1] + 1 for before, after in pairwise(spans))


@given(target=GRID, references=st.lists(GRID, max_size=3), shift=st.sampled_from(ID_SHIFTS))
def test_each_shift_moves_its_own_axes_alone(
    target: tuple[int, int], references: list[tuple[int, int]], shift: str
) -> None:
    diagonal, origin = unope_ids(target, references, "d")[1], unope_ids(target, references, "o")[1]
    for moved, far, near in zip(unope_ids(target, references, shift)[1], diagonal, origin, strict=True):
        assert torch.equal(moved[:, 1], (far if shift in "dh" else near)[:, 1])
        assert torch.equal(moved[:, 2], (far if shift in "dw" else near)[:, 2])


def test_ids_refuse_what_has_no_place() -> None:
    assert not text_ids(3).any()
    with pytest.raises(ValueError, match="unknown id shift"):
        unope_ids((1, 1), [], "x")
    with pytest.raises(ValueError, match="0 x 2 tokens"):
        unope_ids((1, 1), [(0, 2)])


@given(batch=st.integers(1, 3), channels=st.integers(1, 5), rows=st.integers(1, 6), columns=st.integers(1, 6))
def test_packing_is_undone_by_unpacking(batch: int, channels: int, rows: int, columns: int) -> None:
    latent = torch.arange(batch * channels * rows * columns * 4.0).reshape(batch, channels, 2 * rows, 2 * columns)
    tokens = pack(latent)
    assert tokens.shape == (batch, rows * columns, 4 * channels)
    assert torch.equal(unpack(tokens, rows, columns), latent)
    # The first token is the top left patch, channel by channel.
    assert torch.equal(tokens[0, 0], latent[0, :, :2, :2].reshape(-1))


def test_a_wrong_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="not a grid of 2 x 2"):
        unpack(torch.zeros(1, 5, 64), 2, 2)
    with pytest.raises(ValueError, match="is \\[batch"):
        pack(torch.zeros(16, 4, 4))


@given(
    steps=st.integers(1, 60),
    rows=st.integers(1, 128),
    columns=st.integers(1, 128),
    shift=st.sampled_from(["true", "upstream", "none"]),
)
def test_times_fall_from_one_to_zero(steps: int, rows: int, columns: int, shift: str) -> None:
    times = flow_times(steps, rows, columns, shift)
    assert len(times) == steps + 1
    assert (times[0], times[-1]) == (1, 0)
    assert (times.diff() < 0).all()


def test_shift_of_published_sizes() -> None:
    """FLUX: 0.5 at 256 tokens, 1.15 at 4096. UNO's and USO's samplers pass 64 for 1024 px, where there are 4096."""
    assert shift_mu(16, 16, "true") == pytest.approx(0.5)
    assert shift_mu(64, 64, "true") == pytest.approx(1.15)
    assert shift_mu(64, 64, "upstream") == pytest.approx(shift_mu(8, 8, "true"))
    assert shift_mu(64, 64, "none") == 0
    assert torch.equal(flow_times(4, 8, 8, "none"), torch.linspace(1, 0, 5))
    with pytest.raises(ValueError, match="unknown schedule shift"):
        shift_mu(1, 1, "other")
    with pytest.raises(ValueError, match="at least one step"):
        flow_times(0, 8, 8)


@pytest.mark.parametrize(
    ("size", "scaled", "kept"),
    [
        ((1024, 1024), (512, 512), (512, 512)),
        ((700, 500), (512, 365), (512, 352)),
        ((500, 700), (365, 512), (352, 512)),
        ((100, 50), (512, 256), (512, 256)),
        ((3000, 100), (512, 17), (512, 16)),
    ],
)
def test_content_sizes_are_upstreams(size: tuple[int, int], scaled: tuple[int, int], kept: tuple[int, int]) -> None:
    assert content_sizes(*size) == (scaled, kept)


@settings(deadline=None)
@given(width=st.integers(60, 400), height=st.integers(60, 400))
def test_content_references_are_the_centre_of_the_image(width: int, height: int) -> None:
    image = Image.new("RGB", (width, height), "red")
    image.paste("blue", (width // 4, height // 4, width - width // 4, height - height // 4))
    fitted = fit_content(image, 128)
    assert max(fitted.size) == 128
    assert all(side % 16 == 0 for side in fitted.size)
    assert fitted.getpixel((fitted.width // 2, fitted.height // 2)) == (0, 0, 255)


def test_an_image_that_is_a_line_is_refused() -> None:
    with pytest.raises(ValueError, match="too narrow"):
        content_sizes(5000, 100)
    with pytest.raises(ValueError, match="no content size"):
        content_sizes(0, 100)


@given(side=st.integers(4, 64).map(lambda tokens: 16 * tokens), longest=st.floats(1, 4))
def test_buckets_are_near_the_pixel_count(side: int, longest: float) -> None:
    buckets = aspect_buckets(side, longest)
    assert (side, side) in buckets
    assert len(set(buckets)) == len(buckets)
    for width, height in buckets:
        assert width % 16 == height % 16 == 0
        assert side * side - 16 * width < width * height <= side * side
        assert max(width / height, height / width) <= longest


def test_targets_go_into_the_bucket_of_their_shape() -> None:
    buckets = aspect_buckets(1024)
    assert nearest_bucket((500, 500), buckets) == (1024, 1024)
    assert nearest_bucket((1600, 900), buckets)[0] > nearest_bucket((900, 1600), buckets)[0]
    fitted = fit_target(Image.new("RGB", (333, 777), "green"), (160, 96))
    assert fitted.size == (160, 96)
    assert fitted.getpixel((0, 0)) == (0, 128, 0)
    with pytest.raises(ValueError, match="no buckets"):
        aspect_buckets(8)


def test_transparency_is_laid_on_white() -> None:
    assert flatten(Image.new("RGBA", (2, 2), (255, 0, 0, 0))).getpixel((0, 0)) == (255, 255, 255)
    assert flatten(Image.new("L", (2, 2), 7)).getpixel((0, 0)) == (7, 7, 7)


def test_eight_bit_images_survive_the_tensor() -> None:
    image = Image.effect_noise((48, 32), 90).convert("RGB")
    tensor = image_tensor(image)
    assert tensor.shape == (1, 3, 32, 48)
    assert tensor.abs().max() <= 1
    assert tensor_images(tensor)[0].tobytes() == image.tobytes()
    assert tensor_images(torch.full((1, 3, 16, 16), 9.0))[0].getpixel((0, 0)) == (255, 255, 255)
