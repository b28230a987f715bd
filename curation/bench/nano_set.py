"""nano-bench: a set from the atelier, on subjects that nothing was fitted or trained on, with the truth beside it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, field_validator

from curation.gallery import fit, style_name
from curation.ingest.decode import decode
from curation.ingest.limits import Limits
from curation.sources.iconify import IconifySource
from manifests.identities import seed_of
from manifests.images import HELDOUT_FOLD, UNTREATED, ImageRef, fold_of
from uso.bench.bench_set import BenchItem, BenchSet, write_set
from workers.experts.base import Mask, Pixels
from workers.experts.layout_move import apply_move, draw_move
from workers.experts.prompt_template import checked_template
from workers.experts.retrieval_destylizer import register
from workers.treatments.registry import DEFAULT_TREATMENTS, treatment

Progress = Callable[[int, int], None]


class NanoBenchSpec(BaseModel):
    """What nano-bench is made of; all of it follows from the counts and the seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    contents: int = Field(default=24, ge=2, description="Held-out subjects as content references.")
    styles: int = Field(default=12, ge=2, description="Styles, each shown by one more held-out subject.")
    named: int = Field(default=4, ge=0, description="Subjects of the training split that style prompts name.")
    size: int = Field(default=96, ge=32, le=1024, description="Side of every image, in pixels.")
    seed: int = 0
    preserved: str | None = Field(default="", description="Prompt of pairs that keep the layout; none without it.")
    shifted: str | None = Field(default="a photo of {subject}", description="Prompt of pairs that move; none without.")
    style: str | None = Field(default="a photo of {subject}", description="Prompt with a style reference alone.")
    subject: str | None = Field(default="a photo of {subject}", description="Prompt with a content reference alone.")

    @field_validator("shifted", "style", "subject")
    @classmethod
    def _template(cls, prompt: str | None) -> str | None:
        if prompt is not None and not checked_template(prompt).strip():
            raise ValueError("the empty prompt asks for the layout to be kept; state one, or leave the task out")
        return prompt


@dataclass(frozen=True)
class _Styled:
    """A style of the set: family, treatment, and the held-out subject that shows it."""

    family: str
    treatment: str
    shown_by: str

    @property
    def name(self) -> str:
        return style_name(self.family, self.treatment)


def build_nano(spec: NanoBenchSpec, out: Path, *, progress: Progress | None = None) -> BenchSet:
    """Write nano-bench into a folder, and return it; the same spec gives the same files.

    Contents are 3-D renders of held-out subjects: as they are for pairs that keep the layout, and moved for those
    that do not. The truth is the subject's drawing by the style's hand under its treatment, in the content's place
    where the layout is kept. Raises CorpusMissing without the artwork, and ValueError where there are too few subjects.
    """
    atelier = _Atelier(spec)
    contents, styles, named = atelier.choose()
    studio = _Studio(atelier, spec, out)
    total = len(contents) * (2 + len(styles)) + len(styles) * (1 + len(named))
    items: list[BenchItem] = []
    done = 0

    def step(count: int = 1) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, total)

    references = {}
    for style in styles:
        references[style] = studio.drawing(style.shown_by, style, f"style/{style.name}.png")
        step()
    for subject in contents:
        still, moved = studio.renders(subject)
        step(2)
        spoken = subject.replace("-", " ")
        if spec.subject is not None:
            items.append(
                BenchItem(
                    spec.subject.format(subject=spoken),
                    moved,
                    subject=subject,
                    likenesses=(still,),
                    truth=still,
                )
            )
        for style in styles:
            for prompt, content in ((spec.preserved, still), (spec.shifted, moved)):
                if prompt is not None:
                    kept = content == still
                    place = f"truth/{style.name}/{subject}{'-kept' if kept else ''}.png"
                    items.append(
                        BenchItem(
                            prompt.format(subject=spoken),
                            content,
                            (references[style],),
                            subject=subject,
                            style=style.name,
                            likenesses=(content,),
                            truth=studio.drawing(subject, style, place, kept=kept),
                        )
                    )
            step()
    for style in styles if spec.style is not None else ():
        for subject in named:
            truth = studio.drawing(subject, style, f"truth/{style.name}/{subject}.png")
            items.append(
                BenchItem(
                    (spec.style or "").format(subject=subject.replace("-", " ")),
                    styles=(references[style],),
                    subject=subject,
                    style=style.name,
                    likenesses=(truth,),
                    truth=truth,
                )
            )
            step()
    about = {"made": "nano-bench: the atelier's held-out subjects", "spec": spec.model_dump(mode="json")}
    bench = BenchSet(out, "nano-bench", tuple(items), seed=spec.seed, about=about, credits=studio.credits())
    write_set(bench)
    return bench


