"""An expert behind an image-edit endpoint in OpenAI's form."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from PIL import Image

from workers.endpoints.bought import Bought
from workers.endpoints.client import Client, Fault
from workers.experts.base import ExpertFailure, ExpertRole, Gallery, Pixels
from workers.experts.editing.expert import Edit, EditingExpert
from workers.experts.editing.instructions import read_instructions
from workers.experts.http.canvas import Canvas, on_canvas
from workers.experts.http.decode import decode_answer
from workers.experts.http.identity import expert_digest
from workers.experts.http.settings import HttpSettings
from workers.experts.picture_size import resized


class HttpExpert(EditingExpert):
    """Sends the target and the instruction to `images/edits`; the answer is base64, or an address to fetch from.

    Nothing is trusted that comes back: answers have a largest size, addresses must lie on a known host, and images
    are decoded within limits. Where a size is asked for, the target is sent on a canvas of that shape, and of an
    answer that is to keep the layout the target's place is cut out again. What was bought is kept in `bought` and not
    asked for again. A budget is that of one worker: `share` of the run's.
    """

    def __init__(
        self,
        settings: HttpSettings,
        role: ExpertRole,
        gallery: Gallery,
        *,
        bought: Bought | None = None,
        share: float = 1.0,
    ) -> None:
        super().__init__(role, read_instructions(settings.instructions), gallery)
        self.settings = settings
        self.title = settings.title
        self._bought = bought
        self._client = Client(settings, share=share)

    @cached_property
    def digest(self) -> str:
        """Return the digest of backend, role, model name, parameters and instructions."""
        return expert_digest(self.settings, self.role)

    def edit(self, edits: Sequence[Edit]) -> list[Pixels | ExpertFailure]:
        """Return the image that came of each edit, or why there is none."""
        canvases = [self._canvas(edit) for edit in edits]
        keys = [self._key(edit, canvas) for edit, canvas in zip(edits, canvases, strict=True)]
        known = [self._bought.get(key) if self._bought else None for key in keys]
        missing = [number for number, data in enumerate(known) if data is None]
        asked = [(edits[number].prompt, canvases[number].pixels, keys[number]) for number in missing]
        answers: list[bytes | Fault] = [data or b"" for data in known]
        for number, answer in zip(missing, self._client.ask_all(asked, self._one), strict=True):
            answers[number] = answer
        return [self._received(*each) for each in zip(edits, canvases, answers, strict=True)]

    def _canvas(self, edit: Edit) -> Canvas:
        if self.settings.canvas is not None:
            return on_canvas(edit.picture, self.settings.canvas)
        return Canvas(resized(edit.picture, min(self.settings.image_side, max(edit.picture.shape[:2]))), (0, 0, 1, 1))

    def _key(self, edit: Edit, canvas: Canvas) -> list[str]:
        shown = hashlib.sha256(canvas.pixels.tobytes()).hexdigest()
        return [self.digest, edit.key, shown, edit.prompt, str(edit.seed)]

    def _received(self, edit: Edit, canvas: Canvas, answer: bytes | Fault) -> Pixels | ExpertFailure:
        if isinstance(answer, Fault):
            return ExpertFailure(answer.reason, answer.detail)
        image = decode_answer(answer, max_side=self.settings.max_side)
        return canvas.cut(image) if edit.aligned and not isinstance(image, ExpertFailure) else image

    async def _one(self, client: Any, asked: tuple[str, Pixels, list[str]]) -> bytes | Fault:
        """Return the bytes of one image, and keep them where they are one."""
        prompt, pixels, key = asked
        body = await self._body(client, prompt, pixels)
        if isinstance(body, Fault):
            return body
        data = await self._image_in(body)
        if isinstance(data, bytes) and self._bought is not None:
            self._bought.keep(key, data)
        return data

    async def _body(self, client: Any, prompt: str, pixels: Pixels) -> bytes | Fault:
        own = self.settings
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        given = {"size": own.size, "quality": own.quality, "response_format": own.answer}
        request = client.images.with_streaming_response.edit(
            model=own.model,
            image=("target.png", buffer.getvalue(), "image/png"),
            prompt=prompt,
            n=1,
            **{name: value for name, value in given.items() if value is not None},
            extra_body=own.extra_body or None,
        )
        async with request as response:
            self._client.paid(response.retries_taken)
            return await _read(response.iter_bytes(), own.max_bytes)

    async def _image_in(self, body: bytes) -> bytes | Fault:
        """Return the image that an answer holds or points to."""
        try:
            first = json.loads(body)["data"][0]
            encoded, url = first.get("b64_json"), first.get("url")
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            return Fault("protocol", "the endpoint's answer is not in OpenAI's form: no data[0]")
        if isinstance(encoded, str):
            try:
                return base64.b64decode(encoded, validate=True)
            except (binascii.Error, ValueError):
                return Fault("not_an_image", "b64_json is not base64")
        if isinstance(url, str):
            return await self._fetched(url)
        return Fault("protocol", "the endpoint's answer holds neither b64_json nor url")

    async def _fetched(self, url: str) -> bytes | Fault:
        """Return what lies at an address, if its host is one of those we fetch from; no redirect is followed."""
        import aiohttp

        host = urlsplit(url).hostname
        if urlsplit(url).scheme not in ("http", "https") or host not in self._hosts():
            return Fault("url_refused", f"the image lies on {str(host)[:100]!r}; add the host to url_hosts to fetch it")
        timeout = aiohttp.ClientTimeout(total=self.settings.timeout)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(url, allow_redirects=False) as response,
            ):
                if response.status != 200:
                    return Fault("url_failed", f"the image's address answers with status {response.status}")
                return await _read(response.content.iter_chunked(65536), self.settings.max_bytes)
        except (aiohttp.ClientError, TimeoutError) as error:
            return Fault("url_failed", f"the image cannot be fetched: {type(error).__name__}")

    def _hosts(self) -> set[str | None]:
        return {urlsplit(self.settings.base_url).hostname, *self.settings.url_hosts}


async def _read(chunks: Any, most: int) -> bytes | Fault:
    """Return a body of at most so many bytes."""
    parts, size = [], 0
    try:
        async for chunk in chunks:
            size += len(chunk)
            if size > most:
                return Fault("too_large", f"the answer has more than {most} bytes")
            parts.append(chunk)
    except Exception as error:  # of whichever HTTP library the client sits on
        return Fault("cut_off", f"the answer ended early: {type(error).__name__}")
    return b"".join(parts)
