"""What the frozen encoders have in common: where they come from, and that they can be let go after use."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers.utils import logging as messages


class EncoderError(ValueError):
    """An encoder that cannot be loaded or used; the message names its source, the fault and the mend."""


class FrozenEncoder:
    """A frozen model that is loaded whole, used without gradients of its own, and released.

    After `release` its memory is free, and any further use raises EncoderError.
    """

    def __init__(self, model: nn.Module, source: str) -> None:
        self.source = source
        self._model: nn.Module | None = model.eval().requires_grad_(False)

    @property
    def model(self) -> Any:
        """Return the model. Raises EncoderError once it was released."""
        if self._model is None:
            raise EncoderError(f"{self.source}: was released; load it again to use it")
        return self._model

    @property
    def device(self) -> torch.device:
        """Return the device that the model is on."""
        device: torch.device = next(self.model.parameters()).device
        return device

    @property
    def dtype(self) -> torch.dtype:
        """Return the dtype of the model's weights."""
        dtype: torch.dtype = next(self.model.parameters()).dtype
        return dtype

    @property
    def settings(self) -> tuple[object, ...]:
        """Return what, beside the weights, decides what comes out for an input: a cache of outputs is keyed by both."""
        return ()

    def release(self) -> None:
        """Let the model go, and give its memory back."""
        self._model = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def split_source(source: str) -> tuple[str, str]:
    """Return (folder or hub name, subfolder) of a source: `owner/name//vae` has the subfolder `vae`."""
    name, _, subfolder = source.partition("//")
    return name, subfolder


def tokenizer_source(source: str) -> tuple[str, str]:
    """Return (folder or hub name, subfolder) of a text encoder's tokenizer.

    A tokenizer lies beside the weights, or, in a diffusers pipeline, in `tokenizer` next to `text_encoder` and in
    `tokenizer_2` next to `text_encoder_2`.
    """
    name, subfolder = split_source(source)
    if subfolder:
        return name, subfolder.replace("text_encoder", "tokenizer")
    sibling = Path(name).parent / Path(name).name.replace("text_encoder", "tokenizer")
    return (str(sibling) if sibling.is_dir() else name), ""


def load_pretrained(model_class: Any, source: str, dtype: torch.dtype, device: torch.device | str) -> nn.Module:
    """Return a transformers model from a folder or the hub, from safetensors only.

    Raises EncoderError when it is not there, when it has no safetensors, or when weights that the model needs are
    missing or of another shape.
    """
    name, subfolder = split_source(source)
    with reported(source), _quiet():
        model, info = model_class.from_pretrained(
            name, subfolder=subfolder, use_safetensors=True, dtype=dtype, output_loading_info=True
        )
    lacking = sorted(info["missing_keys"]) + sorted(str(key) for key in info["mismatched_keys"])
    if lacking:
        raise EncoderError(
            f"{source}: {len(lacking)} weights of {model_class.__name__} are missing or of another shape "
            f"({', '.join(lacking[:3])}); is it a model of another kind?"
        )
    moved: nn.Module = model.to(device)
    return moved


@contextmanager
def reported(source: str) -> Iterator[None]:
    """Turn what the model libraries raise on a bad source into an EncoderError of one line."""
    try:
        yield
    except EncoderError:
        raise
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise EncoderError(f"{source}: cannot be loaded from a folder or the hub: {lines[0]}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from listing keys and drawing bars; keys that a model needs are checked by the caller."""
    verbosity, bars = messages.get_verbosity(), messages.is_progress_bar_enabled()
    messages.set_verbosity_error()
    messages.disable_progress_bar()
    try:
        yield
    finally:
        messages.set_verbosity(verbosity)
        if bars:
            messages.enable_progress_bar()
