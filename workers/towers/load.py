"""Building a tower from its settings, and saying who it is without building it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from manifests.identities import digest_of, digest_of_unchanged_file
from workers.towers.base import Tower, TowerError
from workers.towers.settings import (
    PLACES,
    ClassifierSettings,
    CsdSettings,
    Dinov2Settings,
    NanoSettings,
    OpenClipSettings,
    SscdSettings,
    TowerSettings,
)

_UNSEEN = {*PLACES, "batch", "threads"}
"""What does not decide a vector beyond rounding, or does so by the files behind it."""

_HUB_FILES = ("*.safetensors", "*.json", "*.txt")


def build_tower(settings: TowerSettings, *, device: str = "cpu") -> Tower:
    """Return a tower with its weights on a device.

    Raises ValueError (TowerError, EncoderError) naming the files that cannot be used, and the mend.
    """
    digest = tower_digest(settings)
    if isinstance(settings, NanoSettings):
        from workers.towers.nano_tower import NanoTower

        return NanoTower(settings)
    if isinstance(settings, CsdSettings):
        from workers.towers.csd_tower import CsdTower

        return CsdTower(settings, digest=digest, device=device)
    if isinstance(settings, OpenClipSettings):
        from workers.towers.open_clip_tower import OpenClipTower

        return OpenClipTower(settings, digest=digest, device=device)
    if isinstance(settings, SscdSettings):
        from workers.towers.sscd_tower import SscdTower

        return SscdTower(settings, digest=digest, device=device)
    source = str(model_folder(settings.model))
    if isinstance(settings, Dinov2Settings):
        from workers.towers.dinov2_tower import Dinov2Tower

        return Dinov2Tower(settings, source=source, digest=digest, device=device)
    if isinstance(settings, ClassifierSettings):
        from workers.towers.classifier import Classifier

        return Classifier(settings, source=source, digest=digest, device=device)
    from workers.towers.siglip_tower import SiglipTower

    return SiglipTower(settings, source=source, digest=digest, device=device)


def tower_digest(settings: TowerSettings) -> str:
    """Return who a tower is: a digest of its parameters and of the sha256 of the files that it reads.

    Each file is read once a process as long as it does not change. The nano encoder's digest is the sha256 of its
    weights. Raises ValueError or OSError where files are missing, or a hub name cannot be fetched.
    """
    files = files_of(settings)
    weights = {name: digest_of_unchanged_file(path) for name, path in files.items()}
    if isinstance(settings, NanoSettings):
        return weights["weights"]
    return digest_of({"parameters": _parameters(settings), "weights": weights})


def files_of(settings: TowerSettings) -> dict[str, Path]:
    """Return every file that a tower reads, by a name that does not change when files are moved."""
    if isinstance(settings, NanoSettings):
        from uso.nano.weights import SHIPPED

        return {"weights": settings.weights or SHIPPED}
    if isinstance(settings, CsdSettings | SscdSettings):
        return {"weights": settings.weights}
    if isinstance(settings, OpenClipSettings):
        from workers.towers.open_clip_files import weight_files

        return weight_files(settings)
    return model_files(settings.model)


def model_files(source: str) -> dict[str, Path]:
    """Return the files that transformers reads of a folder or hub name, by their names in it.

    Raises TowerError where the folder has no safetensors.
    """
    from uso.pipeline_folder import files_read

    files = files_read("model", model_folder(source))
    if not any(path.suffix == ".safetensors" for path in files.values()):
        raise TowerError(f"{source}: has no weights in safetensors; save the model with save_pretrained")
    return files


def model_folder(source: str) -> Path:
    """Return the folder of a transformers model; a hub name is fetched into the hub's cache first."""
    from uso.encoders import reported, split_source

    name, subfolder = split_source(source)
    if Path(name).is_dir():
        return Path(name) / subfolder
    from huggingface_hub import snapshot_download

    patterns = [f"{subfolder}/{pattern}" if subfolder else pattern for pattern in _HUB_FILES]
    with reported(source):
        return Path(snapshot_download(name, allow_patterns=patterns)) / subfolder


def _parameters(settings: TowerSettings) -> dict[str, Any]:
    kept = settings.model_dump(mode="json", exclude=_UNSEEN)
    if isinstance(settings, OpenClipSettings) and not Path(settings.model).exists():
        kept["model"] = settings.model
    return kept
