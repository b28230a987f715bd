"""Full size without weights: on the meta device, `flux-dev` is FLUX.1-dev, and its USO is the release's."""

from __future__ import annotations

import pytest
import torch
from diffusers import FluxTransformer2DModel

from uso.checkpoint import base_state, comfyui_lora, comfyui_projector, diffusers_config
from uso.cost import count_parameters, forward_flops, square_sequence
from uso.formats.base import base_shapes, bfl_entries, diffusers_entries
from uso.formats.release import lora_entries, projector_entries
from uso.lora import add_lora, lora_pairs
from uso.lora_sites import lora_sites
from uso.network import USOTransformer, empty_network
from uso.presets import PRESETS
from uso.projector import StyleFeatures
from uso.velocity import Conditions, predict_velocity

FLUX = PRESETS["flux-dev"]


@pytest.fixture(scope="module")
def giant() -> USOTransformer:
    network = empty_network(FLUX)
    with torch.device("meta"):
        add_lora(network, 128)
    return network


def test_the_base_has_flux_dev_s_names_and_shapes(giant: USOTransformer) -> None:
    """Against diffusers' class at its published settings, and against counts and sizes of BFL's file."""
    with torch.device("meta"):
        flux = FluxTransformer2DModel.from_config(diffusers_config(FLUX))
    theirs = {name: tuple(each.shape) for name, each in flux.state_dict().items()}
    assert {item.key: item.shape for item in diffusers_entries(FLUX)} == theirs
    assert {name: tuple(each.shape) for name, each in base_state(giant).items()} == base_shapes(FLUX)
    bfl = {item.key: item.shape for item in bfl_entries(FLUX)}
    assert len(bfl) == 780
    assert bfl["double_blocks.18.txt_attn.qkv.weight"] == (9216, 3072)
    assert bfl["single_blocks.37.linear1.weight"] == (21504, 3072)
    assert bfl["single_blocks.37.linear2.weight"] == (3072, 15360)
    assert bfl["final_layer.adaLN_modulation.1.weight"] == (6144, 3072)
    assert bfl["vector_in.in_layer.weight"] == (3072, 768)
    assert sum(parameter.numel() for parameter in flux.parameters()) == 11_901_408_320
    assert count_parameters(FLUX).base == 11_901_408_320


def test_the_lora_has_the_release_s_names_and_shapes(giant: USOTransformer) -> None:
    entries = {item.key: item.shape for item in lora_entries(lora_sites(FLUX), 128)}
    assert len(entries) == 304
    assert entries["double_blocks.0.processor.qkv_lora1.down.weight"] == (128, 3072)
    assert entries["double_blocks.18.processor.qkv_lora2.up.weight"] == (9216, 128)
    assert entries["single_blocks.37.processor.proj_lora.down.weight"] == (128, 15360)
    ours = {f"{site.release_key}.down.weight": tuple(down.shape) for site, down, _ in lora_pairs(giant)}
    ours |= {f"{site.release_key}.up.weight": tuple(up.shape) for site, _, up in lora_pairs(giant)}
    assert ours == entries
    assert all(down.is_meta and up.is_meta for _, down, up in lora_pairs(giant))


def test_the_projector_has_the_release_s_names_and_shapes(giant: USOTransformer) -> None:
    entries = {item.key: item.shape for item in projector_entries(FLUX.style, FLUX.hidden)}
    assert len(entries) == 18
    assert entries["feature_embedder.high_embedding_linear.0.weight"] == (64, 729)
    assert entries["feature_embedder.low_projection.weight"] == (3072, 1152)
    found = {name: tuple(each.shape) for name, each in giant.named_parameters() if name.startswith("feature_")}
    assert found == entries


def test_a_full_size_forward_pass_runs_and_costs_what_the_formula_says(giant: USOTransformer) -> None:
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        levels = StyleFeatures(*(torch.empty(1, 729, 1152) for _ in range(3)))
        conditions = Conditions(
            torch.empty(1, 512, 4096), torch.empty(1, 768), (torch.empty(1, 16, 64, 64),), (levels,)
        )
        latent, time, guidance = torch.empty(1, 16, 64, 64), torch.empty(1), torch.empty(1)
    with torch.no_grad(), FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        velocity = predict_velocity(giant, latent, time, guidance, conditions)
    assert velocity.shape == (1, 1024, 64)
    assert counter.get_total_flops() == forward_flops(FLUX, square_sequence(512, 1, 1), 128)


def test_comfyui_takes_the_full_size() -> None:
    with torch.device("meta"):
        lora = {item.key: torch.empty(item.shape) for item in lora_entries(lora_sites(FLUX), 128)}
        projector = {item.key: torch.empty(item.shape) for item in projector_entries(FLUX.style, FLUX.hidden)}
    assert comfyui_lora(lora_sites(FLUX), 128, lora).keys() == lora.keys()
    assert comfyui_projector(FLUX.style, FLUX.hidden, projector).keys() == projector.keys()
