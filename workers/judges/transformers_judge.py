"""A judge that runs in the worker: an image-text-to-text model of transformers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image

from manifests.identities import digest_of, digest_of_unchanged_file
from workers.batching import Batches, Spoilt
from workers.judges.base import UNPARSABLE, Answer, Judge, JudgeRequest, Try, read_try
from workers.judges.pictures import LABELS, pictures
from workers.judges.prompt import read_prompt
from workers.judges.settings import TransformersSettings

_READ = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model")
"""Files of a model that are read; never a pickle."""


class TransformersJudge(Judge):
    """Asks a model that transformers resolves by its config, through the model's own chat template; greedy."""

    def __init__(self, settings: TransformersSettings, *, device: str = "cpu") -> None:
        self.settings = settings
        self.title = Path(settings.model).name
        self.prompt = read_prompt(settings.prompt)
        self._device = device
        self._batches = Batches(self.title, settings.batch)

    @cached_property
    def digest(self) -> str:
        """Return the digest of every file of the model, parameters and prompt."""
        files = {path.name: digest_of_unchanged_file(path) for path in sorted(self._folder.iterdir()) if path.is_file()}
        kept = self.settings.model_dump(mode="json", exclude={"model", "revision", "prompt", "batch", "device_map"})
        return digest_of([{"kind": "transformers", **kept}, files, self.prompt.digest])

    def judge(self, requests: Sequence[JudgeRequest]) -> list[Answer]:
        """Return an answer for each request; those that could not be read are asked about once more."""
        made = self._batches.run(requests, self._judge)
        return [each if isinstance(each, Answer) else _spoilt(each) for each in made]

    def _judge(self, requests: Sequence[JudgeRequest]) -> list[Answer]:
        """Return the answers to one batch."""
        begun = time.monotonic()
        shown = [pictures(request, self.settings.image_side) for request in requests]
        talks = [self._talk() for _ in requests]
        tries: list[list[Try]] = [[] for _ in requests]
        counts = [[0, 0] for _ in requests]
        for _ in range(2):
            open_ones = [n for n, done in enumerate(tries) if not (done and done[-1].verdict)]
            if not open_ones:
                break
            for n in open_ones:
                if tries[n]:
                    self._add_fault(talks[n], tries[n][-1])
            said = self._generate([talks[n] for n in open_ones], [shown[n] for n in open_ones])
            for n, (text, read, written) in zip(open_ones, said, strict=True):
                tries[n].append(read_try(text))
                counts[n][0] += read
                counts[n][1] += written
        seconds = (time.monotonic() - begun) / len(requests)
        return [_answered(each, read, written, seconds) for each, (read, written) in zip(tries, counts, strict=True)]

    def _talk(self) -> list[dict[str, Any]]:
        content: list[dict[str, Any]] = []
        for label in LABELS:
            content += [{"type": "text", "text": f"{label}:"}, {"type": "image"}]
        content.append({"type": "text", "text": self.prompt.question})
        system = [{"type": "text", "text": self.prompt.system}]
        return [{"role": "system", "content": system}, {"role": "user", "content": content}]

    def _add_fault(self, talk: list[dict[str, Any]], last: Try) -> None:
        again = self.prompt.again.format(error=last.fault)
        talk.append({"role": "assistant", "content": [{"type": "text", "text": last.text}]})
        talk.append({"role": "user", "content": [{"type": "text", "text": again}]})

    def _generate(
        self, talks: Sequence[list[dict[str, Any]]], shown: Sequence[list[Image.Image]]
    ) -> list[tuple[str, int, int]]:
        """Return text, tokens read and tokens written of each talk."""
        import torch

        prompts = [self._processor.apply_chat_template(talk, add_generation_prompt=True) for talk in talks]
        inputs = self._processor(text=prompts, images=list(shown), padding=True, return_tensors="pt")
        inputs = inputs.to(self._model.device)
        with torch.inference_mode():
            made = self._model.generate(**inputs, max_new_tokens=self.settings.max_tokens, do_sample=False)
        fresh = made[:, inputs["input_ids"].shape[1] :]
        texts = self._processor.batch_decode(fresh, skip_special_tokens=True)
        read = inputs["attention_mask"].sum(dim=1).tolist()
        end = self._processor.tokenizer.pad_token_id
        written = (fresh != end).sum(dim=1).tolist()
        return list(zip(texts, map(int, read), map(int, written), strict=True))

    @cached_property
    def _folder(self) -> Path:
        """Return the model's folder; a hub name is fetched into the hub's cache, without anything that is pickled."""
        if Path(self.settings.model).is_dir():
            return Path(self.settings.model)
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(self.settings.model, revision=self.settings.revision, allow_patterns=list(_READ)))

    @cached_property
    def _processor(self) -> Any:
        from transformers import AutoProcessor

        processor = AutoProcessor.from_pretrained(self._folder)
        processor.tokenizer.padding_side = "left"  # what is generated stands at the end of every row
        if processor.tokenizer.pad_token_id is None:
            processor.tokenizer.pad_token = processor.tokenizer.eos_token
        return processor

    @cached_property
    def _model(self) -> Any:
        from transformers import AutoModelForImageTextToText

        placed = {"device_map": self.settings.device_map} if self.settings.device_map else {}
        model = AutoModelForImageTextToText.from_pretrained(
            self._folder, dtype=self.settings.dtype, use_safetensors=True, **placed
        )
        return (model if placed else model.to(self._device)).eval()


def _answered(tries: Sequence[Try], read: int, written: int, seconds: float) -> Answer:
    last = tries[-1]
    failure = None if last.verdict else UNPARSABLE
    texts = tuple(each.text for each in tries)
    return Answer(last.verdict, texts, failure, last.fault, read, written, len(tries), seconds)


def _spoilt(spoilt: Spoilt) -> Answer:
    return Answer(None, failure=f"judge_failed:{spoilt.reason}", detail=spoilt.detail)
