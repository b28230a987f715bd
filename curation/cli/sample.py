"""`triptych sample`: draw images with a USO network, from files or from an evaluation JSON."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from curation.cli.failure import fail
from curation.cli.model import Dtype, model_library
from uso.pipeline_folder import part_in

if TYPE_CHECKING:
    from PIL import Image

    from uso.conditioning import Encoders
    from uso.network import USOTransformer
    from uso.sampler import Drawing, SampleSettings
    from uso.tasks import SampleRequest

CONTACT_SHEET = "contact_sheet.png"
SHEET_CELL = 224
CONTENT_SEED = 0
"""Seed of the draw of a content reference's latent: one for all images, so that each follows from its own seed."""

SHEET_ROWS = 100
"""Requests on the contact sheet; the images of the others are saved all the same."""


class ScheduleShift(StrEnum):
    """Values of `--shift`."""

    UPSTREAM = "upstream"
    TRUE = "true"
    NONE = "none"


class IdShift(StrEnum):
    """Values of `--id-shift`."""

    DIAGONAL = "d"
    ROWS = "h"
    COLUMNS = "w"
    ORIGIN = "o"


@dataclass(frozen=True)
class Weights:
    """Where the weights are: files for the network, folders or hub names for the encoders."""

    base: Path
    lora: Path | None
    projector: Path | None
    t5: str
    clip: str
    vae: str
    vision: str
    style_layers: tuple[int, int, int]


def sample(
    out: Annotated[Path, typer.Option(help="Folder for the images and the contact sheet.")],
    prompt: Annotated[
        str, typer.Option(help="What to draw. Empty with content and style: keep the content's layout.")
    ] = "",
    content: Annotated[Path | None, typer.Option(help="Content reference: the subject to keep.")] = None,
    style: Annotated[list[Path] | None, typer.Option(help="Style image; give it again for more.")] = None,
    eval_json: Annotated[
        Path | None,
        typer.Option(help='List of {"prompt", "image_paths": [content or "", style, ...]}, instead of a prompt.'),
    ] = None,
    pipeline: Annotated[
        Path | None, typer.Option(help="FLUX.1-dev in diffusers' layout: base, text encoders and autoencoder.")
    ] = None,
    base: Annotated[Path | None, typer.Option(help="Base weights: a BFL file or a diffusers folder.")] = None,
    lora: Annotated[Path | None, typer.Option(help="USO LoRA (dit_lora.safetensors).")] = None,
    projector: Annotated[Path | None, typer.Option(help="USO projector (projector.safetensors).")] = None,
    t5: Annotated[str | None, typer.Option(help="T5 encoder: folder or hub name, `name//subfolder`.")] = None,
    clip: Annotated[str | None, typer.Option(help="CLIP text encoder: folder or hub name.")] = None,
    vae: Annotated[str | None, typer.Option(help="Autoencoder: folder or hub name.")] = None,
    vision: Annotated[
        str, typer.Option(help="Vision tower: folder, hub name, or `nano`.")
    ] = "google/siglip-so400m-patch14-384",
    style_layers: Annotated[
        str, typer.Option(help="Hidden states that the projector reads, highest first.")
    ] = "-2,-11,-20",
    text_length: Annotated[int, typer.Option(min=1, help="T5 tokens of a prompt.")] = 512,
    content_side: Annotated[int, typer.Option(min=16, help="Long side of a content reference, in pixels.")] = 512,
    width: Annotated[int | None, typer.Option(help="Width in pixels, floored to 16 (1024 without it).")] = None,
    height: Annotated[int | None, typer.Option(help="Height in pixels, floored to 16.")] = None,
    images: Annotated[int, typer.Option(min=1, help="Images a prompt, with rising seeds.")] = 1,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of the first image of each prompt.")] = 3407,
    steps: Annotated[int, typer.Option(min=1, help="Euler steps.")] = 25,
    guidance: Annotated[float, typer.Option(min=0, help="Distilled guidance scale.")] = 4.0,
    shift: Annotated[
        ScheduleShift, typer.Option(help="Sequence length that shifts the schedule: upstream's, the true one, none.")
    ] = ScheduleShift.UPSTREAM,
    id_shift: Annotated[IdShift, typer.Option(help="Where content position ids start.")] = IdShift.DIAGONAL,
    cfg_scale: Annotated[
        float, typer.Option(min=0, help="Classifier-free guidance against no prompt and no references; 1: none.")
    ] = 1.0,
    batch_size: Annotated[int, typer.Option(min=1, help="Images drawn at once.")] = 1,
    dtype: Annotated[Dtype, typer.Option(help="Dtype of network and encoders.")] = Dtype.BFLOAT16,
    device: Annotated[str, typer.Option(help="Device to run on: cuda, cuda:1, mps, cpu.")] = "cpu",
) -> None:
    """Draw images: text only, subject, style, or both, told apart by the references that are given.

    Encoders are loaded one after the other and released, then the network is loaded. Every PNG carries its settings.

    Example: `triptych sample --pipeline flux --lora dit_lora.safetensors --projector projector.safetensors
    --content cat.png --style ink.png --prompt "the cat on a roof" --out drawn`
    """
    if out.exists() and not out.is_dir():
        raise fail(f"--out {out}: is a file; name a folder for the images")
    weights = _weights(pipeline, base, lora, projector, t5, clip, vae, vision, style_layers)
    with model_library():
        from uso.sampler import SampleSettings

        settings = SampleSettings(
            steps=steps,
            guidance=guidance,
            schedule_shift=shift.value,
            id_shift=id_shift.value,
            batch_size=batch_size,
            cfg_scale=cfg_scale,
        )
        requests = _requests(eval_json, prompt, content, style or [])
        _check_weights(weights, requests)
        sizes = _target_sizes(requests, width, height, content_side)
        encoders = _encoders(weights, dtype, device, text_length)
        shared = _run_settings(weights, settings, dtype, content_side, text_length)
        seeds = range(seed, seed + images)
        _draw(requests, sizes, weights, encoders, settings, dtype, device, content_side, seeds, shared, out)


