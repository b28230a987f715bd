"""A small text tower for networks from scratch: CLIP's text model and tokenizer, few and narrow layers."""

from __future__ import annotations

import gzip
from importlib.resources import files
from pathlib import Path

import torch
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

START, END = "<|startoftext|>", "<|endoftext|>"

_MERGES = 49152 - 256 - 2
"""Merges of CLIP's vocabulary: 49,152 pieces less the bytes, alone and at a word's end, and the two marks."""


def build_text_tower(
    folder: Path, *, width: int, layers: int, heads: int, length: int, seed: int, dtype: torch.dtype = torch.float32
) -> None:
    """Write a text tower with seeded weights, as `text_encoder` and `tokenizer` below a folder.

    Frozen, it still tells every word and place from every other; a network that is trained from scratch learns to read
    it. The tokenizer is CLIP's, from the vocabulary that open_clip ships. Raises ModuleNotFoundError without
    open_clip.
    """
    tokenizer = clip_tokenizer(length)
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=4 * width,
        projection_dim=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=length,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        # CLIP draws embeddings at 0.02; frozen ones must be told apart by what follows, so they start at full size.
        initializer_factor=10.0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CLIPTextModel(config).to(dtype)
    model.save_pretrained(folder / "text_encoder")
    tokenizer.save_pretrained(folder / "tokenizer")


def clip_tokenizer(length: int) -> CLIPTokenizer:
    """Return CLIP's tokenizer, cutting prompts to `length` tokens; built from open_clip's vocabulary file."""
    packed = files("open_clip").joinpath("bpe_simple_vocab_16e6.txt.gz").read_bytes()
    merges = [tuple(line.split()) for line in gzip.decompress(packed).decode().split("\n")[1 : _MERGES + 1]]
    single = list(_byte_letters())
    pieces = [*single, *(f"{letter}</w>" for letter in single), *("".join(merge) for merge in merges), START, END]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer: CLIPTokenizer = CLIPTokenizer(
        vocab=vocabulary, merges=merges, bos_token=START, eos_token=END, pad_token=END, unk_token=END
    )
    tokenizer.model_max_length = length
    return tokenizer


def _byte_letters() -> list[str]:
    """Return the printable letter that stands for each byte in CLIP's vocabulary, in the vocabulary's order."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + place) for place, _ in enumerate(others)]