class _Atelier:
    """Which drawings there are of which subject, and what is chosen of them."""

    def __init__(self, spec: NanoBenchSpec) -> None:
        source = IconifySource()
        self._spec = spec
        self._realistic = source.realistic_family
        self._drawings: dict[tuple[str, str], list[ImageRef]] = defaultdict(list)
        families: dict[str, set[str]] = defaultdict(set)
        for ref in source.refs():
            self._drawings[ref.subject, ref.family].append(ref)
            families[ref.subject].add(ref.family)
        self._families = sorted({family for found in families.values() for family in found} - {self._realistic})
        whole = [subject for subject, found in families.items() if len(found) == len(self._families) + 1]
        self._whole = sorted(whole, key=lambda subject: seed_of(subject, f"nano-bench/{spec.seed}"))

    def choose(self) -> tuple[list[str], list[_Styled], list[str]]:
        """Return content subjects, styles, and the training subjects that style prompts name: all drawn by every hand.

        Styles go through families and treatments evenly; each treatment stands once before one stands twice.
        """
        spec = self._spec
        heldout = [subject for subject in self._whole if fold_of(subject) == HELDOUT_FOLD]
        train = [subject for subject in self._whole if fold_of(subject) < HELDOUT_FOLD - 1]
        if spec.contents + spec.styles > len(heldout):
            raise ValueError(
                f"contents + styles: {spec.contents + spec.styles} held-out subjects are asked for, the atelier has "
                f"{len(heldout)} that every hand drew"
            )
        rng = np.random.default_rng(seed_of("styles", f"nano-bench/{spec.seed}"))
        families = [self._families[place] for place in rng.permutation(len(self._families))]
        names = [UNTREATED, *sorted(DEFAULT_TREATMENTS)]
        names = [names[place] for place in rng.permutation(len(names))]
        pairs = [
            (families[(turn + lap) % len(families)], name)
            for lap in range(len(families))
            for turn, name in enumerate(names)
        ]
        if spec.styles > len(pairs):
            raise ValueError(f"styles: {spec.styles} are asked for, the atelier has {len(pairs)}")
        shown = heldout[spec.contents : spec.contents + spec.styles]
        styles = [_Styled(*pair, subject) for pair, subject in zip(pairs[: spec.styles], shown, strict=True)]
        return heldout[: spec.contents], styles, train[: spec.named]

    def render(self, subject: str) -> ImageRef:
        """Return the realistic render of a subject."""
        return self._drawings[subject, self._realistic][0]

    def drawing(self, subject: str, family: str) -> ImageRef:
        """Return a family's drawing of a subject; by lot where it has several."""
        found = self._drawings[subject, family]
        return found[seed_of(f"{subject}/{family}", f"nano-bench/{self._spec.seed}") % len(found)]


class _Studio:
    """Makes the images of the set, and remembers whom they are owed to."""

    def __init__(self, atelier: _Atelier, spec: NanoBenchSpec, out: Path) -> None:
        self._atelier, self._spec, self._out = atelier, spec, out
        self._used: dict[str, ImageRef] = {}
        self._masks: dict[str, Mask] = {}

    def renders(self, subject: str) -> tuple[str, str]:
        """Return where the render of a subject lies, as it is and moved."""
        pixels, mask = self._load(self._atelier.render(subject))
        self._masks[subject] = mask
        move = draw_move(mask, seed=seed_of(subject, f"nano-bench/{self._spec.seed}/move"))
        moved = apply_move(pixels, mask, move, backdrop=np.full_like(pixels, 255))
        return self._save(pixels, f"content/{subject}.png"), self._save(moved, f"content/{subject}-moved.png")

    def drawing(self, subject: str, style: _Styled, place: str, *, kept: bool = False) -> str:
        """Return where a subject in a style lies; `kept` puts it in the place that its render has."""
        ref = self._atelier.drawing(subject, style.family)
        pixels, mask = self._load(ref)
        if kept:
            pixels, _, _ = register(pixels, mask, self._masks[subject])
        if style.treatment != UNTREATED:
            pixels = treatment(style.treatment).paint(pixels, seed=seed_of(ref.locator, style.treatment))
        return self._save(pixels, place)

    def _load(self, ref: ImageRef) -> tuple[Pixels, Mask]:
        size = self._spec.size
        decoded = decode(IconifySource().read(ref, size=size), Limits())
        assert decoded.alpha is not None  # everything in the atelier stands on a transparent ground
        self._used[ref.locator] = ref
        return fit(decoded.pixels, size), fit(decoded.alpha, size)

    def _save(self, pixels: Pixels, place: str) -> str:
        path = self._out / place
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        return place

    def credits(self) -> Sequence[dict[str, str | None]]:
        """Return the sets that images were taken from, with licence and author."""
        found = {(ref.package, ref.licence, ref.author, ref.attribution_url): ref for ref in self._used.values()}
        keys = ("package", "licence", "author", "attribution_url")
        return [dict(zip(keys, key, strict=True)) for key in sorted(found, key=str)]
