"""The files behind an expert: where they lie on this machine, and who they are."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from manifests.identities import digest_of, digest_of_file
from uso.encoders import reported, split_source, tokenizer_source
from uso.nano.vision import NANO_SOURCE, is_nano
from uso.nano.weights import SHIPPED
from workers.experts.base import ExpertRole
from workers.experts.uso.settings import UsoSettings

_READ = (".safetensors", ".json", ".txt", ".model")
"""Endings of what is read of a folder: weights, settings and vocabularies."""

_PARTS = ("transformer", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "vae")


def part_of(settings: UsoSettings, part: str) -> str:
    """Return the source of a part: its own, or that in the pipeline's folder, fetched first where it is a hub name.

    In a folder without `text_encoder_2` the one text encoder serves for both, as in the nano family.
    """
    own = {"transformer": settings.base, "text_encoder_2": settings.t5, "text_encoder": settings.clip}
    own["vae"] = settings.vae
    given = own[part]
    if given is not None:
        return str(given)
    folder = local_folder(settings.pipeline, _PARTS)
    if part == "text_encoder_2" and not (folder / part).is_dir():
        part = "text_encoder"
    return str(folder / part)


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
    patterns = [f"{part}/*{ending}" for part in within for ending in _READ] or [f"*{ending}" for ending in _READ]
    with reported(source):
        return Path(snapshot_download(name, allow_patterns=patterns)) / subfolder


def files_of(settings: UsoSettings) -> dict[str, Path]:
    """Return every file that the expert reads, by a name that does not change when a folder is moved."""
    named: dict[str, Path] = {"base": Path(part_of(settings, "transformer")), "vae": Path(part_of(settings, "vae"))}
    for name, part in (("t5", "text_encoder_2"), ("clip", "text_encoder")):
        encoder = local_folder(part_of(settings, part))
        named[name] = encoder
        named[f"{name}-tokenizer"] = Path(tokenizer_source(str(encoder))[0])
    named["vae"] = local_folder(str(named["vae"]))
    named |= {name: path for name in ("lora", "projector") if (path := getattr(settings, name)) is not None}
    if settings.reads_style and settings.vision is not None:
        named["vision"] = _vision_place(settings.vision)
    files = {}
    for name, place in named.items():
        if place.is_file():
            files[name] = place
        else:
            inside = sorted(path for path in place.rglob("*") if path.suffix in _READ and path.is_file())
            files |= {f"{name}/{path.relative_to(place).as_posix()}": path for path in inside}
    return files


def identity(settings: UsoSettings) -> dict[str, Any]:
    """Return who an expert is: its parameters, and the sha256 of every file that it reads, by name."""
    weights = {name: _sha256(path) for name, path in files_of(settings).items()}
    return {"parameters": settings.parameters(), "weights": weights}


def expert_digest(settings: UsoSettings, role: ExpertRole) -> str:
    """Return the digest of backend, role, parameters (prompt template included) and weights."""
    return digest_of({"backend": "uso", "role": role, "version": 1, **identity(settings)})


def _vision_place(source: str) -> Path:
    if source == NANO_SOURCE:
        return SHIPPED
    if is_nano(source):
        return Path(source.removeprefix(f"{NANO_SOURCE}:"))
    return local_folder(source)


def _sha256(path: Path) -> str:
    facts = path.stat()
    return _sha256_once(path.resolve(), facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=1024)
def _sha256_once(path: Path, size: int, modified: int) -> str:  # noqa: ARG001 - a file that changed is another key
    return digest_of_file(path)
