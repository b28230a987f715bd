"""The files behind an expert: where they lie on this machine, and who they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from manifests.identities import digest_of, digest_of_unchanged_file
from uso.encoders import reported, split_source, tokenizer_source
from uso.nano.vision import is_nano, nano_weights
from uso.pipeline_folder import READ, PipelinePart, files_read, part_in
from workers.experts.base import ExpertRole
from workers.experts.uso.settings import UsoSettings

_PARTS = ("transformer", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "vae")


def part_of(settings: UsoSettings, part: PipelinePart) -> str:
    """Return the source of a part: its own, or that in the pipeline's folder, fetched first where it is a hub name."""
    own = {"transformer": settings.base, "text_encoder_2": settings.t5, "text_encoder": settings.clip}
    own["vae"] = settings.vae
    given = own[part]
    if given is not None:
        return str(given)
    folder = local_folder(settings.pipeline, _PARTS)
    return str(part_in(folder, part))


def local_folder(source: str, parts: tuple[str, ...] = ()) -> Path:
    """Return the folder of a source (`//subfolder` after it); a hub name is fetched into the hub's cache.

    Of a hub name only what is read is fetched, in `parts` where some are named. Raises EncoderError naming the
    source where it is neither a folder nor can be fetched.
    """
    name, subfolder = split_source(source)
    if Path(name).is_dir():
        return Path(name) / subfolder
    from huggingface_hub import snapshot_download

    within = parts or ((subfolder,) if subfolder else ())
    patterns = [f"{part}/*{ending}" for part in within for ending in READ] or [f"*{ending}" for ending in READ]
    with reported(source):
        return Path(snapshot_download(name, allow_patterns=patterns)) / subfolder


def files_of(settings: UsoSettings) -> dict[str, Path]:
    """Return every file that the expert reads, by a name that does not change when a folder is moved."""
    named: dict[str, Path] = {"base": Path(part_of(settings, "transformer")), "vae": Path(part_of(settings, "vae"))}
    encoders: dict[str, PipelinePart] = {"t5": "text_encoder_2", "clip": "text_encoder"}
    for name, part in encoders.items():
        encoder = local_folder(part_of(settings, part))
        named[name] = encoder
        named[f"{name}-tokenizer"] = Path(tokenizer_source(str(encoder))[0])
    named["vae"] = local_folder(str(named["vae"]))
    named |= {name: path for name in ("lora", "projector") if (path := getattr(settings, name)) is not None}
    if settings.reads_style and settings.vision is not None:
        named["vision"] = nano_weights(settings.vision) if is_nano(settings.vision) else local_folder(settings.vision)
    return {inside: path for name, place in named.items() for inside, path in files_read(name, place).items()}


def identity(settings: UsoSettings) -> dict[str, Any]:
    """Return who an expert is: its parameters, and the sha256 of every file that it reads, by name."""
    weights = {name: digest_of_unchanged_file(path) for name, path in files_of(settings).items()}
    return {"parameters": settings.parameters(), "weights": weights}


def expert_digest(settings: UsoSettings, role: ExpertRole) -> str:
    """Return the digest of backend, role, parameters (prompt template included) and weights."""
    return digest_of({"backend": "uso", "role": role, "version": 1, **identity(settings)})
