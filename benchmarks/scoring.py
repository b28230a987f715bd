"""Images per second of each scorer's tower, beside the plain library in a loop at the same batch.

Three ways take turns on the same images, round by round, and each round gives a ratio, so that a busy machine slows
all of them alike:

`CPU time` is what the processor worked for the tower, over what it worked for `plain`: it tells of overhead even where
others take the processor away. The ways:

- `raw`: the library's model called on batches that were prepared before, nothing else; no tower can be faster.
- `plain`: the library's own example: prepare a batch with its preprocessing, call the model, normalise; for open_clip
  that of its README.
- `tower`: `tower.embed(images)`, as the score stage calls it: prepares, calls, normalises, copies out, checks.

Models have the sizes of published ones (ViT-B and ViT-S; `--large` takes ViT-L and the like) and random weights; they
are saved to a folder and loaded as a user's. Reproduce with

    .venv/bin/python benchmarks/scoring.py --images 48 --rounds 7
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

Images = Sequence[np.ndarray]
SIDE = 224


@dataclass(frozen=True)
class Contest:
    """A tower, and the plain library's preprocessing and model of the same weights."""

    name: str
    tower: Any
    prepare: Callable[[Images], Tensor]
    model: Callable[[Tensor], Tensor]


def open_clip_contest(folder: Path, batch: int, *, small: bool) -> Contest:
    import open_clip
    from safetensors.torch import save_file

    from workers.towers.load import build_tower
    from workers.towers.settings import OpenClipSettings

    config = open_clip.get_model_config("ViT-B-32" if small else "ViT-L-14")
    place = folder / "clip"
    place.mkdir()
    (place / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    state = open_clip.CLIP(**config).state_dict()
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, place / "open_clip_model.safetensors")
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{place}")
    model.eval()
    return Contest(
        "open_clip",
        build_tower(OpenClipSettings(kind="open_clip", model=str(place), batch=batch)),
        lambda images: torch.stack([preprocess(Image.fromarray(image)) for image in images]),
        model.encode_image,
    )


