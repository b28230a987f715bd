"""Prompts as FLUX reads them: T5 tokens and a CLIP vector."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import AutoConfig, AutoTokenizer, CLIPTextModel, T5EncoderModel

from uso.encoders import EncoderError, FrozenEncoder, load_pretrained, reported, split_source, tokenizer_source

logger = logging.getLogger(__name__)

T5_LENGTH = 512
CLIP_LENGTH = 77


class T5Encoder(FrozenEncoder):
    """A T5 encoder: prompts to token features, padded to one length without a mask, as FLUX was trained."""

    def __init__(self, model: T5EncoderModel, tokenizer: AutoTokenizer, source: str, length: int = T5_LENGTH) -> None:
        super().__init__(model, source)
        self.tokenizer = tokenizer
        self.length = length

    @property
    def settings(self) -> tuple[object, ...]:
        """Return the number of tokens, and the vocabulary."""
        return self.length, sorted(self.tokenizer.get_vocab().items())

    @classmethod
    def load(
        cls, source: str, *, dtype: torch.dtype, device: torch.device | str = "cpu", length: int = T5_LENGTH
    ) -> T5Encoder:
        """Load from a folder or hub name (`//subfolder` after it); `length` is the number of tokens a prompt has.

        A CLIP text tower may take T5's place, in networks that were trained with one.
        """
        name, subfolder = split_source(source)
        with reported(source):
            kind = AutoConfig.from_pretrained(name, subfolder=subfolder).model_type
        model_class = CLIPTextModel if kind.startswith("clip") else T5EncoderModel
        return cls(load_pretrained(model_class, source, dtype, device), load_tokenizer(source), source, length)

    @torch.no_grad()
    def encode(self, prompts: Sequence[str]) -> Tensor:
        """Return token features `[prompts, length, width]`."""
        tokens = tokenize(self.tokenizer, prompts, self.length, self.source)
        features: Tensor = self.model(input_ids=tokens.to(self.device)).last_hidden_state
        return features


class CLIPTextEncoder(FrozenEncoder):
    """A CLIP text tower: prompts to one pooled vector each."""

    def __init__(self, model: CLIPTextModel, tokenizer: AutoTokenizer, source: str) -> None:
        super().__init__(model, source)
        self.tokenizer = tokenizer

    @property
    def settings(self) -> tuple[object, ...]:
        """Return the vocabulary."""
        return (sorted(self.tokenizer.get_vocab().items()),)

    @classmethod
    def load(cls, source: str, *, dtype: torch.dtype, device: torch.device | str = "cpu") -> CLIPTextEncoder:
        """Load from a folder or hub name (`//subfolder` after it)."""
        return cls(load_pretrained(CLIPTextModel, source, dtype, device), load_tokenizer(source), source)

    @torch.no_grad()
    def encode(self, prompts: Sequence[str]) -> Tensor:
        """Return pooled vectors `[prompts, width]`: the last layer's state at the end-of-text token."""
        length = min(CLIP_LENGTH, self.model.config.max_position_embeddings)
        tokens = tokenize(self.tokenizer, prompts, length, self.source)
        pooled: Tensor = self.model(input_ids=tokens.to(self.device)).pooler_output
        return pooled


def load_tokenizer(source: str) -> AutoTokenizer:
    """Return the tokenizer that belongs to a text encoder. Raises EncoderError when there is none."""
    name, subfolder = tokenizer_source(source)
    with reported(f"{source} (tokenizer)"):
        tokenizer = AutoTokenizer.from_pretrained(name, subfolder=subfolder)
    if tokenizer.pad_token is None:
        raise EncoderError(f"{source}: its tokenizer has no padding token, so prompts cannot be brought to one length")
    return tokenizer


def tokenize(tokenizer: AutoTokenizer, prompts: Sequence[str], length: int, source: str) -> Tensor:
    """Return token ids `[prompts, length]`, padded and cut to one length; a cut is logged as a warning."""
    ids = tokenizer(
        list(prompts), truncation=True, max_length=length, padding="max_length", return_tensors="pt"
    ).input_ids
    longest = max((len(tokenizer(prompt, truncation=False).input_ids) for prompt in prompts), default=0)
    if longest > length:
        logger.warning("%s: a prompt of %d tokens is cut to %d", source, longest, length)
    tokens: Tensor = ids
    return tokens
