"""What open_clip reads for a model: names that it understands, and the files behind them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workers.towers.base import TowerError
from workers.towers.settings import OpenClipSettings

_READ = (".safetensors", ".bin", ".pt", ".pth", ".json", ".txt", ".model")
_HUB = "hf-hub:"


def known_name(settings: OpenClipSettings) -> str:
    """Return the model's name as open_clip takes it; a configuration of one's own is made known to open_clip first.

    Raises TowerError where open_clip knows no such model, or no weights are named.
    """
    import open_clip

    place = Path(settings.model)
    if settings.model.startswith(_HUB) or place.is_dir():
        if settings.pretrained is not None:
            raise TowerError(f"open_clip {settings.model}: brings its own weights; leave out `pretrained`")
        return settings.model if settings.model.startswith(_HUB) else f"local-dir:{settings.model}"
    if place.suffix == ".json":
        if not place.is_file():
            raise TowerError(f"open_clip {settings.model}: no such file")
        open_clip.add_model_config(place)
        name = place.stem
    else:
        name = settings.model.replace("/", "-")
    config = open_clip.get_model_config(name)
    if config is None:
        raise TowerError(
            f"open_clip knows no model {settings.model!r}: give one of open_clip.list_models(), hf-hub:OWNER/NAME, a "
            "folder with open_clip_config.json, or a JSON file with embed_dim, vision_cfg and text_cfg"
        )
    if settings.pretrained is None:
        raise TowerError(f"open_clip {settings.model}: has no weights; name a tag or a file as `pretrained`")
    _check_activation(name, settings, config)
    return name


def weight_files(settings: OpenClipSettings) -> dict[str, Path]:
    """Return the files that decide the model, by names that do not change when they are moved.

    What lies on the hub is fetched into its cache first. Raises TowerError where something is not there.
    """
    name = known_name(settings)
    place = Path(settings.model)
    if place.is_dir():
        inside = sorted(path for path in place.rglob("*") if path.suffix in _READ and path.is_file())
        return {f"model/{path.relative_to(place).as_posix()}": path for path in inside}
    from open_clip.pretrained import download_pretrained, download_pretrained_from_hf, get_pretrained_cfg

    try:
        if settings.model.startswith(_HUB):
            hub = settings.model.removeprefix(_HUB)
            config = download_pretrained_from_hf(hub, filename="open_clip_config.json")
            return {"config": Path(config), "weights": Path(download_pretrained_from_hf(hub))}
        own = {"config": place} if place.suffix == ".json" else {}
        assert settings.pretrained is not None
        tag = get_pretrained_cfg(name, settings.pretrained)
        if tag:
            return own | {"weights": Path(download_pretrained(tag))}
    except (OSError, RuntimeError) as error:
        raise TowerError(f"open_clip {settings.model}: its weights cannot be fetched: {error}") from error
    weights = Path(settings.pretrained)
    if not weights.is_file():
        from open_clip import list_pretrained_tags_by_model

        tags = ", ".join(list_pretrained_tags_by_model(name)) or "none"
        raise TowerError(f"open_clip {settings.model}: {settings.pretrained} is no file and no tag of it; tags: {tags}")
    return own | {"weights": weights}


def _check_activation(name: str, settings: OpenClipSettings, config: dict[str, Any]) -> None:
    """Refuse a tag that was trained with QuickGELU under a name that stands for GELU, or the other way round.

    open_clip only warns, and the vectors are wrong.
    """
    from open_clip.pretrained import get_pretrained_cfg

    tag = get_pretrained_cfg(name, settings.pretrained)
    if tag and bool(tag.get("quick_gelu", False)) != bool(config.get("quick_gelu", False)):
        quick = bool(tag.get("quick_gelu", False))
        trained = "with" if quick else "without"
        other = f"{name}-quickgelu" if quick else name.removesuffix("-quickgelu")
        raise TowerError(
            f"open_clip {settings.model}: {settings.pretrained} was trained {trained} QuickGELU; name the model {other}"
        )
