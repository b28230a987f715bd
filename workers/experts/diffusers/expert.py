"""An expert that edits with a pipeline of diffusers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from workers.batching import Batches, Spoilt
from workers.experts.base import ExpertFailure, ExpertRole, Gallery, Pixels
from workers.experts.diffusers.call import call_arguments
from workers.experts.diffusers.files import expert_digest
from workers.experts.diffusers.load import load_pipeline, quiet
from workers.experts.diffusers.settings import SIDE_STEP, DiffusersSettings
from workers.experts.editing.expert import Edit, EditingExpert
from workers.experts.editing.instructions import read_instructions
from workers.experts.picture_size import to_size

_SEEDS = 2**63


class DiffusersExpert(EditingExpert):
    """Draws with a pipeline that diffusers resolves; loaded from safetensors when the worker starts.

    Every row has a generator of its own, on the CPU, from its seed, and a batch is filled up to its size, so that an
    image does not depend on its neighbours. Raises ValueError on a pipeline that cannot be used as the spec says.
    """

    def __init__(self, settings: DiffusersSettings, role: ExpertRole, gallery: Gallery, *, device: str = "cpu") -> None:
        super().__init__(role, read_instructions(settings.instructions), gallery)
        self.settings = settings
        self.title = settings.title
        self._pipeline = load_pipeline(settings, device)
        self._batches = Batches(self.title, settings.batch, fills=True)

    @cached_property
    def digest(self) -> str:
        """Return the digest of backend, role, class, parameters, instructions and weights."""
        return expert_digest(self.settings, self.role)

    def edit(self, edits: Sequence[Edit]) -> list[Pixels | ExpertFailure]:
        """Return what the pipeline drew of each edit, at its size, or why it drew nothing."""
        by_size: dict[tuple[int, int], list[int]] = defaultdict(list)
        for number, edit in enumerate(edits):
            height, width = edit.picture.shape[:2]
            by_size[drawn_size(width, height, self.settings.size)].append(number)
        made: dict[int, Pixels | ExpertFailure] = {}
        for (width, height), numbers in by_size.items():
            drawn = self._batches.run(
                [edits[number] for number in numbers],
                lambda batch, width=width, height=height: self._draw(batch, width, height),  # type: ignore[misc]
            )
            for number, one in zip(numbers, drawn, strict=True):
                made[number] = ExpertFailure(one.reason, one.detail) if isinstance(one, Spoilt) else one
        return [made[number] for number in range(len(edits))]

    def _draw(self, edits: Sequence[Edit], width: int, height: int) -> list[Pixels | ExpertFailure]:
        """Draw edits of one size, the batch filled up by its last."""
        import torch

        filled = [*edits, *[edits[-1]] * (self._batches.size - len(edits))]
        pictures = [Image.fromarray(to_size(edit.picture, width, height)) for edit in filled]
        prompts = [edit.prompt for edit in filled]
        generators = [torch.Generator().manual_seed(edit.seed % _SEEDS) for edit in filled]
        arguments = call_arguments(self.settings, self._pipeline, width=width, height=height)
        if self.settings.negative_prompt is not None and len(filled) > 1:
            arguments["negative_prompt"] = [self.settings.negative_prompt] * len(filled)
        alone = len(filled) == 1
        with torch.inference_mode(), quiet():
            result = self._pipeline(
                image=pictures[0] if alone else pictures,
                prompt=prompts[0] if alone else prompts,
                generator=generators[0] if alone else generators,
                **arguments,
            )
        flagged = getattr(result, "nsfw_content_detected", None) or [False] * len(filled)
        return [_finished(image, bool(flag)) for image, flag in zip(result.images, flagged, strict=True)][: len(edits)]


def drawn_size(width: int, height: int, longer: int) -> tuple[int, int]:
    """Return the width and height nearest to a picture's shape, the longer side given, both multiples of 16."""
    factor = longer / max(width, height)
    sides = (max(SIDE_STEP, round(side * factor / SIDE_STEP) * SIDE_STEP) for side in (width, height))
    across, down = sides
    return across, down


def _finished(image: Any, flagged: bool) -> Pixels | ExpertFailure:
    """Return what came out, `[height, width, 3]` in 0 to 1, as pixels."""
    if flagged:
        return ExpertFailure("flagged", "the pipeline's own safety checker held the image back")
    values = np.asarray(image, dtype=np.float32)
    if not np.isfinite(values).all():
        return ExpertFailure("not_finite", "the pipeline drew values that are not finite; try another dtype")
    return (values * 255).round().clip(0, 255).astype(np.uint8)