def csd_contest(folder: Path, batch: int, *, small: bool) -> Contest:
    from torchvision import transforms

    from uso.training.reward.csd import CSDNetwork, CSDShape, CSDStyleScorer, save_csd
    from workers.towers.load import build_tower
    from workers.towers.settings import CsdSettings

    shape = CSDShape(patch=32, width=768, layers=12, output=512) if small else CSDShape()
    save_csd(CSDNetwork(shape), folder / "csd.safetensors")
    scorer = CSDStyleScorer.load(folder / "csd.safetensors")
    clip = transforms.Compose(
        [
            transforms.Resize(SIDE, interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(SIDE),
            transforms.ToTensor(),
            transforms.Normalize((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
        ]
    )
    return Contest(
        "csd",
        build_tower(CsdSettings(kind="csd", weights=folder / "csd.safetensors", batch=batch)),
        lambda images: torch.stack([clip(Image.fromarray(image)) for image in images]),
        lambda inputs: scorer.vectors(inputs)[0],
    )


def dinov2_contest(folder: Path, batch: int, *, small: bool) -> Contest:
    from transformers import Dinov2Config, Dinov2Model, ViTImageProcessor

    from workers.towers.load import build_tower
    from workers.towers.settings import Dinov2Settings

    width, layers = (384, 12) if small else (1024, 24)
    config = Dinov2Config(
        hidden_size=width, num_hidden_layers=layers, num_attention_heads=width // 64, image_size=SIDE, patch_size=14
    )
    model = Dinov2Model(config).eval()
    place = folder / "dinov2"
    model.save_pretrained(place)
    processor = ViTImageProcessor(size={"height": SIDE, "width": SIDE})
    processor.save_pretrained(place)
    return Contest(
        "dinov2",
        build_tower(Dinov2Settings(kind="dinov2", model=str(place), batch=batch)),
        lambda images: processor([Image.fromarray(image) for image in images], return_tensors="pt").pixel_values,
        lambda inputs: model(inputs).last_hidden_state[:, 0],
    )


def siglip_contest(folder: Path, batch: int, *, small: bool) -> Contest:
    from transformers import SiglipImageProcessor, SiglipVisionConfig, SiglipVisionModel

    from workers.towers.load import build_tower
    from workers.towers.settings import SiglipSettings

    width, layers = (384, 12) if small else (1152, 27)
    config = SiglipVisionConfig(
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=width // (64 if small else 72),
        intermediate_size=4 * width,
        image_size=SIDE,
        patch_size=16 if small else 14,
    )
    model = SiglipVisionModel(config).eval()
    place = folder / "siglip"
    model.save_pretrained(place)
    processor = SiglipImageProcessor(size={"height": SIDE, "width": SIDE})
    processor.save_pretrained(place)
    return Contest(
        "siglip",
        build_tower(SiglipSettings(kind="siglip", model=str(place), batch=batch)),
        lambda images: processor([Image.fromarray(image) for image in images], return_tensors="pt").pixel_values,
        lambda inputs: model(inputs).pooler_output,
    )


CONTESTS = {"open_clip": open_clip_contest, "csd": csd_contest, "dinov2": dinov2_contest, "siglip": siglip_contest}


def measure(contest: Contest, images: Images, *, batch: int, rounds: int) -> dict[str, Any]:
    """Return images per second of each way, medians over rounds, and the median of the rounds' ratios."""
    ready = [contest.prepare(images[start : start + batch]) for start in range(0, len(images), batch)]

    def raw() -> None:
        for inputs in ready:
            contest.model(inputs)

    def plain() -> None:
        for start in range(0, len(images), batch):
            vectors = contest.model(contest.prepare(images[start : start + batch]))
            torch.nn.functional.normalize(vectors, dim=-1).numpy()

    ways: dict[str, Callable[[], Any]] = {"raw": raw, "plain": plain, "tower": lambda: contest.tower.embed(images)}
    spent: dict[str, list[float]] = {name: [] for name in ways}
    worked: dict[str, list[float]] = {name: [] for name in ways}
    with torch.inference_mode():
        for way in ways.values():
            way()
        for number in range(rounds):
            order = list(ways) if number % 2 else list(reversed(ways))
            for name in order:
                start, worked_before = time.perf_counter(), time.process_time()
                ways[name]()
                spent[name].append(time.perf_counter() - start)
                worked[name].append(time.process_time() - worked_before)
    rates = {name: round(len(images) / statistics.median(times), 2) for name, times in spent.items()}
    work = statistics.median(p / t for p, t in zip(worked["plain"], worked["tower"], strict=True))
    against = {
        f"tower/{other}": round(statistics.median(o / t for o, t in zip(spent[other], spent["tower"], strict=True)), 3)
        for other in ("raw", "plain")
    }
    return {
        "tower": contest.name,
        **{f"{name} images/s": rate for name, rate in rates.items()},
        **against,
        "CPU time, tower/plain": round(1 / work, 3),
    }


def pictures(count: int, side: int) -> list[np.ndarray]:
    """Return smooth random pictures, which are resized as photographs are."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (count, 16, 16, 3), dtype=np.uint8)
    return [np.asarray(Image.fromarray(each).resize((side, side), Image.Resampling.BICUBIC)) for each in coarse]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--towers", default=",".join(CONTESTS), help="which, comma-separated")
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--side", type=int, default=512, help="of the images, in pixels")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1, help="torch's; a worker on Ray has one")
    parser.add_argument("--large", action="store_true", help="the largest published sizes, for a GPU or much patience")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    images = pictures(options.images, options.side)
    print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}, "
          f"batch {options.batch}, {options.images} images of {options.side} px, {options.rounds} rounds")  # fmt: skip
    for name in options.towers.split(","):
        with tempfile.TemporaryDirectory(prefix="triptych-scoring-") as folder:
            contest = CONTESTS[name](Path(folder), options.batch, small=not options.large)
            print(json.dumps(measure(contest, images, batch=options.batch, rounds=options.rounds)), flush=True)


if __name__ == "__main__":
    main()