def _weights(
    pipeline: Path | None,
    base: Path | None,
    lora: Path | None,
    projector: Path | None,
    t5: str | None,
    clip: str | None,
    vae: str | None,
    vision: str,
    style_layers: str,
) -> Weights:
    if pipeline is not None:
        if not pipeline.is_dir():
            raise fail(f"--pipeline {pipeline}: no such folder")
        base = base or part_in(pipeline, "transformer")
        t5 = t5 or str(part_in(pipeline, "text_encoder_2"))
        clip = clip or str(part_in(pipeline, "text_encoder"))
        vae = vae or str(part_in(pipeline, "vae"))
    if base is None or t5 is None or clip is None or vae is None:
        given = {"--base": base, "--t5": t5, "--clip": clip, "--vae": vae}
        lacking = [flag for flag, value in given.items() if value is None]
        raise fail(f"{', '.join(lacking)} missing; give them, or --pipeline with a FLUX.1-dev folder")
    try:
        high, mid, low = (int(layer) for layer in style_layers.split(","))
    except ValueError as error:
        raise fail(f"--style-layers {style_layers}: must be three numbers, such as -2,-11,-20") from error
    return Weights(base, lora, projector, t5, clip, vae, vision, (high, mid, low))


def _requests(eval_json: Path | None, prompt: str, content: Path | None, styles: list[Path]) -> list[SampleRequest]:
    from uso.tasks import SampleRequest, read_requests

    if eval_json is not None:
        if prompt or content or styles:
            raise fail("--eval-json brings its own prompts and images; leave out --prompt, --content and --style")
        return read_requests(eval_json)
    if not prompt and content is None and not styles:
        raise fail("nothing to draw: give --prompt, --content, --style or --eval-json")
    return [SampleRequest(prompt, content, tuple(styles))]


def _check_weights(weights: Weights, requests: list[SampleRequest]) -> None:
    """Fail before anything is loaded when a weight file would not load, or one that is needed was not given."""
    from uso.checkpoint import require_fit

    require_fit(weights.base, weights.lora, weights.projector)
    if weights.projector is None and any(request.styles for request in requests):
        raise fail("style images need --projector, which turns them into tokens")


def _target_sizes(
    requests: list[SampleRequest], width: int | None, height: int | None, content_side: int
) -> list[tuple[int, int]]:
    from uso.conditioning import open_image
    from uso.images import content_sizes

    sizes = []
    for request in requests:
        for style in request.styles:
            open_image(style)
        content_size = None if request.content is None else open_image(request.content).size
        if content_size is not None:
            content_sizes(*content_size, content_side)
        sizes.append(request.target_size(width, height, content_size))
    return sizes


