"""Weight files: exact to the bit on a round trip, read by the world's tools, and refused with a reason."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from diffusers import FluxTransformer2DModel
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from uso.checkpoint import (
    base_state,
    load_lora,
    load_network,
    load_projector,
    save_bfl,
    save_comfyui,
    save_diffusers,
    save_lora,
    save_projector,
)
from uso.convert import Target, convert
from uso.formats.base import bfl_entries, diffusers_entries
from uso.formats.layout import network_shapes, read_entries, write_entries
from uso.formats.safefile import CheckpointError, open_weights
from uso.inspection import inspect_file
from uso.lora import add_lora, lora_pairs
from uso.lora_sites import lora_sites
from uso.network import USOTransformer
from uso.presets import PRESETS, NetworkShape, rope_axes
from uso.reference_file import Reference


def part(path: Path, prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): each for key, each in load_file(path).items() if key.startswith(prefix)}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        one[key].dtype == other[key].dtype and torch.equal(one[key], other[key]) for key in one
    )


@pytest.fixture(scope="session")
def files(reference_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the reference's weights as the original implementation wrote them."""
    folder = tmp_path_factory.mktemp("files")
    save_file(part(reference_path, "flow/"), folder / "base.safetensors")
    save_file(part(reference_path, "lora/"), folder / "dit_lora.safetensors")
    save_file(part(reference_path, "projector/"), folder / "projector.safetensors")
    return folder


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_loaded_is_written_again_bit_for_bit(files: Path, tmp_path: Path, dtype: torch.dtype) -> None:
    for name in ("base", "dit_lora", "projector"):
        tensors = {key: each.to(dtype) for key, each in load_file(files / f"{name}.safetensors").items()}
        save_file(tensors, tmp_path / f"{name}.safetensors")
    network = load_network(
        tmp_path / "base.safetensors",
        lora=tmp_path / "dit_lora.safetensors",
        projector=tmp_path / "projector.safetensors",
    )
    save_bfl(network, tmp_path / "again" / "base.safetensors")
    save_lora(network, tmp_path / "again" / "dit_lora.safetensors")
    save_projector(network, tmp_path / "again" / "projector.safetensors")
    for name in ("base", "dit_lora", "projector"):
        assert same(load_file(tmp_path / f"{name}.safetensors"), load_file(tmp_path / "again" / f"{name}.safetensors"))


def test_a_float32_lora_on_a_bfloat16_base_keeps_its_bits(files: Path, tmp_path: Path) -> None:
    convert(files / "base.safetensors", Target.BFL, tmp_path / "half.safetensors", dtype=torch.bfloat16)
    network = load_network(tmp_path / "half.safetensors", lora=files / "dit_lora.safetensors")
    save_lora(network, tmp_path / "lora.safetensors")
    assert same(load_file(files / "dit_lora.safetensors"), load_file(tmp_path / "lora.safetensors"))


def test_diffusers_loads_what_we_write_and_we_load_what_diffusers_writes(files: Path, tmp_path: Path) -> None:
    network = load_network(files / "base.safetensors")
    save_diffusers(network, tmp_path / "ours", shard_bytes=300_000)
    assert len(list((tmp_path / "ours").glob("*.safetensors"))) > 1
    flux, info = FluxTransformer2DModel.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    flux.save_pretrained(tmp_path / "pipeline" / "transformer", max_shard_size="500KB")
    again = load_network(tmp_path / "pipeline")
    assert same(base_state(network), base_state(again))
    save_bfl(again, tmp_path / "base.safetensors")
    assert same(load_file(files / "base.safetensors"), load_file(tmp_path / "base.safetensors"))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    heads=st.integers(1, 3),
    head=st.sampled_from([32, 64]),
    double=st.integers(0, 2),
    single=st.integers(0, 2),
    widths=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    guidance=st.booleans(),
)
def test_every_layout_holds_every_row_once(
    heads: int, head: int, double: int, single: int, widths: tuple[int, int], guidance: bool
) -> None:
    shape = NetworkShape(
        hidden=heads * head,
        heads=heads,
        axes=rope_axes(head),
        double=double,
        single=single,
        text_width=widths[0],
        pooled_width=widths[1],
        guidance=guidance,
    )
    sizes = network_shapes(bfl_entries(shape))
    state = {name: torch.randn(size) for name, size in sizes.items()}
    network = USOTransformer.of(shape)
    assert sizes == {name: tuple(each.shape) for name, each in base_state(network).items()}
    for entries in (bfl_entries(shape), diffusers_entries(shape)):
        written = write_entries(entries, state)
        assert {key: tuple(each.shape) for key, each in written.items()} == {item.key: item.shape for item in entries}
        assert sum(each.numel() for each in written.values()) == sum(each.numel() for each in state.values())
        assert same(read_entries(entries, written), state)


