"""A captioner that runs in the worker: an image-text-to-text model of transformers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from manifests.identities import digest_of, digest_of_unchanged_file
from workers.batching import Batches, Spoilt
from workers.captions.base import Captioner, NoCaption, read_caption, shown
from workers.captions.question import read_question
from workers.captions.settings import TransformersCaptionSettings
from workers.experts.base import Pixels

_READ = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model")
"""Files of a model that are read; never a pickle."""


class TransformersCaptioner(Captioner):
    """Asks a model that transformers resolves by its config, through the model's own chat template; greedy."""

    def __init__(self, settings: TransformersCaptionSettings, *, device: str = "cpu") -> None:
        self.settings = settings
        self.title = Path(settings.model).name
        self._device = device
        self._batches = Batches(self.title, settings.batch)

    @cached_property
    def digest(self) -> str:
        """Return the digest of every file of the model, parameters and question."""
        return model_digest(self.settings)

    def caption(self, pictures: Sequence[Pixels]) -> list[str | NoCaption]:
        """Return a caption of each picture; a batch that memory does not hold is halved."""
        said = self._batches.run(pictures, self._say)
        return [NoCaption(one.reason, one.detail) if isinstance(one, Spoilt) else read_caption(one) for one in said]

    def _say(self, pictures: Sequence[Pixels]) -> list[str]:
        import torch

        question = read_question(self.settings.question)
        talk = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}]
        prompt = self._processor.apply_chat_template(talk, add_generation_prompt=True)
        images = [[shown(pixels, self.settings.image_side)] for pixels in pictures]
        inputs = self._processor(text=[prompt] * len(images), images=images, padding=True, return_tensors="pt")
        inputs = inputs.to(self._model.device)
        with torch.inference_mode():
            made = self._model.generate(**inputs, max_new_tokens=self.settings.max_tokens, do_sample=False)
        fresh = made[:, inputs["input_ids"].shape[1] :]
        return [str(text) for text in self._processor.batch_decode(fresh, skip_special_tokens=True)]

    @cached_property
    def _processor(self) -> Any:
        from transformers import AutoProcessor

        processor = AutoProcessor.from_pretrained(folder_of(self.settings))
        processor.tokenizer.padding_side = "left"  # what is generated stands at the end of every row
        if processor.tokenizer.pad_token_id is None:
            processor.tokenizer.pad_token = processor.tokenizer.eos_token
        return processor

    @cached_property
    def _model(self) -> Any:
        from transformers import AutoModelForImageTextToText

        placed = {"device_map": self.settings.device_map} if self.settings.device_map else {}
        model = AutoModelForImageTextToText.from_pretrained(
            folder_of(self.settings), dtype=self.settings.dtype, use_safetensors=True, **placed
        )
        return (model if placed else model.to(self._device)).eval()


def folder_of(settings: TransformersCaptionSettings) -> Path:
    """Return the model's folder; a hub name is fetched into the hub's cache, without anything that is pickled."""
    if Path(settings.model).is_dir():
        return Path(settings.model)
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(settings.model, revision=settings.revision, allow_patterns=list(_READ)))


def model_digest(settings: TransformersCaptionSettings) -> str:
    """Return the digest of a captioner by its files, without loading it. Raises OSError where they cannot be had."""
    folder = folder_of(settings)
    files = sorted({path for pattern in _READ for path in folder.glob(pattern)})
    weights = {path.name: digest_of_unchanged_file(path) for path in files}
    return digest_of([{"kind": "transformers", **settings.parameters()}, weights, read_question(settings.question)])
