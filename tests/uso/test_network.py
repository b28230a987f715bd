"""The network: what references do to it, whatever their mix, and what it keeps of diffusers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import FluxTransformer2DModel
from diffusers.hooks.tensor_parallel import resolve_tp_shard_specs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from uso.lora import add_lora, has_lora, lora_pairs, lora_rank, merge_lora, set_trainable
from uso.lora_sites import lora_sites
from uso.network import USOTransformer, empty_network
from uso.packing import pack
from uso.presets import PRESETS, NetworkShape, StyleShape, preset, rope_axes
from uso.velocity import Conditions, predict_velocity

Draw = Callable[..., Conditions]
GRIDS = st.tuples(st.integers(1, 5), st.integers(1, 5))
FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def velocity(
    network: USOTransformer, conditions: Conditions, grid: tuple[int, int] = (3, 4), seed: int = 1
) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    batch, channels = conditions.batch, network.shape.latent_channels
    latent = torch.randn(batch, channels, 2 * grid[0], 2 * grid[1], generator=generator)
    time = torch.linspace(0.2, 0.8, batch)
    with torch.no_grad():
        return predict_velocity(network, latent, time, torch.full((batch,), 4.0), conditions)


@FEW
@given(
    grid=GRIDS,
    contents=st.lists(GRIDS, max_size=3),
    styles=st.integers(0, 3),
    batch=st.integers(1, 3),
    text=st.integers(1, 6),
)
def test_any_mix_of_references_gives_the_velocity_of_the_target(
    plain_network: USOTransformer,
    draw_conditions: Draw,
    grid: tuple[int, int],
    contents: list[tuple[int, int]],
    styles: int,
    batch: int,
    text: int,
) -> None:
    conditions = draw_conditions(plain_network.shape, batch=batch, text=text, contents=tuple(contents), styles=styles)
    out = velocity(plain_network, conditions, grid)
    assert out.shape == (batch, grid[0] * grid[1], 64)
    assert torch.isfinite(out).all()


@FEW
@given(contents=st.lists(GRIDS, max_size=2), styles=st.integers(0, 2), batch=st.integers(2, 3))
def test_samples_of_a_batch_do_not_touch_each_other(
    plain_network: USOTransformer,
    draw_conditions: Draw,
    contents: list[tuple[int, int]],
    styles: int,
    batch: int,
) -> None:
    singles = [
        draw_conditions(plain_network.shape, contents=tuple(contents), styles=styles, seed=seed)
        for seed in range(batch)
    ]
    generator = torch.Generator().manual_seed(2)
    latent = torch.randn(batch, 16, 6, 8, generator=generator)
    time, guidance = torch.rand(batch, generator=generator), torch.full((batch,), 4.0)
    with torch.no_grad():
        together = predict_velocity(plain_network, latent, time, guidance, Conditions.stack(singles))
        for index, single in enumerate(singles):
            one = slice(index, index + 1)
            alone = predict_velocity(plain_network, latent[one], time[one], guidance[one], single)
            torch.testing.assert_close(together[one], alone, atol=2e-5, rtol=0)


def test_two_styles_in_either_order_give_permuted_tokens_and_one_velocity(
    plain_network: USOTransformer, draw_conditions: Draw
) -> None:
    conditions = draw_conditions(plain_network.shape, contents=((2, 2),), styles=2)
    swapped = replace(conditions, styles=conditions.styles[::-1])
    count = plain_network.shape.style.tokens
    tokens, other = plain_network.style_tokens(conditions.styles), plain_network.style_tokens(swapped.styles)
    assert torch.equal(tokens[:, :count], other[:, count:])
    assert torch.equal(tokens[:, count:], other[:, :count])
    assert not torch.equal(tokens, other)
    # All style tokens have the same position id, so attention does not know their order.
    torch.testing.assert_close(velocity(plain_network, conditions), velocity(plain_network, swapped), atol=2e-5, rtol=0)


def test_each_reference_changes_the_velocity(plain_network: USOTransformer, draw_conditions: Draw) -> None:
    full = draw_conditions(plain_network.shape, contents=((2, 2),), styles=1)
    assert not torch.allclose(velocity(plain_network, full), velocity(plain_network, replace(full, styles=())))
    assert not torch.allclose(velocity(plain_network, full), velocity(plain_network, replace(full, contents=())))


def test_no_reference_is_diffusers_own_flux(network: USOTransformer, draw_conditions: Draw) -> None:
    """Without references, and with the LoRA merged, ours is `FluxTransformer2DModel` with unfused projections."""
    from uso.checkpoint import base_state, diffusers_config
    from uso.formats.base import diffusers_entries
    from uso.formats.layout import write_entries

    merge_lora(network)
    flux = FluxTransformer2DModel.from_config(diffusers_config(network.shape))
    flux.load_state_dict(write_entries(diffusers_entries(network.shape), base_state(network)), strict=True)
    conditions = draw_conditions(network.shape, batch=2)
    latent = torch.randn(2, 16, 6, 8)
    ids = torch.cartesian_prod(torch.zeros(1), torch.arange(3.0), torch.arange(4.0))
    time, guidance = torch.tensor([0.3, 0.9]), torch.tensor([4.0, 1.0])
    with torch.no_grad():
        theirs = flux(
            hidden_states=pack(latent),
            encoder_hidden_states=conditions.text,
            pooled_projections=conditions.pooled,
            timestep=time,
            img_ids=ids,
            txt_ids=torch.zeros(5, 3),
            guidance=guidance,
        ).sample
        ours = predict_velocity(network, latent, time, guidance, replace(conditions, contents=(), styles=()))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_no_unfused_projection_stays_behind(network: USOTransformer) -> None:
    names = [name for name, _ in network.named_parameters()]
    assert not [name for name in names if any(part in name for part in ("to_q.", "to_k.", "to_v.", "add_q", "add_k"))]
    assert sum("to_qkv" in name and "lora" not in name for name in names) == 2 * (2 + 2)


def test_diffusers_own_saving_and_loading_is_strict(pipeline: Path, tmp_path: Path) -> None:
    network = USOTransformer.of(PRESETS["tiny"])
    network.save_pretrained(tmp_path)
    again = USOTransformer.from_pretrained(tmp_path)
    assert all(torch.equal(each, again.state_dict()[name]) for name, each in network.state_dict().items())
    assert again.shape == network.shape
    with pytest.raises(ValueError, match="load files of FLUX and USO with"):
        USOTransformer.from_pretrained(pipeline / "transformer")


def test_context_parallelism_splits_the_joined_text(network: USOTransformer) -> None:
    for name in network._cp_plan:
        assert name == "" or network.get_submodule(name) is not None


def test_tensor_parallelism_shards_each_third_of_a_fused_projection() -> None:
    network = empty_network(PRESETS["tiny"])
    specs = resolve_tp_shard_specs(network, network._tp_plan, tp_degree=2)
    fused = {name: spec for name, spec in specs.items() if "qkv.weight" in name}
    assert len(fused) == 2 * 2 + 2
    assert all(spec.dim == 0 and spec.block_sizes == [64, 64, 64] for spec in fused.values())


def test_a_lora_on_part_of_the_network_is_on_that_part_alone() -> None:
    network = USOTransformer.of(PRESETS["tiny"])
    add_lora(network, 2, [site for site in lora_sites(network.shape) if site.block == "single_blocks.1"])
    assert [site.module for site, _, _ in lora_pairs(network)] == [
        "single_transformer_blocks.1.attn.to_qkv",
        "single_transformer_blocks.1.proj_out",
    ]
    assert lora_rank(network) == 2


def test_a_fresh_lora_changes_nothing_and_cannot_be_added_twice(draw_conditions: Draw) -> None:
    torch.manual_seed(0)
    network = USOTransformer.of(PRESETS["tiny"])
    conditions = draw_conditions(network.shape, contents=((2, 2),), styles=1)
    before = velocity(network, conditions)
    add_lora(network, 4)
    assert torch.equal(before, velocity(network, conditions))
    with pytest.raises(ValueError, match="already"):
        add_lora(network, 4)
    with pytest.raises(ValueError, match="at least 1"):
        add_lora(USOTransformer.of(PRESETS["tiny"]), 0)


def test_training_reaches_just_what_was_chosen(network: USOTransformer, draw_conditions: Draw) -> None:
    conditions = draw_conditions(network.shape, contents=((2, 2),), styles=1)
    for lora, projector, base in (
        (True, False, False),
        (False, True, False),
        (True, True, False),
        (False, False, True),
    ):
        set_trainable(network, lora=lora, projector=projector, base=base)
        network.zero_grad(set_to_none=True)
        out = predict_velocity(network, torch.randn(1, 16, 6, 8), torch.tensor([0.5]), torch.ones(1), conditions)
        out.square().mean().backward()
        trained = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
        assert any("lora_" in name for name in trained) is lora
        assert any(name.startswith("feature_embedder.") for name in trained) is projector
        assert any("lora_" not in name and "feature_embedder" not in name for name in trained) is base


def test_a_lora_must_be_there_to_be_merged() -> None:
    network = USOTransformer.of(PRESETS["tiny"])
    assert not has_lora(network)
    with pytest.raises(ValueError, match="no LoRA"):
        merge_lora(network)


@pytest.mark.parametrize("name", ["nano", "tiny"])
def test_presets_run_without_guidance_and_with_other_towers(name: str, draw_conditions: Draw) -> None:
    shape = replace(preset(name), guidance=False, style=StyleShape(9, 2, 24, (-1, -2, -3)))
    network = USOTransformer.of(shape)
    conditions = draw_conditions(shape, contents=((2, 3),), styles=2)
    out = predict_velocity(network, torch.randn(1, 16, 4, 6), torch.tensor([0.5]), None, conditions)
    assert out.shape == (1, 6, 64)
    with pytest.raises(ValueError, match="no guidance"):
        predict_velocity(network, torch.randn(1, 16, 4, 6), torch.tensor([0.5]), torch.ones(1), conditions)


def test_misfits_are_named(plain_network: USOTransformer, draw_conditions: Draw) -> None:
    shape = plain_network.shape
    one, latent = draw_conditions(shape), torch.randn(1, 16, 4, 4)

    def predict(conditions: Conditions, noisy: torch.Tensor = latent) -> torch.Tensor:
        return predict_velocity(plain_network, noisy, torch.ones(1), torch.ones(1), conditions)

    with pytest.raises(ValueError, match="does not pack"):
        predict(one, torch.randn(1, 16, 3, 4))
    with pytest.raises(ValueError, match="another autoencoder"):
        predict(one, torch.randn(1, 4, 4, 4))
    with pytest.raises(ValueError, match="other text encoders"):
        predict(draw_conditions(replace(shape, text_width=32)))
    with pytest.raises(ValueError, match="another vision tower"):
        predict(draw_conditions(replace(shape, style=StyleShape(16, 4, 32)), styles=1))
    with pytest.raises(ValueError, match="2 samples"):
        predict(draw_conditions(shape, batch=2))
    with pytest.raises(ValueError, match="must agree"):
        replace(one, contents=(torch.randn(3, 16, 4, 4),))


def test_shapes_that_make_no_network_are_refused() -> None:
    assert rope_axes(128) == (16, 56, 56)
    with pytest.raises(ValueError, match="does not divide"):
        NetworkShape(heads=7)
    with pytest.raises(ValueError, match="rope axes"):
        NetworkShape(axes=(16, 56, 58))
    with pytest.raises(ValueError, match="no FLUX split"):
        rope_axes(6)
    with pytest.raises(ValueError, match="flux-dev, nano, tiny"):
        preset("huge")