def test_conversion_needs_no_network_and_loses_nothing(files: Path, tmp_path: Path) -> None:
    assert "diffusers" in convert(files / "base.safetensors", Target.DIFFUSERS, tmp_path / "folder")
    convert(tmp_path / "folder", Target.BFL, tmp_path / "base.safetensors")
    assert same(load_file(files / "base.safetensors"), load_file(tmp_path / "base.safetensors"))
    convert(files / "dit_lora.safetensors", Target.RELEASE, tmp_path / "lora.safetensors")
    assert same(load_file(files / "dit_lora.safetensors"), load_file(tmp_path / "lora.safetensors"))


def test_conversion_merges_a_lora_as_the_network_does(files: Path, tmp_path: Path, network: USOTransformer) -> None:
    from uso.lora import merge_lora

    convert(
        files / "base.safetensors", Target.BFL, tmp_path / "merged.safetensors", merge=files / "dit_lora.safetensors"
    )
    merge_lora(network)
    merged = base_state(load_network(tmp_path / "merged.safetensors"))
    for name, tensor in base_state(network).items():
        torch.testing.assert_close(merged[name], tensor, atol=1e-6, rtol=0)
    assert not torch.equal(
        merged["transformer_blocks.0.attn.to_qkv.weight"],
        base_state(load_network(files / "base.safetensors"))["transformer_blocks.0.attn.to_qkv.weight"],
    )


def test_conversions_that_make_no_sense_are_refused(files: Path, reference_path: Path, tmp_path: Path) -> None:
    cases = [
        (files / "base.safetensors", Target.COMFYUI, "becomes bfl or diffusers"),
        (files / "dit_lora.safetensors", Target.BFL, "becomes release or comfyui"),
        (files / "dit_lora.safetensors", Target.COMFYUI, "for FLUX.1-dev alone"),
        (files / "projector.safetensors", Target.COMFYUI, "released size alone"),
        (reference_path, Target.RELEASE, "becomes nothing else"),
    ]
    for source, target, message in cases:
        with pytest.raises(CheckpointError, match=message):
            convert(source, target, tmp_path / "out")
        assert not (tmp_path / "out").exists()
    with pytest.raises(CheckpointError, match="where a USO LoRA"):
        convert(files / "base.safetensors", Target.BFL, tmp_path / "out", merge=files / "projector.safetensors")


def flux_sized_lora(blocks: tuple[str, ...]) -> dict[str, Tensor]:
    sites = [site for site in lora_sites(PRESETS["flux-dev"]) if site.block in blocks]
    tensors = {f"{site.release_key}.down.weight": torch.randn(2, site.inputs) for site in sites}
    return tensors | {f"{site.release_key}.up.weight": torch.randn(site.outputs, 2) for site in sites}


def test_comfyui_gets_zeros_for_blocks_that_were_not_trained(tmp_path: Path) -> None:
    trained = flux_sized_lora(("double_blocks.0", "single_blocks.3"))
    save_file(trained, tmp_path / "part.safetensors")
    convert(tmp_path / "part.safetensors", Target.COMFYUI, tmp_path / "comfy.safetensors")
    whole = load_file(tmp_path / "comfy.safetensors")
    assert len(whole) == 304
    # The two keys by which ComfyUI 0.3.57 knows a USO LoRA.
    assert "single_blocks.37.processor.qkv_lora.up.weight" in whole
    assert "double_blocks.18.processor.qkv_lora2.up.weight" in whole
    assert all(torch.equal(whole[key], trained[key]) if key in trained else not whole[key].any() for key in whole)
    assert "ComfyUI" in inspect_file(tmp_path / "comfy.safetensors").loads_with
    assert "ComfyUI" not in inspect_file(tmp_path / "part.safetensors").loads_with


