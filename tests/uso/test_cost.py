"""Costs by formula, held against real counts: operations exactly, kept memory byte for byte."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from uso.cost import (
    TokenCounts,
    cost_table,
    count_parameters,
    forward_flops,
    saved_bytes,
    square_sequence,
    training_flops,
)
from uso.lora import add_lora, set_trainable
from uso.network import USOTransformer
from uso.presets import PRESETS, NetworkShape
from uso.velocity import Conditions, predict_velocity

Draw = Callable[..., Conditions]
BLOCKS = [(1, 1), (2, 3), (3, 1)]


def network_of(shape: NetworkShape, rank: int, checkpointing: bool = False) -> USOTransformer:
    network = USOTransformer.of(shape)
    if rank:
        add_lora(network, rank)
        set_trainable(network, lora=True)
    network.train()
    if checkpointing:
        network.enable_gradient_checkpointing()
    return network


def forward(network: USOTransformer, conditions: Conditions) -> torch.Tensor:
    dtype = next(network.parameters()).dtype
    latent = torch.randn(1, 16, 8, 12, dtype=dtype)
    guidance = torch.ones(1) if network.shape.guidance else None
    return predict_velocity(network, latent, torch.tensor([0.5]), guidance, conditions.to("cpu", dtype))


def sequence(contents: int, styles: int) -> TokenCounts:
    return TokenCounts(text=5, target=24, content=6 * contents, styles=styles)


@pytest.mark.parametrize("blocks", BLOCKS)
@pytest.mark.parametrize(
    ("contents", "styles", "rank", "guidance"), [(0, 0, 0, True), (2, 1, 3, False), (1, 2, 4, True)]
)
def test_forward_operations_are_counted_exactly(
    draw_conditions: Draw, blocks: tuple[int, int], contents: int, styles: int, rank: int, guidance: bool
) -> None:
    shape = replace(PRESETS["tiny"], double=blocks[0], single=blocks[1], guidance=guidance)
    conditions = draw_conditions(shape, contents=((2, 3),) * contents, styles=styles)
    with torch.no_grad(), FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        forward(network_of(shape, rank), conditions)
    assert counter.get_total_flops() == forward_flops(shape, sequence(contents, styles), rank)


@pytest.mark.parametrize("blocks", BLOCKS)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_training_operations_are_counted_exactly(
    draw_conditions: Draw, blocks: tuple[int, int], checkpointing: bool
) -> None:
    shape = replace(PRESETS["tiny"], double=blocks[0], single=blocks[1])
    network = network_of(shape, 4, checkpointing)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        forward(network, draw_conditions(shape, contents=((2, 3),), styles=1)).sum().backward()
    assert counter.get_total_flops() == training_flops(shape, sequence(1, 1), 4, checkpointing)


def kept_bytes(network: USOTransformer, conditions: Conditions) -> int:
    """Return the bytes of all storages that autograd saves in a forward pass, parameters apart."""
    parameters = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    storages: dict[int, torch.UntypedStorage] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            storages[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        out = forward(network, conditions)
    assert out.requires_grad
    return sum(storage.nbytes() for storage in storages.values())


@pytest.mark.parametrize("blocks", BLOCKS)
@pytest.mark.parametrize(("dtype", "element"), [(torch.float32, 4), (torch.bfloat16, 2)])
def test_kept_memory_is_right_to_the_byte(
    draw_conditions: Draw, blocks: tuple[int, int], dtype: torch.dtype, element: int
) -> None:
    shape = replace(PRESETS["tiny"], double=blocks[0], single=blocks[1])
    conditions = draw_conditions(shape, contents=((2, 3),), styles=1)
    counted = kept_bytes(network_of(shape, 4).to(dtype), conditions)
    assert counted == saved_bytes(shape, sequence(1, 1), 4, element)


@pytest.mark.parametrize("blocks", BLOCKS)
def test_checkpointing_keeps_the_inputs_of_blocks(draw_conditions: Draw, blocks: tuple[int, int]) -> None:
    """Each further block adds its input alone; the rest is one block's interior, and the rope tables in a closure."""
    shape = replace(PRESETS["tiny"], double=blocks[0], single=blocks[1])
    more = replace(shape, double=shape.double + 1, single=shape.single + 2)
    conditions = draw_conditions(shape, contents=((2, 3),), styles=1)
    counted = [kept_bytes(network_of(each, 4, checkpointing=True), conditions) for each in (shape, more)]
    stated = [saved_bytes(each, sequence(1, 1), 4, 4, checkpointing=True) for each in (shape, more)]
    assert counted[1] - counted[0] == stated[1] - stated[0]
    assert counted[0] < stated[0] < saved_bytes(replace(shape, double=9, single=9), sequence(1, 1), 4, 4)


@pytest.mark.parametrize("name", ["tiny", "nano"])
def test_parameters_are_those_of_the_network(name: str) -> None:
    shape = PRESETS[name]
    network = network_of(shape, 6)
    counted = count_parameters(shape, 6)
    sizes = {key: parameter.numel() for key, parameter in network.named_parameters()}
    assert counted.lora == sum(size for key, size in sizes.items() if "lora_" in key)
    assert counted.projector == sum(size for key, size in sizes.items() if key.startswith("feature_embedder."))
    assert counted.base == sum(sizes.values()) - counted.lora - counted.projector


def test_the_table_grows_with_size_and_references() -> None:
    rows = cost_table(PRESETS["flux-dev"])
    assert [row.side for row in rows] == [512] * 4 + [768] * 4 + [1024] * 4
    assert [row.tokens for row in rows[-4:]] == [4608, 5632, 4800, 5824]
    for plain, _, _, both in (rows[:4], rows[4:8], rows[8:]):
        assert plain.forward_flops < both.forward_flops < both.training_flops < both.checkpointed_flops
        assert both.checkpointed_bytes < both.saved_bytes
    assert square_sequence(1024, contents=1, styles=1) == TokenCounts(512, 4096, 1024, 1)


def test_training_without_both_kinds_of_blocks_is_not_guessed() -> None:
    with pytest.raises(ValueError, match="both double and single"):
        training_flops(replace(PRESETS["tiny"], single=0), sequence(0, 0), 4)
    with pytest.raises(ValueError, match="both double and single"):
        saved_bytes(replace(PRESETS["tiny"], double=0), sequence(0, 0), 4)
