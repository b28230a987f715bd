"""The family that ships is whole, small, what its record says, and loads as any USO release does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from manifests.identities import digest_of_file
from uso.checkpoint import load_network
from uso.latents import LatentCodec
from uso.nano import family
from uso.nano.family import MEMBERS, SIDE, family_folder, read_family, with_family
from uso.nano.weights import SHIPPED
from uso.text import CLIPTextEncoder

LARGEST_MB = 40


def test_all_weights_of_the_family_are_below_40_mb_and_are_what_the_record_says() -> None:
    total = SHIPPED.stat().st_size
    for member, facts in read_family().items():
        for name, told in facts["files"].items():
            path = family_folder() / member / name
            assert digest_of_file(path) == told["sha256"], path
            total += path.stat().st_size if path.suffix == ".safetensors" else 0
    assert set(read_family()) == set(MEMBERS)
    assert total < LARGEST_MB * 1e6


@pytest.mark.parametrize("member", ["stylize", "destylize"])
def test_each_member_loads_on_the_base_as_a_release_does(member: str) -> None:
    folder = family_folder()
    projector = folder / member / "projector.safetensors"
    network = load_network(
        folder / "pipeline" / "transformer",
        lora=folder / member / "dit_lora.safetensors",
        projector=projector if projector.is_file() else None,
    )
    assert projector.is_file() == (member != "destylize")
    codec = LatentCodec.load(str(folder / "pipeline" / "vae"), dtype=torch.float32)
    text = CLIPTextEncoder.load(str(folder / "pipeline" / "text_encoder"), dtype=torch.float32)
    assert network.shape.latent_channels == codec.model.config.latent_channels
    assert network.shape.text_width == text.model.config.hidden_size
    assert SIDE % 16 == 0


@pytest.mark.parametrize("member", ["stylize", "destylize"])
def test_an_expert_got_better_on_subjects_that_it_never_saw(member: str) -> None:
    losses = [loss for _, loss in read_family()[member]["heldout"]]
    assert losses[-1] < 0.95 * losses[0]


def test_a_path_may_start_in_the_family() -> None:
    assert with_family("{nano}/pipeline") == str(family_folder() / "pipeline")
    assert with_family("runs/base") == "runs/base"


def test_a_missing_family_is_told_with_its_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(family, "FAMILY", tmp_path / "family")
    with pytest.raises(FileNotFoundError, match="make family"):
        with_family("{nano}/pipeline")