def _encoders(weights: Weights, dtype: Dtype, device: str, text_length: int) -> Encoders:
    import torch

    from uso.conditioning import Encoders
    from uso.latents import LatentCodec
    from uso.text import CLIPTextEncoder, T5Encoder
    from uso.vision import load_vision

    chosen = getattr(torch, dtype.value)
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise fail(f"--device {device}: not usable here ({str(error).splitlines()[0]})") from error
    return Encoders(
        t5=lambda: T5Encoder.load(weights.t5, dtype=chosen, device=device, length=text_length),
        clip=lambda: CLIPTextEncoder.load(weights.clip, dtype=chosen, device=device),
        codec=lambda: LatentCodec.load(weights.vae, dtype=chosen, device=device),
        vision=lambda: load_vision(weights.vision, dtype=chosen, device=device, layers=weights.style_layers),
    )


def _draw(
    requests: list[SampleRequest],
    sizes: list[tuple[int, int]],
    weights: Weights,
    encoders: Encoders,
    settings: SampleSettings,
    dtype: Dtype,
    device: str,
    content_side: int,
    seeds: range,
    shared: dict[str, object],
    out: Path,
) -> None:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from uso.conditioning import encode_requests
    from uso.sampler import Drawing, draw_each
    from uso.saved_png import save_png
    from uso.tasks import SampleRequest

    console = Console(stderr=True)
    with console.status("Encoding") as status:
        conditions = encode_requests(
            requests,
            encoders,
            long_side=content_side,
            posterior_seed=CONTENT_SEED,
            on_stage=lambda stage: status.update(f"Encoding: {stage}"),
        )
        status.update("Loading the network")
        against = None
        if settings.cfg_scale != 1:
            against = encode_requests([SampleRequest("")], encoders, long_side=content_side)[0]
        network = _load_network(weights, dtype, device)
        codec = encoders.codec()
    drawings = [
        Drawing(condition, size, seed, against)
        for condition, size in zip(conditions, sizes, strict=True)
        for seed in seeds
    ]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    thumbnails: dict[int, Image.Image] = {}
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("Euler steps", total=settings.steps * len(drawings))
        for index, latent in draw_each(network, drawings, settings, lambda moved: bar.advance(task, moved)):
            image = codec.decode_images(latent)[0]
            number, turn = divmod(index, len(seeds))
            path = out / f"{requests[number].output_name(number)}_{turn}.png"
            save_png(image, path, shared | _own_settings(requests[number], drawings[index]))
            if number < SHEET_ROWS:
                image.thumbnail((SHEET_CELL, SHEET_CELL))
                thumbnails[index] = image
    _save_sheet(requests[:SHEET_ROWS], thumbnails, seeds, out)
    typer.echo(f"{len(drawings)} images and {CONTACT_SHEET} in {out}.")


def _load_network(weights: Weights, dtype: Dtype, device: str) -> USOTransformer:
    import torch

    from uso.checkpoint import load_network
    from uso.presets import StyleShape

    return load_network(
        weights.base,
        lora=weights.lora,
        projector=weights.projector,
        style=StyleShape(layers=weights.style_layers),
        dtype=getattr(torch, dtype.value),
        device=device,
    )


def _run_settings(
    weights: Weights, settings: SampleSettings, dtype: Dtype, content_side: int, text_length: int
) -> dict[str, object]:
    """Return what every PNG of a run carries: how it was drawn, and the files and folders of all parts by name."""
    from dataclasses import asdict

    parts = asdict(weights)
    layers = parts.pop("style_layers")
    return (
        asdict(settings)
        | {part: None if source is None else Path(source).name for part, source in parts.items()}
        | {"dtype": dtype.value, "content_side": content_side, "text_length": text_length, "style_layers": layers}
    )


def _own_settings(request: SampleRequest, drawing: Drawing) -> dict[str, object]:
    """Return what one PNG alone carries: its prompt, references by name, seed and size."""
    return {
        "prompt": request.prompt,
        "task": request.task.value,
        "content": None if request.content is None else request.content.name,
        "styles": [style.name for style in request.styles],
        "seed": drawing.seed,
        "width": drawing.size[0],
        "height": drawing.size[1],
    }


def _save_sheet(requests: list[SampleRequest], thumbnails: dict[int, Image.Image], seeds: range, out: Path) -> None:
    from uso.conditioning import open_image
    from uso.contact_sheet import SheetRow, contact_sheet

    rows = []
    for number, request in enumerate(requests):
        pictures = [(f"seed {seed}", thumbnails[number * len(seeds) + turn]) for turn, seed in enumerate(seeds)]
        references = [] if request.content is None else [("content", open_image(request.content))]
        references += [("style", open_image(style)) for style in request.styles]
        caption = f"{number}. {request.prompt or '(empty prompt)'} - {request.task.value}"
        rows.append(SheetRow(caption, references, pictures))
    contact_sheet(rows, SHEET_CELL).save(out / CONTACT_SHEET)