def test_a_small_network_is_no_comfyui_file(network: USOTransformer, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"FLUX\.1-dev alone"):
        save_comfyui(network, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_lora_of_some_blocks_loads_only_when_asked(files: Path, tmp_path: Path) -> None:
    tensors = {
        key: each
        for key, each in load_file(files / "dit_lora.safetensors").items()
        if key.startswith("single_blocks.1.")
    }
    save_file(tensors, tmp_path / "part.safetensors")
    network = load_network(files / "base.safetensors")
    with pytest.raises(CheckpointError, match=r"20 missing.*trained on some blocks only"):
        load_lora(network, tmp_path / "part.safetensors")
    load_lora(network, tmp_path / "part.safetensors", partial=True)
    assert {site.block for site, _, _ in lora_pairs(network)} == {"single_blocks.1"}
    save_lora(network, tmp_path / "again.safetensors")
    assert same(tensors, load_file(tmp_path / "again.safetensors"))


def test_a_second_lora_must_match_the_first(files: Path) -> None:
    network = load_network(files / "base.safetensors")
    add_lora(network, 7)
    with pytest.raises(CheckpointError, match="already carries a LoRA of rank 7"):
        load_lora(network, files / "dit_lora.safetensors")


def broken_base(files: Path, tmp_path: Path, change: str) -> Path:
    tensors = load_file(files / "base.safetensors")
    first = "double_blocks.0.img_attn.qkv.weight"
    if change == "missing":
        del tensors[first]
    elif change == "unexpected":
        tensors["double_blocks.0.extra.weight"] = torch.zeros(1)
    elif change == "shape":
        tensors[first] = torch.zeros(3, 64)
    elif change == "dtype":
        tensors[first] = tensors[first].to(torch.int8)
    elif change == "fp8":
        tensors = {key: each.to(torch.float8_e4m3fn) for key, each in tensors.items()}
    elif change == "schnell":
        tensors = {key: each for key, each in tensors.items() if "guidance_in.out" not in key}
    elif change == "prefix":
        tensors = {f"model.diffusion_model.{key}": each for key, each in tensors.items()}
    elif change == "wrapper":
        tensors = {f"module.{key}": each for key, each in tensors.items()}
    elif change == "empty":
        tensors["img_in.weight"] = torch.zeros(0, 64)
    elif change == "gap":
        tensors = {key.replace("double_blocks.1.", "double_blocks.999999."): each for key, each in tensors.items()}
    elif change == "kohya":
        tensors = {"lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight": torch.zeros(4, 64)}
    save_file(tensors, tmp_path / "broken.safetensors")
    return tmp_path / "broken.safetensors"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("missing", r"1 missing \(double_blocks\.0\.img_attn\.qkv\.weight\); likely cause: a shard"),
        ("unexpected", r"1 unexpected \(double_blocks\.0\.extra\.weight\); likely cause"),
        ("shape", r"qkv\.weight \[3, 64\] instead of \[192, 64\]\); likely cause: a damaged or edited file"),
        ("dtype", "of a dtype that is no float .*qkv.weight I8.*quantised"),
        ("fp8", "quantised weights; take the bf16 original"),
        ("schnell", "FLUX.1-schnell"),
        ("prefix", "a ComfyUI checkpoint"),
        ("wrapper", "a distributed wrapper"),
        ("empty", "states no size"),
        ("gap", "missing.*unexpected"),
        ("kohya", "a kohya FLUX LoRA"),
    ],
)
def test_a_base_that_does_not_fit_says_why(files: Path, tmp_path: Path, change: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        load_network(broken_base(files, tmp_path, change))


def test_a_file_of_the_wrong_kind_is_named(files: Path) -> None:
    network = load_network(files / "base.safetensors")
    with pytest.raises(CheckpointError, match=r"is a USO LoRA .* where base weights are needed"):
        load_network(files / "dit_lora.safetensors")
    with pytest.raises(CheckpointError, match=r"is a USO projector .* where a USO LoRA"):
        load_lora(network, files / "projector.safetensors")
    with pytest.raises(CheckpointError, match=r"is a BFL base .* where a USO projector"):
        load_projector(network, files / "base.safetensors")


@pytest.mark.parametrize("kind", ["lora of another size", "lora with a ragged rank", "projector of another size"])
def test_a_refused_file_leaves_the_network_as_it_was(files: Path, tmp_path: Path, kind: str) -> None:
    network = load_network(files / "base.safetensors", projector=files / "projector.safetensors")
    before = {name: each.clone() for name, each in network.state_dict().items()}
    if kind == "lora with a ragged rank":
        tensors = load_file(files / "dit_lora.safetensors")
        key = "single_blocks.1.processor.proj_lora.up.weight"
        save_file(tensors | {key: torch.zeros(64, 5)}, tmp_path / "bad.safetensors")
    elif kind == "lora of another size":
        sites = lora_sites(PRESETS["nano"])
        tensors = {f"{site.release_key}.down.weight": torch.zeros(4, site.inputs) for site in sites}
        tensors |= {f"{site.release_key}.up.weight": torch.zeros(site.outputs, 4) for site in sites}
        save_file(tensors, tmp_path / "bad.safetensors")
    else:
        save_projector(USOTransformer.of(PRESETS["nano"]), tmp_path / "bad.safetensors")
    load = load_projector if kind.startswith("projector") else load_lora
    with pytest.raises(CheckpointError, match=r"of another shape|unexpected"):
        load(network, tmp_path / "bad.safetensors")
    assert same(before, dict(network.state_dict()))


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("suffix", ["safetensors", "pt", "bin"])
@pytest.mark.parametrize("zipped", [True, False])
def test_pickles_are_refused_unread(tmp_path: Path, suffix: str, zipped: bool) -> None:
    path = tmp_path / f"weights.{suffix}"
    if zipped:
        torch.save({"img_in.weight": Bomb(tmp_path / "boom")}, path)
    else:
        path.write_bytes(pickle.dumps(Bomb(tmp_path / "boom")))
    with pytest.raises(CheckpointError, match="pickle"):
        load_network(path)
    assert not (tmp_path / "boom").exists()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 0.999))
