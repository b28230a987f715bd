"""Small sets of images to bench on."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from uso.bench.bench_set import BenchSet
from uso.bench.product import Prompts, build_product

PROMPTS = Prompts(
    subject=("a {subject} on the roof",),
    style=("a fox",),
    joint=("", "the {subject} in red"),
    subject_images=2,
    style_images=1,
)


def images(folder: Path, names: str, *, size: tuple[int, int] = (48, 32)) -> Path:
    """Write one picture of noise a name, each of its own."""
    folder.mkdir(parents=True)
    for number, name in enumerate(names.split()):
        noise = Image.effect_noise(size, 40 + 20 * number)
        tinted = Image.merge("RGB", (noise, noise.rotate(90 * (number + 1)), Image.new("L", size, 60 * number)))
        tinted.save(folder / f"{name}.png")
    return folder


def small_set(root: Path) -> BenchSet:
    """Return a set of two contents and two styles: 4 subject samples, 2 style samples, 8 joint ones."""
    contents, styles = images(root / "contents", "cat dog"), images(root / "styles", "ink chalk", size=(40, 40))
    return build_product(contents, styles, PROMPTS, root / "set")
