"""The label of a classifier, looked up in its configuration."""

from __future__ import annotations

from collections.abc import Mapping

from workers.towers.base import TowerError
from workers.towers.settings import ClassifierSettings


def label_place(labels: Mapping[int, str], settings: ClassifierSettings) -> int:
    """Return the place of the label among a model's logits. Raises TowerError naming the labels that there are."""
    for place, label in labels.items():
        if label == settings.label:
            return int(place)
    known = ", ".join(map(repr, labels.values()))
    raise TowerError(f"{settings.model}: knows no label {settings.label!r}; its labels are {known}")


def check_label(settings: ClassifierSettings, source: str) -> None:
    """Raise TowerError where the configuration of a classifier does not know the label; loads no weights."""
    from transformers import AutoConfig

    from uso.encoders import reported, split_source

    name, subfolder = split_source(source)
    with reported(settings.model):
        config = AutoConfig.from_pretrained(name, subfolder=subfolder)
    label_place(config.id2label, settings)
