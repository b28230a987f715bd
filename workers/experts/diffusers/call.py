"""What a pipeline's call takes: settings by the names of its arguments, checked before any work."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from workers.experts.diffusers.settings import DiffusersSettings

ARGUMENTS: dict[str, str] = {
    "steps": "num_inference_steps",
    "guidance": "guidance_scale",
    "true_cfg_scale": "true_cfg_scale",
    "image_guidance": "image_guidance_scale",
    "strength": "strength",
    "negative_prompt": "negative_prompt",
    "text_length": "max_sequence_length",
}
"""The argument behind each setting."""

BATCHED: tuple[str, ...] = ("FluxKontextPipeline", "StableDiffusionInstructPix2PixPipeline")
"""Classes that take a list of pictures as one picture a prompt. Others may take it as several pictures of one prompt,
as QwenImageEditPlusPipeline does: they are given one at a time."""

_OURS = ("image", "prompt", "generator", "height", "width", "max_area", "_auto_resize", "output_type", "return_dict")


def require_call(settings: DiffusersSettings, pipeline: Any, parts: Sequence[str]) -> None:
    """Check that a pipeline's class takes all that is set. Raises ValueError naming the setting and the mend."""
    name, taken = pipeline.__name__, inspect.signature(pipeline.__call__).parameters
    for needed in ("image", "prompt"):
        if needed not in taken:
            raise ValueError(
                f"pipeline: {name} takes no {needed}; an expert needs one that edits a picture by a prompt"
            )
    for key, argument in ARGUMENTS.items():
        if getattr(settings, key) is not None and argument not in taken:
            raise ValueError(f"{key}: {name} has no argument {argument}; leave {key} out")
    for key in settings.arguments:
        if key in _OURS or key in ARGUMENTS.values():
            raise ValueError(f"arguments.{key}: is set by the expert itself, or by a key of its own")
        if key not in taken:
            raise ValueError(f"arguments.{key}: {name} has no such argument; see the documentation of the pipeline")
    if settings.batch > 1 and name not in BATCHED:
        raise ValueError(f"batch: {name} is given one picture at a time; set it to 1")
    absent = [part for part in (settings.quantize.parts if settings.quantize else ()) if part not in parts]
    if absent:
        raise ValueError(f"quantize.parts: {name} has no part {absent[0]!r}, but {', '.join(parts)}")


def call_arguments(settings: DiffusersSettings, pipeline: Any, *, width: int, height: int) -> dict[str, Any]:
    """Return the arguments of a call beside pictures, prompts and generators: settings, and the size of what comes out.

    Kontext would choose a size of its own; it is told to keep ours.
    """
    taken = inspect.signature(type(pipeline).__call__).parameters
    given = {argument: getattr(settings, key) for key, argument in ARGUMENTS.items()}
    arguments = {name: value for name, value in given.items() if value is not None} | settings.arguments
    size = {"width": width, "height": height, "max_area": width * height, "_auto_resize": False}
    return arguments | {name: value for name, value in size.items() if name in taken} | {"output_type": "np"}
