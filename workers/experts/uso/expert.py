"""What both drawing experts share: an identity, a model that is loaded when first asked, and orders to it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Generic, TypeVar

from manifests.images import ImageRef
from uso.images import content_sizes
from workers.experts.base import Expert, ExpertFailure, ExpertImage, ExpertRequest, Pixels
from workers.experts.lineage import drawn_by
from workers.experts.picture_size import resized
from workers.experts.uso.files import expert_digest
from workers.experts.uso.model import Order, UsoModel
from workers.experts.uso.settings import UsoSettings

Settings = TypeVar("Settings", bound=UsoSettings)


class UsoExpert(Expert, Generic[Settings]):
    """Draws with a checkpoint in USO's format; images have the size of the target's longer side."""

    def __init__(self, settings: Settings, *, device: str = "cpu") -> None:
        self.settings = settings
        self.title = settings.title
        self._model = UsoModel(settings, device)

    @cached_property
    def digest(self) -> str:
        """Return the digest of backend, role, parameters, prompt template and every file of the weights."""
        return expert_digest(self.settings, self.role)

    def generate(self, requests: Sequence[ExpertRequest]) -> list[ExpertImage | ExpertFailure]:
        """Return a drawn image, or why there is none, for each request."""
        planned = [self._plan(request) for request in requests]
        orders = [plan[0] for plan in planned if not isinstance(plan, ExpertFailure)]
        drawn = iter(self._model.draw(orders))
        return [
            plan if isinstance(plan, ExpertFailure) else self._finished(request, *plan, next(drawn))
            for request, plan in zip(requests, planned, strict=True)
        ]

    @abstractmethod
    def _plan(self, request: ExpertRequest) -> tuple[Order, ImageRef, Sequence[ImageRef]] | ExpertFailure:
        """Return what to draw, the reference of the image to be, and the images that the network will see."""

    def _order(
        self, request: ExpertRequest, prompt: str, seed: int, picture: Pixels | None = None
    ) -> Order | ExpertFailure:
        """Return the order with the target, and a picture beside it, in their places."""
        height, width = request.target.shape[:2]
        try:
            size = content_sizes(width, height, self.settings.size)[1]
        except ValueError as error:
            return ExpertFailure("too_narrow", str(error))
        if self.settings.reads_style:
            return Order(prompt, size, seed, content=picture, style=request.target)
        return Order(prompt, size, seed, content=request.target)

    def _finished(
        self,
        request: ExpertRequest,
        order: Order,
        ref: ImageRef,
        inputs: Sequence[ImageRef],
        drawn: Pixels | ExpertFailure,
    ) -> ExpertImage | ExpertFailure:
        if isinstance(drawn, ExpertFailure):
            return drawn
        how = drawn_by(self.digest, self.title, prompt=order.prompt, seed=order.seed, inputs=inputs)
        return ExpertImage(resized(drawn, max(request.target.shape[:2])), ref, how)