def test_a_truncated_file_is_refused(files: Path, tmp_path: Path, share: float) -> None:
    whole = (files / "dit_lora.safetensors").read_bytes()
    path = tmp_path / "cut.safetensors"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(CheckpointError, match="copied or downloaded in part"):
        open_weights(path)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=200))
def test_bytes_that_are_no_weights_are_refused(tmp_path: Path, noise: bytes) -> None:
    path = tmp_path / "noise.safetensors"
    path.write_bytes(noise)
    with pytest.raises(CheckpointError):
        load_network(path)


@pytest.mark.parametrize(
    "header",
    [
        {"img_in.weight": {"dtype": "F32", "shape": [2**40, 2**20], "data_offsets": [0, 4]}},
        {"img_in.weight": {"dtype": "F32", "shape": [2**63, 2**63], "data_offsets": [0, 0]}},
        {"img_in.weight": {"dtype": "F32", "shape": [-1, 4], "data_offsets": [0, 16]}},
        {"img_in.weight": {"dtype": "F32", "shape": [0, 0], "data_offsets": [0, 0]}},
        {"img_in.weight": {"dtype": "PICKLE", "shape": [1], "data_offsets": [0, 4]}},
        {"img_in.weight": {"dtype": "F32", "shape": [1], "data_offsets": [8, 4]}},
    ],
)
def test_absurd_headers_are_refused(tmp_path: Path, header: dict[str, object]) -> None:
    text = json.dumps(header).encode()
    (tmp_path / "absurd.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + b"\0" * 16)
    with pytest.raises(CheckpointError):
        load_network(tmp_path / "absurd.safetensors")


@pytest.mark.parametrize("shard", ["../outside.safetensors", "/etc/passwd", "lost.safetensors"])
def test_an_index_reaches_no_file_outside_its_folder(files: Path, tmp_path: Path, shard: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "outside.safetensors").write_bytes((files / "base.safetensors").read_bytes())
    (folder / "config.json").write_text("{}")
    index = folder / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"x_embedder.weight": shard}}))
    with pytest.raises(CheckpointError, match="not in the folder"):
        load_network(folder)


