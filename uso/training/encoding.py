"""Samples turned into what the network is trained on, through frozen encoders and the cache of their outputs.

Every image goes through its encoder alone. What comes out then does not depend on the batch, the rank, or on which of
its neighbours were found in the cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache

import torch
from PIL import Image
from torch import Tensor

from manifests.identities import digest_of
from manifests.records import Role
from uso.images import Size
from uso.latents import LatentCodec
from uso.nano.vision import NanoVision
from uso.projector import StyleFeatures
from uso.text import CLIPTextEncoder, T5Encoder
from uso.training.cache import EncoderCache, encoder_digest
from uso.training.catalog import Entry, Slots
from uso.training.loader import Encoded, Pixels, Sample
from uso.vision import VisionTower

_PROMPTS_KEPT = 256


@dataclass(frozen=True)
class FrozenEncoders:
    """The encoders of a run; `vision` may be None where no sample has a style reference."""

    t5: T5Encoder
    clip: CLIPTextEncoder
    codec: LatentCodec
    vision: VisionTower | NanoVision | None = None


class Encoding:
    """Encodes samples, and looks up what was encoded before. `lookup` is safe to be called from many threads.

    `keep` names what goes into the cache: `latents` (mean and deviation of the posterior), `vision`, `text`.
    """

    def __init__(
        self,
        encoders: FrozenEncoders,
        slots: Slots,
        cache: EncoderCache | None = None,
        keep: Collection[str] = (),
    ) -> None:
        self.encoders = encoders
        self.slots = slots
        self._cache = cache
        self._names: dict[str, str] = {}
        if cache is not None:
            if "latents" in keep:
                self._names["latents"] = encoder_digest(encoders.codec)
            if "vision" in keep and encoders.vision is not None:
                self._names["vision"] = encoder_digest(encoders.vision)
            if "text" in keep:
                self._names["text"] = digest_of([encoder_digest(encoders.t5), encoder_digest(encoders.clip)])
        self._text: Callable[[str], Encoded] = lru_cache(maxsize=_PROMPTS_KEPT)(self._encode_text)

    def lookup(self, entry: Entry, role: Role) -> Encoded | None:
        """Return what the cache holds of an image."""
        kind = self._kind(role)
        if self._cache is None or kind not in self._names:
            return None
        return self._cache.load(self._names[kind], self._key(entry, role))

    def moments(self, sample: Sample, role: Role) -> tuple[Tensor, Tensor]:
        """Return mean and deviation, each `[1, C, h, w]` float32 on the CPU, of an image's latent."""
        tensors = self._image(sample, role, self._encode_latent)
        return tensors["mean"].float(), tensors["std"].float()

    def style(self, sample: Sample, role: Role) -> StyleFeatures:
        """Return the style features `[1, tokens, width]` of an image, on the CPU."""
        tensors = self._image(sample, role, self._encode_style)
        return StyleFeatures(*(tensors[level] for level in StyleFeatures._fields))

    def text(self, prompt: str) -> tuple[Tensor, Tensor]:
        """Return the tokens `[1, L, width]` and the pooled vector `[1, width]` of a prompt, on the CPU."""
        tensors = self._text(prompt)
        return tensors["tokens"], tensors["pooled"]

    def _image(self, sample: Sample, role: Role, encode: Callable[[Pixels], Encoded]) -> Encoded:
        if role in sample.encoded:
            return sample.encoded[role]
        tensors = encode(sample.images[role])
        kind = self._kind(role)
        if self._cache is not None and kind in self._names:
            self._cache.save(self._names[kind], self._key(sample.entry, role), tensors)
        return tensors

    def _encode_latent(self, pixels: Pixels) -> Encoded:
        tensor = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1
        mean, std = self.encoders.codec.moments(tensor)
        return {"mean": mean.cpu(), "std": std.cpu()}

    def _encode_style(self, pixels: Pixels) -> Encoded:
        if self.encoders.vision is None:
            raise ValueError("style references need a vision tower")
        features = self.encoders.vision.encode([Image.fromarray(pixels)])
        return dict(zip(StyleFeatures._fields, (level.cpu() for level in features), strict=True))

    def _encode_text(self, prompt: str) -> Encoded:
        key = hashlib.sha256(prompt.encode()).hexdigest()
        if self._cache is not None and "text" in self._names:
            kept = self._cache.load(self._names["text"], key)
            if kept is not None:
                return kept
        tokens, pooled = self.encoders.t5.encode([prompt]).cpu(), self.encoders.clip.encode([prompt]).cpu()
        tensors = {"tokens": tokens, "pooled": pooled}
        if self._cache is not None and "text" in self._names:
            self._cache.save(self._names["text"], key, tensors)
        return tensors

    def _kind(self, role: Role) -> str:
        return "vision" if role == self.slots.style else "latents"

    def _key(self, entry: Entry, role: Role) -> str:
        """Return the image's hash and what was done to it: target and content are cut by rules of their own."""
        if role == self.slots.target:
            return f"{entry.assets[role]}-target-{_spelled(entry.bucket.target)}"
        if role in (self.slots.content, self.slots.second) and entry.bucket.content is not None:
            return f"{entry.assets[role]}-content-{_spelled(entry.bucket.content)}"
        return entry.assets[role]


def _spelled(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
