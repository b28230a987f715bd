"""Image classifiers of transformers, for gates such as nsfw and watermark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import AutoModelForImageClassification

from uso.encoders import load_pretrained
from workers.towers.base import Pixels, TorchTower, Vectors
from workers.towers.classifier_label import label_place
from workers.towers.image_processor import ImageProcessor
from workers.towers.settings import ClassifierSettings


class Classifier(TorchTower):
    """The probability of one label, `[n, 1]`, 0 to 1, in place of a unit vector.

    Labels that exclude each other share a softmax; a model of a single label, or one that its configuration calls
    `multi_label_classification`, has a sigmoid for each. Raises EncoderError where the folder or hub name holds no
    classifier, and TowerError where it does not know the label.
    """

    heads: ClassVar[tuple[str, ...]] = ("probability",)

    def __init__(self, settings: ClassifierSettings, *, source: str, digest: str, device: str = "cpu") -> None:
        super().__init__(
            digest=digest, device=device, dtype=settings.dtype, batch=settings.batch, threads=settings.threads
        )
        dtype = getattr(torch, settings.dtype)
        self._model: Any = load_pretrained(AutoModelForImageClassification, source, dtype, device)
        self._model.eval().requires_grad_(False)
        self._processor = ImageProcessor(source)
        config: Any = self._model.config
        self._place = label_place(config.id2label, settings)
        self._independent = config.num_labels == 1 or config.problem_type == "multi_label_classification"

    def prepare(self, images: Sequence[Pixels]) -> Tensor:
        """Return images as the model's own processor makes them."""
        return self._processor(images)

    def encode(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the probability of the label, `[n, 1]`."""
        logits = self._model(pixel_values=inputs).logits.float()
        shares = logits.sigmoid() if self._independent else logits.softmax(dim=1)
        return (shares[:, self._place : self._place + 1],)

    def finish(self, outputs: Tensor) -> Vectors:
        """Return the probabilities as they are. Raises ValueError for one that is not finite."""
        if not bool(outputs.isfinite().all()):
            raise ValueError("the classifier's probability for an image is not finite")
        found: Vectors = outputs.cpu().numpy()
        return found