def test_a_header_whose_size_looks_like_a_pickle_is_none(tmp_path: Path) -> None:
    """The first byte of a safetensors file is part of a number, and may be the one that pickles start with."""
    path = tmp_path / "weights.safetensors"
    for length in range(300):
        save_file({"feature_embedder.x": torch.zeros(1)}, path, metadata={"note": "x" * length})
        if path.read_bytes()[0] == 0x80:
            break
    assert path.read_bytes()[0] == 0x80
    assert list(open_weights(path).tensors) == ["feature_embedder.x"]


def test_folders_that_lack_something_say_what(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file or folder"):
        load_network(tmp_path / "nothing")
    with pytest.raises(CheckpointError, match=r"config\.json: no such file"):
        load_network(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="not a JSON file"):
        load_network(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"\.bin weights are not loaded"):
        load_network(tmp_path)
    (tmp_path / "diffusion_pytorch_model.safetensors").write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(CheckpointError, match="Git LFS pointer"):
        load_network(tmp_path)


@pytest.mark.parametrize(("before", "after"), [(10**9, 200_000), (200_000, 10**9), (100_000, 200_000)])
def test_an_overwritten_folder_holds_the_new_weights_alone(
    files: Path, tmp_path: Path, before: int, after: int
) -> None:
    """Weights of an earlier writing in the other layout, which readers prefer, do not stay behind."""
    old = load_file(files / "base.safetensors")
    save_file({key: tensor + 1 for key, tensor in old.items()}, tmp_path / "new.safetensors")
    folder = tmp_path / "folder"
    convert(files / "base.safetensors", Target.DIFFUSERS, folder, shard_bytes=before)
    (folder / "README.md").write_text("a user's own")
    convert(tmp_path / "new.safetensors", Target.DIFFUSERS, folder, shard_bytes=after)
    convert(folder, Target.BFL, tmp_path / "back.safetensors")
    back = load_file(tmp_path / "back.safetensors")
    assert all(torch.equal(back[key], tensor + 1) for key, tensor in old.items())
    flux = FluxTransformer2DModel.from_pretrained(folder)
    assert torch.equal(flux.x_embedder.weight.detach(), old["img_in.weight"] + 1)
    convert(tmp_path / "new.safetensors", Target.DIFFUSERS, tmp_path / "fresh", shard_bytes=after)
    fresh = {path.name for path in (tmp_path / "fresh").iterdir()}
    assert {path.name for path in folder.iterdir()} == fresh | {"README.md"}


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from uso.formats import safefile

    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"old")

    def full(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(safefile, "save_file", full)
    with pytest.raises(OSError, match="no space"):
        safefile.write_weights(path, {"a": torch.zeros(1)})
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_inspection_tells_what_a_file_is(files: Path, reference: Reference) -> None:
    base = inspect_file(files / "base.safetensors")
    assert base.family.startswith("BFL base")
    assert base.parameters == {"all": 491_200}
    assert (base.sizes["hidden"], base.sizes["double"], base.sizes["axes"]) == (64, 2, (4, 14, 14))
    assert base.dtypes == {"F32": base.tensors}
    lora = inspect_file(files / "dit_lora.safetensors")
    assert (lora.rank, lora.tensors, lora.sizes["blocks"]) == (4, 24, 4)
    projector = inspect_file(files / "projector.safetensors")
    assert (projector.tensors, projector.sizes["tokens_in"], projector.sizes["hidden"]) == (18, 25, 64)
    assert inspect_file(reference.path).rank == 4


def test_inspection_says_why_a_file_would_not_load(files: Path, tmp_path: Path) -> None:
    found = inspect_file(broken_base(files, tmp_path, "missing"))
    assert found.loads_with == "nothing as it is"
    assert "1 missing" in (found.problem or "")
