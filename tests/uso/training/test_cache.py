"""The cache of encodings: keyed by all that decides an encoding, torn files counted as absent."""

from __future__ import annotations

from pathlib import Path

import torch

from uso.latents import LatentCodec
from uso.text import CLIPTextEncoder, T5Encoder
from uso.training.cache import EncoderCache, encoder_digest
from uso.vision import VisionTower, load_vision


def test_what_decides_an_encoding_is_in_the_encoders_digest(pipeline: Path) -> None:
    vision = str(pipeline / "vision")
    whole = torch.float32
    encoders = [
        VisionTower.load(vision, dtype=whole),
        VisionTower.load(vision, dtype=whole, layers=(-1, -2, -3)),
        VisionTower.load(vision, dtype=torch.bfloat16),
        load_vision("nano", dtype=whole),
        T5Encoder.load(str(pipeline / "text_encoder_2"), dtype=whole, length=5),
        T5Encoder.load(str(pipeline / "text_encoder_2"), dtype=whole, length=6),
        CLIPTextEncoder.load(str(pipeline / "text_encoder"), dtype=whole),
        LatentCodec.load(str(pipeline / "vae"), dtype=whole),
    ]
    rescaled = LatentCodec.load(str(pipeline / "vae"), dtype=whole)
    rescaled.model.register_to_config(scaling_factor=2.0)
    digests = [encoder_digest(encoder) for encoder in [*encoders, rescaled]]
    assert len(set(digests)) == len(digests)
    assert encoder_digest(VisionTower.load(vision, dtype=whole)) == digests[0]


def test_what_was_kept_comes_back_and_a_torn_file_does_not(tmp_path: Path) -> None:
    cache = EncoderCache(tmp_path)
    assert cache.load("encoder", "abc") is None
    cache.save("encoder", "abc", {"mean": torch.arange(4.0)})
    kept = cache.load("encoder", "abc")
    assert kept is not None
    assert kept["mean"].tolist() == [0, 1, 2, 3]
    assert cache.load("another", "abc") is None
    (path,) = tmp_path.rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-5])
    assert cache.load("encoder", "abc") is None
