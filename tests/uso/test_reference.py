"""The network is numerically the original: every output of the reference file, however its weights came in."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from uso.checkpoint import (
    load_network,
    save_bfl,
    save_diffusers,
    save_lora,
    save_projector,
)
from uso.formats.safefile import CheckpointError
from uso.lora import has_lora, merge_lora
from uso.network import USOTransformer
from uso.reference import check_reference
from uso.reference_file import Reference, load_reference

BFLOAT16_TOLERANCE = 0.1
"""Largest difference in bfloat16, where velocities are up to 2.6 and a value is right to about 1 part in 250."""

BFLOAT16_GRADIENT = 0.25
"""Largest difference of a gradient in bfloat16, in parts of its own largest value."""


def test_every_output_is_within_tolerance(reference: Reference) -> None:
    differences = list(check_reference(reference))
    assert len(differences) == 63
    assert [difference for difference in differences if not difference.within] == []


@pytest.mark.parametrize("layout", ["bfl", "diffusers", "sharded"])
def test_outputs_survive_saving_and_loading(
    reference: Reference, network: USOTransformer, tmp_path: Path, layout: str
) -> None:
    if layout == "bfl":
        save_bfl(network, tmp_path / "base.safetensors")
    else:
        save_diffusers(network, tmp_path / "base", shard_bytes=200_000 if layout == "sharded" else 10**9)
    save_lora(network, tmp_path / "dit_lora.safetensors")
    save_projector(network, tmp_path / "projector.safetensors")
    loaded = load_network(
        tmp_path / ("base.safetensors" if layout == "bfl" else "base"),
        lora=tmp_path / "dit_lora.safetensors",
        projector=tmp_path / "projector.safetensors",
    )
    assert all(difference.within for difference in check_reference(reference, loaded))


@pytest.mark.parametrize("reload", [False, True])
def test_outputs_survive_merging_the_lora(
    reference: Reference, network: USOTransformer, tmp_path: Path, reload: bool
) -> None:
    merge_lora(network)
    assert not has_lora(network)
    if reload:
        save_bfl(network, tmp_path / "merged.safetensors")
        save_projector(network, tmp_path / "projector.safetensors")
        network = load_network(tmp_path / "merged.safetensors", projector=tmp_path / "projector.safetensors")
    differences = [d for d in check_reference(reference, network) if "_lora" not in d.output]
    assert len(differences) == 63 - 24
    assert all(difference.largest <= 1e-4 for difference in differences)


def test_outputs_survive_gradient_checkpointing(reference: Reference, network: USOTransformer) -> None:
    network.enable_gradient_checkpointing()
    network.train()
    assert all(difference.within for difference in check_reference(reference, network))


def test_outputs_survive_compilation(reference: Reference, network: USOTransformer) -> None:
    """One velocity, the loss and its gradients through torch.compile; the slow test does all, through inductor."""
    kept = ("flow/", "lora/", "projector/", "in/", "out/content_style/", "out/train/")
    few = replace(reference, tensors={key: each for key, each in reference.tensors.items() if key.startswith(kept)})
    network.compile_repeated_blocks(backend="aot_eager")
    differences = list(check_reference(few, network))
    assert len(differences) == 1 + 1 + 24 + 18
    assert all(difference.within for difference in differences)


@pytest.mark.slow
def test_outputs_survive_compilation_by_inductor(reference: Reference, network: USOTransformer) -> None:
    network.compile_repeated_blocks()
    assert all(difference.largest <= 1e-4 for difference in check_reference(reference, network))


def test_bfloat16_stays_near(reference: Reference, network: USOTransformer) -> None:
    """Every output: velocities, ids, the sample, the loss, and each gradient in parts of its own size."""
    network.to(torch.bfloat16)
    differences = {each.output: each.largest for each in check_reference(reference, network)}
    assert len(differences) == 63
    for name, largest in differences.items():
        size = reference.tensors[name].abs().max().item()
        assert largest < (BFLOAT16_GRADIENT * size if "/grad/" in name else BFLOAT16_TOLERANCE), name


def test_a_wrong_weight_is_seen(reference: Reference, network: USOTransformer) -> None:
    with torch.no_grad():
        network.transformer_blocks[0].attn.to_add_out.base_layer.weight[0, 0] += 1e-2
    beyond = {difference.output for difference in check_reference(reference, network) if not difference.within}
    assert "out/t2i/velocity" in beyond
    assert "out/ids/target" not in beyond


def test_a_network_that_yields_nan_is_beyond(reference: Reference, network: USOTransformer) -> None:
    with torch.no_grad():
        network.proj_out.weight[0, 0] = float("nan")
    assert not next(d for d in check_reference(reference, network) if d.output == "out/t2i/velocity").within


@pytest.mark.parametrize(
    ("dropped", "added", "stated", "message"),
    [
        ("flow/img_in.weight", "", {}, "img_in.weight"),
        ("in/noise", "", {}, "in/noise is missing"),
        ("in/content1", "", {}, "in/content1"),
        ("in/style1/hidden-11", "", {}, "in/style1/hidden-11 is missing"),
        ("", "out/what/velocity", {}, "out/what/velocity"),
        ("", "", {"H": 128, "heads": 4}, "another shape"),
        ("", "", {"heads": 7}, "does not divide"),
        ("", "", {"rank": 5}, "another shape"),
        ("", "", {"depth": 10**9}, "blocks"),
        ("", "", {"axes": [4, 14]}, "states no network"),
        ("", "", {"sdim": None}, "states no network"),
        ("", "", {"H": float("inf")}, "states no network"),
        ("out/", "", {}, "holds no `out/"),
    ],
)
def test_malformed_files_say_what_is_wrong(
    reference_path: Path, tmp_path: Path, dropped: str, added: str, stated: dict[str, object], message: str
) -> None:
    tensors = load_file(reference_path)
    if dropped:
        tensors = {key: tensor for key, tensor in tensors.items() if not key.startswith(dropped)}
    if added:
        tensors[added] = torch.zeros(1)
    with safe_open(reference_path, "pt") as file:
        metadata = dict(file.metadata())
    config = json.loads(metadata["config"]) | stated
    save_file(tensors, tmp_path / "r.safetensors", metadata | {"config": json.dumps(config)})
    with pytest.raises(CheckpointError, match=message):
        load_reference(tmp_path / "r.safetensors")


@pytest.mark.parametrize("key", ["in/txt", "in/latent", "flow/img_in.weight", "lora/double_blocks.0", "out/t2i"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float64, torch.int64])
def test_another_dtype_is_said_to_be_wrong(reference_path: Path, tmp_path: Path, key: str, dtype: torch.dtype) -> None:
    tensors = load_file(reference_path)
    with safe_open(reference_path, "pt") as file:
        metadata = dict(file.metadata())
    changed = {name: each.to(dtype) if name.startswith(key) else each for name, each in tensors.items()}
    save_file(changed, tmp_path / "r.safetensors", metadata)
    with pytest.raises(CheckpointError, match=f"are float32.*{key}"):
        load_reference(tmp_path / "r.safetensors")


def test_a_file_of_another_size_is_checked_too(reference_path: Path, tmp_path: Path) -> None:
    """A reference with one double block less states that, and its outputs then differ, but are computed."""
    tensors = {key: tensor for key, tensor in load_file(reference_path).items() if "double_blocks.1." not in key}
    with safe_open(reference_path, "pt") as file:
        metadata = dict(file.metadata())
    config = json.loads(metadata["config"]) | {"depth": 1}
    save_file(tensors, tmp_path / "r.safetensors", metadata | {"config": json.dumps(config)})
    differences = {d.output: d for d in check_reference(load_reference(tmp_path / "r.safetensors"))}
    assert differences["out/ids/target"].within
    assert not differences["out/t2i/velocity"].within
    assert torch.isfinite(torch.tensor([d.largest for d in differences.values()])).all()
