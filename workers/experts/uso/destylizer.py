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

    Where the layout is to be kept the prompt is empty, whatever the triplet's own is; else it is the request's.
    """

    role: ExpertRole = "destylize"

    def _plan(self, request: ExpertRequest) -> tuple[Order, ImageRef, Sequence[ImageRef]] | ExpertFailure:
        prompt = "" if request.layout == "preserved" else request.prompt
        order = self._order(request, prompt, request.seed)
        if isinstance(order, ExpertFailure):
            return order
        return order, destylized_ref(request, self.digest), [request.target_ref]
