"""De-stylize by drawing: the target's subject as a photograph."""

from __future__ import annotations

from collections.abc import Sequence

from manifests.images import ImageRef
from workers.experts.base import ExpertFailure, ExpertRequest, ExpertRole
from workers.experts.lineage import destylized_ref
from workers.experts.uso.expert import UsoExpert
from workers.experts.uso.model import Order
from workers.experts.uso.settings import DestylizeSettings


class UsoDestylizer(UsoExpert[DestylizeSettings]):
    """Draws the content reference from the target (USO 3.2).

    The request's own prompt is the prompt: empty to keep the layout, the subject's name to draw it elsewhere.
    """

    role: ExpertRole = "destylize"

    def _plan(self, request: ExpertRequest) -> tuple[Order, ImageRef, Sequence[ImageRef]] | ExpertFailure:
        order = self._order(request, request.prompt, request.seed)
        if isinstance(order, ExpertFailure):
            return order
        return order, destylized_ref(request, self.digest), [request.target_ref]
