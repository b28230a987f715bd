"""A set as a product: every content image with every style image and every prompt, as USO-Bench is made."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from manifests.yaml_file import YamlError, describe, read_mapping
from uso.bench.bench_set import DEFAULT_SEED, BenchItem, BenchSet, check_distinct, write_set

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
SUBJECT = "{subject}"


class Prompts(BaseModel):
    """Prompts by task; `{subject}` stands for the name of the content image.

    `joint` takes the empty prompt, which keeps the content's layout. The counts of images are those of the paper.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: tuple[str, ...] = Field(default=(), description="With every content image.")
    style: tuple[str, ...] = Field(default=(), description="With every style image.")
    joint: tuple[str, ...] = Field(default=("",), description="With every pair; the empty one keeps the layout.")
    subject_images: int = Field(default=4, ge=1, description="Pictures a subject prompt.")
    style_images: int = Field(default=4, ge=1, description="Pictures a style prompt.")
    joint_images: int = Field(default=1, ge=1, description="Pictures a pair.")
    names: dict[str, str] = Field(default={}, description="What a content image's subject is called, by file stem.")

    @field_validator("style")
    @classmethod
    def _without_subject(cls, prompts: tuple[str, ...]) -> tuple[str, ...]:
        if any(SUBJECT in prompt for prompt in prompts):
            raise ValueError(f"{SUBJECT} has no meaning without a content image; name what is to be drawn")
        return prompts


@dataclass(frozen=True)
class Reference:
    """A content or style image of a set: its path in the set's folder, and its name."""

    path: str
    name: str


def read_prompts(path: Path) -> Prompts:
    """Read prompts from YAML. Raises YamlError naming the key at fault."""
    raw = read_mapping(path, (), example="")
    try:
        return Prompts.model_validate(raw)
    except ValidationError as error:
        raise YamlError("\n".join(f"{path}: {line}" for line in describe(error, page="docs/bench.md"))) from None


def product_items(contents: Sequence[Reference], styles: Sequence[Reference], prompts: Prompts) -> list[BenchItem]:
    """Return the items of all three tasks: subject-driven, style-driven, joint."""
    items = [
        BenchItem(
            _spoken(prompt, content, prompts),
            content.path,
            subject=content.name,
            likenesses=(content.path,),
            images=prompts.subject_images,
        )
        for content in contents
        for prompt in prompts.subject
    ]
    items += [
        BenchItem(prompt, styles=(style.path,), subject=prompt, style=style.name, images=prompts.style_images)
        for style in styles
        for prompt in prompts.style
    ]
    items += [
        BenchItem(
            _spoken(prompt, content, prompts),
            content.path,
            (style.path,),
            subject=content.name,
            style=style.name,
            likenesses=(content.path,),
            images=prompts.joint_images,
        )
        for content in contents
        for style in styles
        for prompt in prompts.joint
    ]
    return items


def build_product(
    content: Path, style: Path, prompts: Prompts, out: Path, *, name: str = "product", seed: int = DEFAULT_SEED
) -> BenchSet:
    """Build a set from two folders of images, which are copied into it; returns the set that was written.

    Raises ValueError where a folder has no images, or nothing is asked for.
    """
    contents = [_copied(image, "content", out) for image in images_in(content)]
    styles = [_copied(image, "style", out) for image in images_in(style)]
    items = product_items(contents, styles, prompts)
    if not items:
        raise ValueError(f"{content}, {style}: no prompts, so there is nothing to draw; see docs/bench.md")
    about = {"made": "content x style x prompts", "contents": len(contents), "styles": len(styles)}
    bench = BenchSet(out, name, tuple(items), seed=seed, about=about)
    check_distinct(bench)
    write_set(bench)
    return bench


def images_in(folder: Path) -> list[Path]:
    """Return the images of a folder by name. Raises ValueError where there are none, or two of one name."""
    found = sorted(path for path in folder.glob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise ValueError(f"{folder}: has no images ({', '.join(IMAGE_SUFFIXES)})")
    stems = [path.stem for path in found]
    for stem in stems:
        if stems.count(stem) > 1:
            raise ValueError(f"{folder}: two images are called {stem}; rename one")
    return found


def _copied(image: Path, part: str, out: Path) -> Reference:
    place = out / part / image.name
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(image, place)
    return Reference(f"{part}/{image.name}", image.stem)


def _spoken(prompt: str, content: Reference, prompts: Prompts) -> str:
    return prompt.replace(SUBJECT, prompts.names.get(content.name) or re.sub(r"[-_]+", " ", content.name))
