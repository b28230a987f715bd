"""A captioner behind a chat endpoint in OpenAI's form."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from manifests.identities import digest_of
from workers.captions.base import Captioner, NoCaption, read_caption, shown
from workers.captions.question import read_question
from workers.captions.settings import OpenAICaptionSettings
from workers.endpoints.bought import Bought
from workers.endpoints.client import Client, Fault
from workers.experts.base import Pixels


class OpenAICaptioner(Captioner):
    """Asks an endpoint with the `openai` client; what was answered is kept in `bought` and not asked for again."""

    def __init__(self, settings: OpenAICaptionSettings, *, bought: Bought | None = None, share: float = 1.0) -> None:
        self.settings = settings
        self.title = settings.model
        self._bought = bought
        self._client = Client(settings, share=share)

    @cached_property
    def digest(self) -> str:
        """Return the digest of model name, parameters and question; an endpoint does not show its weights."""
        return endpoint_digest(self.settings)

    def caption(self, pictures: Sequence[Pixels]) -> list[str | NoCaption]:
        """Return a caption of each picture; so many at a time are under way as the settings allow."""
        keys = [[self.digest, hashlib.sha256(pixels.tobytes()).hexdigest()] for pixels in pictures]
        said: list[str | Fault | None] = [self._known(key) for key in keys]
        missing = [number for number, text in enumerate(said) if text is None]
        answers = self._client.ask_all([(pictures[number], keys[number]) for number in missing], self._one)
        for number, answer in zip(missing, answers, strict=True):
            said[number] = answer
        return [
            NoCaption(one.reason, one.detail) if isinstance(one, Fault) else read_caption(one or "") for one in said
        ]

    def _known(self, key: list[str]) -> str | None:
        data = self._bought.get(key) if self._bought else None
        return None if data is None else data.decode()

    async def _one(self, client: Any, asked: tuple[Pixels, list[str]]) -> str | Fault:
        pixels, key = asked
        own = self.settings
        buffer = io.BytesIO()
        shown(pixels, own.image_side).save(buffer, "PNG")
        uri = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
        content = [
            {"type": "image_url", "image_url": {"url": uri}},
            {"type": "text", "text": read_question(own.question)},
        ]
        answered = await client.chat.completions.with_raw_response.create(
            model=own.model,
            messages=[{"role": "user", "content": content}],
            temperature=own.temperature,
            max_tokens=own.max_tokens,
            extra_body=own.extra_body or None,
        )
        self._client.paid(answered.retries_taken)
        choices = getattr(answered.parse(), "choices", None)
        message = getattr(choices[0], "message", None) if isinstance(choices, list) and choices else None
        text = str(getattr(message, "content", None) or "")
        if text and self._bought is not None:
            self._bought.keep(key, text.encode())
        return text


def endpoint_digest(settings: OpenAICaptionSettings) -> str:
    """Return the digest of a captioner behind an endpoint, without asking it."""
    return digest_of([{"kind": "openai", **settings.parameters()}, read_question(settings.question)])
