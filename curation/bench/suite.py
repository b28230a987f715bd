"""What a picture of the bench is measured by: encoders of subject, style and text, and the scorers of curation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from manifests.identities import digest_of, digest_of_file
from uso.bench.bench_set import BenchItem, BenchSet
from uso.bench.encoders.base import Vectors
from uso.bench.encoders.source import source_digest
from uso.conditioning import open_image
from uso.encoders import reported, split_source
from uso.images import flatten
from uso.nano.weights import SHIPPED
from workers.scorers.base import Pixels, Trio, Vector, View
from workers.scorers.copy_paste import CopyPaste
from workers.scorers.layout_distance import LayoutDistance
from workers.scorers.palette_leak import PaletteLeak
from workers.scorers.style_leak import StyleLeak

COPY_SHARE = 0.95
"""Share of equal bits of perceptual hashes from which a picture counts as a copy."""

_DECIMALS = 4
_VERSION = 1
"""Raise this when a measure changes, so that scores of before are not taken for it."""

_NONE: Vector = np.zeros(0, np.float32)

Scores = dict[str, float]
Embed = Callable[[Sequence[Image.Image]], Vectors]


@dataclass(frozen=True)
class SuiteSpec:
    """Which encoders measure: published ones by folder, file or hub name; the nano tower where none is named."""

    clip: str | None = None
    dino: str | None = None
    csd: str | None = None
    device: str = "cpu"

    @property
    def nano(self) -> bool:
        """Return whether the nano tower measures."""
        return not (self.clip or self.dino or self.csd)

    @property
    def leak(self) -> str | None:
        """Return the column whose encoder tells what a picture shows, for the style leak: DINO before CLIP."""
        if self.nano:
            return "nano_subject"
        return "dino" if self.dino else "clip_i" if self.clip else None

    @cached_property
    def stated(self) -> dict[str, dict[str, str]]:
        """Return title and sha256 of the encoder behind each column. Raises OSError where a file is not there."""
        told: dict[str, dict[str, str]] = {}
        if self.nano:
            nano = {"title": "nano tower", "sha256": digest_of_file(SHIPPED)}
            told |= {"nano_subject": nano, "nano_style": nano}
        if self.clip is not None:
            clip = {"title": f"CLIP ({self.clip})", "sha256": source_digest(self.clip)}
            told |= {"clip_i": clip, "clip_t": clip}
        if self.dino is not None:
            told["dino"] = {"title": f"DINO ({self.dino})", "sha256": source_digest(self.dino)}
        if self.csd is not None:
            told["csd"] = {"title": f"CSD ({Path(self.csd).name})", "sha256": digest_of_file(Path(self.csd))}
        return told if self.leak is None else told | {"style_leak": told[self.leak]}

    @cached_property
    def digest(self) -> str:
        """Return a digest of all that decides scores: weights, wherever they lie, the bound of copies, this version."""
        weights = {key: encoder["sha256"] for key, encoder in self.stated.items()}
        return digest_of([_VERSION, COPY_SHARE, weights])

    def check(self) -> None:
        """Raise EncoderError or ValueError naming an encoder that is not there, without loading its weights."""
        from transformers import AutoConfig

        for source in (self.clip, self.dino):
            if source is not None:
                name, subfolder = split_source(source)
                with reported(source):
                    AutoConfig.from_pretrained(name, subfolder=subfolder)
        if self.csd is not None and not Path(self.csd).is_file():
            raise ValueError(f"{self.csd}: not there; `triptych encoders csd-convert` makes it of CSD's release")


class Suite:
    """Loaded encoders, and the vectors of reference images that were asked for before.

    Raises EncoderError, ValueError or OSError naming the encoder that does not load.
    """

    def __init__(self, spec: SuiteSpec) -> None:
        self._subject: dict[str, Embed] = {}
        self._style: dict[str, Embed] = {}
        self._text: Callable[[Sequence[str]], Vectors] | None = None
        self._leak = spec.leak
        self._vectors: dict[tuple[str, Path], Vector] = {}
        self._pixels: dict[Path, Pixels] = {}
        if spec.nano:
            from workers.encoders.load import NanoEncoder

            encoder = NanoEncoder()
            self._style["nano_style"] = lambda images: encoder.embed([pixels_of(image) for image in images])[0]
            self._subject["nano_subject"] = lambda images: encoder.embed([pixels_of(image) for image in images])[1]
        if spec.clip is not None:
            from uso.bench.encoders.clip import ClipEncoder

            clip = ClipEncoder(spec.clip, spec.device)
            self._subject["clip_i"], self._text = clip.embed, clip.embed_texts
        if spec.dino is not None:
            from uso.bench.encoders.dino import DinoEncoder

            self._subject["dino"] = DinoEncoder(spec.dino, spec.device).embed
        if spec.csd is not None:
            from uso.bench.encoders.csd import CsdEncoder

            self._style["csd"] = CsdEncoder(Path(spec.csd), spec.device).embed

    def score(self, bench: BenchSet, items: Sequence[BenchItem], pictures: Sequence[Path]) -> list[Scores]:
        """Return the scores of pictures by column, in their order; a column that has no meaning for an item is absent.

        Raises ValueError naming an image that cannot be read.
        """
        images = [open_image(path) for path in pictures]
        scores: list[Scores] = [{} for _ in pictures]
        vectors = {key: embed(images) for key, embed in {**self._subject, **self._style}.items()}
        for key, embed in self._subject.items():
            self._against(scores, key, vectors[key], embed, bench, [item.likenesses for item in items])
        for key, embed in self._style.items():
            self._against(scores, key, vectors[key], embed, bench, [item.styles for item in items])
        if self._leak is not None:
            self._leaks(scores, vectors[self._leak], bench, items)
        if self._text is not None:
            self._texts(scores, vectors["clip_i"], items)
        for number, (item, image) in enumerate(zip(items, images, strict=True)):
            scores[number] |= self._by_pixels(bench, item, pixels_of(image))
        return [{key: round(value, _DECIMALS) for key, value in row.items()} for row in scores]

    def _against(
        self,
        scores: list[Scores],
        key: str,
        vectors: Vectors,
        embed: Embed,
        bench: BenchSet,
        references: Sequence[Sequence[str]],
    ) -> None:
        """Add the mean cosine of each picture and its references."""
        known = self._known(key, embed, bench, references)
        for row, vector, paths in zip(scores, vectors, references, strict=True):
            if paths:
                row[key] = float(np.mean([float(vector @ known[path]) for path in paths]))

    def _leaks(self, scores: list[Scores], vectors: Vectors, bench: BenchSet, items: Sequence[BenchItem]) -> None:
        assert self._leak is not None
        styles = [item.styles for item in items]
        known = self._known(self._leak, self._subject[self._leak], bench, styles)
        scorer, blank = StyleLeak(), np.zeros((1, 1, 3), np.uint8)
        for row, vector, paths in zip(scores, vectors, styles, strict=True):
            if paths:
                picture = View(blank, _NONE, vector)
                trios = [Trio(picture, View(blank, _NONE, known[path]), picture) for path in paths]
                row["style_leak"] = float(np.mean([scorer.score(trio) for trio in trios]))

    def _texts(self, scores: list[Scores], vectors: Vectors, items: Sequence[BenchItem]) -> None:
        assert self._text is not None
        prompts = list(dict.fromkeys(item.prompt for item in items if item.prompt.strip()))
        if prompts:
            told = dict(zip(prompts, self._text(prompts), strict=True))
            for row, vector, item in zip(scores, vectors, items, strict=True):
                if item.prompt in told:
                    row["clip_t"] = float(vector @ told[item.prompt])

    def _known(
        self, key: str, embed: Embed, bench: BenchSet, references: Sequence[Sequence[str]]
    ) -> Mapping[str, Vector]:
        """Return the vectors of reference images by their path in the set; each is embedded once."""
        paths = list(dict.fromkeys(path for group in references for path in group))
        fresh = [path for path in paths if (key, bench.image(path)) not in self._vectors]
        if fresh:
            for path, vector in zip(fresh, embed([open_image(bench.image(path)) for path in fresh]), strict=True):
                self._vectors[key, bench.image(path)] = vector
        return {path: self._vectors[key, bench.image(path)] for path in paths}

    def _by_pixels(self, bench: BenchSet, item: BenchItem, picture: Pixels) -> Scores:
        """Return what needs no encoder: copies, palette, layout."""
        drawn = _view(picture)
        scores: Scores = {}
        content = None if item.content is None else _view(self._reference(bench, item.content))
        truth = None if item.truth is None else _view(self._reference(bench, item.truth))
        styles = [_view(self._reference(bench, path)) for path in item.styles]
        if content is not None:
            pair = Trio(target=drawn, style=content, content=content)
            scores["copy_share"] = CopyPaste().score(pair)
            scores["copy_paste"] = float(scores["copy_share"] >= COPY_SHARE)
            scores["layout_shift"] = LayoutDistance().score(pair)
        if styles:
            scores["style_copy_share"] = max(CopyPaste().score(Trio(drawn, style, style)) for style in styles)
            scores["style_copy"] = float(scores["style_copy_share"] >= COPY_SHARE)
        right = truth or content
        if styles and right is not None:
            leaks = [PaletteLeak().score(Trio(target=right, style=style, content=drawn)) for style in styles]
            scores["palette_leak"] = float(np.mean(leaks))
        return scores

    def _reference(self, bench: BenchSet, path: str) -> Pixels:
        place = bench.image(path)
        if place not in self._pixels:
            self._pixels[place] = pixels_of(open_image(place))
        return self._pixels[place]


def pixels_of(image: Image.Image) -> Pixels:
    """Return an image as `[height, width, 3]` uint8, transparent parts on white."""
    return np.ascontiguousarray(flatten(image), dtype=np.uint8)


def _view(pixels: NDArray[np.uint8]) -> View:
    return View(pixels, _NONE, _NONE)


def describe_suite(spec: SuiteSpec) -> dict[str, Any]:
    """Return what a spec names, for the record."""
    return {"nano": spec.nano, **asdict(spec), "digest": spec.digest, "copy_share": COPY_SHARE}
