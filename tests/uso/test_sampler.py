"""Sampling: seeds, batches, every task by one call, and what is saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from uso.contact_sheet import SheetRow, contact_sheet
from uso.network import USOTransformer
from uso.sampler import Drawing, SampleSettings, draw_each, draw_latents, euler_sample, plan_batches, seeded_noise
from uso.saved_png import read_settings, save_png
from uso.schedule import flow_times
from uso.velocity import Conditions

Draw = Callable[..., Conditions]


def drawings_of_every_task(draw_conditions: Draw, network: USOTransformer) -> list[Drawing]:
    shape = network.shape
    mixes = [((), 0), (((2, 2),), 0), ((), 1), ((), 2), (((2, 2),), 1), (((1, 3),), 1)]
    return [
        Drawing(draw_conditions(shape, contents=contents, styles=styles, seed=number), size, seed)
        for number, (contents, styles) in enumerate(mixes)
        for size in ((64, 32), (48, 48))
        for seed in (3, 4)
    ]


def test_every_task_is_the_same_call_and_batches_change_nothing(
    plain_network: USOTransformer, draw_conditions: Draw
) -> None:
    drawings = drawings_of_every_task(draw_conditions, plain_network)
    moved: list[int] = []
    one_by_one = [latent for _, latent in draw_each(plain_network, drawings, SampleSettings(steps=2), moved.append)]
    assert sum(moved) == 2 * len(drawings)
    batched = draw_latents(plain_network, drawings, SampleSettings(steps=2, batch_size=4))
    order = [index for batch in plan_batches(drawings, 1) for index in batch]
    alone_by_index = dict(zip(order, one_by_one, strict=True))
    for index, (drawing, together) in enumerate(zip(drawings, batched, strict=True)):
        alone = alone_by_index[index]
        assert alone.shape == (1, 16, drawing.size[1] // 8, drawing.size[0] // 8)
        torch.testing.assert_close(alone, together, atol=2e-5, rtol=0)


@given(
    kinds=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1), st.sampled_from([(16, 16), (32, 16)])), max_size=12),
    batch_size=st.integers(1, 4),
)
def test_batches_are_alike_whole_and_no_larger_than_asked(
    draw_conditions: Draw, kinds: list[tuple[int, int, tuple[int, int]]], batch_size: int
) -> None:
    from uso.presets import PRESETS

    drawings = [
        Drawing(draw_conditions(PRESETS["tiny"], text=1, contents=((1, 1),) * contents, styles=styles), size, 0)
        for contents, styles, size in kinds
    ]
    batches = plan_batches(drawings, batch_size)
    assert sorted(index for batch in batches for index in batch) == list(range(len(kinds)))
    for batch in batches:
        assert len(batch) <= batch_size
        assert len({kinds[index] for index in batch}) == 1


def test_noise_follows_the_seed_alone() -> None:
    together = seeded_noise([5, 6, 5], 4, 2, 3)
    assert together.shape == (3, 4, 4, 6)
    assert torch.equal(together[0], together[2])
    assert not torch.equal(together[0], together[1])
    assert torch.equal(together[1:2], seeded_noise([6], 4, 2, 3))


def test_classifier_free_guidance_leads_away_from_what_a_drawing_is_against(
    plain_network: USOTransformer, draw_conditions: Draw
) -> None:
    asked, against = (draw_conditions(plain_network.shape, seed=seed) for seed in (1, 2))
    noise, times = seeded_noise([0], 16, 2, 2), flow_times(1, 2, 2)
    towards, away = (euler_sample(plain_network, noise, times, each) for each in (asked, against))
    led = [Drawing(asked, (32, 32), 0, against=against)]
    for scale in (1.0, 3.0):
        drawn = draw_latents(plain_network, led, SampleSettings(steps=1, cfg_scale=scale))[0]
        torch.testing.assert_close(drawn, away + scale * (towards - away), atol=1e-5, rtol=1e-5)


def test_schedule_and_guidance_reach_the_image(plain_network: USOTransformer, draw_conditions: Draw) -> None:
    drawing = [Drawing(draw_conditions(plain_network.shape, contents=((2, 2),)), (64, 64), 0)]
    images = {
        name: draw_latents(plain_network, drawing, settings)[0]
        for name, settings in {
            "upstream": SampleSettings(steps=3),
            "true": SampleSettings(steps=3, schedule_shift="true"),
            "none": SampleSettings(steps=3, schedule_shift="none"),
            "guided": SampleSettings(steps=3, guidance=1.0),
            "origin": SampleSettings(steps=3, id_shift="o"),
        }.items()
    }
    assert len({image.sum().item() for image in images.values()}) == len(images)
    with pytest.raises(ValueError, match="at least 1"):
        SampleSettings(steps=0)


def test_bfloat16_sampling_keeps_its_latent_in_float32(network: USOTransformer, draw_conditions: Draw) -> None:
    conditions = draw_conditions(network.shape, contents=((2, 2),), styles=1)
    noise, times = seeded_noise([1], 16, 3, 3), flow_times(4, 3, 3)
    exact = euler_sample(network, noise, times, conditions)
    network.to(torch.bfloat16)
    near = euler_sample(network, noise, times, conditions.to("cpu", torch.bfloat16))
    assert near.dtype is torch.float32
    assert (near - exact).abs().max() < 0.15


def test_a_png_carries_its_settings(tmp_path: Path) -> None:
    settings = {"prompt": "eine Füchsin 🦊", "seed": 7, "styles": ["a.png"], "guidance": 4.0}
    save_png(Image.new("RGB", (8, 8), "red"), tmp_path / "deep" / "image.png", settings)
    assert read_settings(tmp_path / "deep" / "image.png") == settings
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["image.png"]
    Image.new("RGB", (8, 8)).save(tmp_path / "bare.png")
    with pytest.raises(ValueError, match="carries no settings"):
        read_settings(tmp_path / "bare.png")


def test_a_contact_sheet_shows_every_picture_in_its_place() -> None:
    def picture(colour: str, size: tuple[int, int] = (40, 20)) -> Image.Image:
        return Image.new("RGB", size, colour)

    rows = [
        SheetRow("a cat", [("content", picture("red"))], [("seed 1", picture("blue")), ("seed 2", picture("lime"))]),
        SheetRow("x" * 500, [], [("seed 1", picture("yellow", (10, 60)))]),
    ]
    sheet = contact_sheet(rows, cell=64)
    seen = {colour for _, colour in sheet.getcolors(100_000) or []}
    assert {(255, 0, 0), (0, 0, 255), (0, 255, 0), (255, 255, 0)} <= seen
    with pytest.raises(ValueError, match="at least one row"):
        contact_sheet([])
