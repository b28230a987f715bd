"""Loading a pipeline as the settings say: dtype, quantization, placing, offloading, compiling."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from uso.encoders import reported
from workers.experts.diffusers.files import require_usable
from workers.experts.diffusers.settings import DiffusersSettings, QuantizeSettings

_NETWORKS = ("transformer", "unet")


class PipelineError(ValueError):
    """A pipeline that cannot be loaded or placed as the spec says; the message names the key."""


def load_pipeline(settings: DiffusersSettings, device: str) -> Any:
    """Return a pipeline that is ready to draw on a device, from safetensors alone.

    Raises EncoderError or PipelineError (both ValueError) naming the pipeline, or the key that cannot be met.
    """
    from diffusers import DiffusionPipeline

    folder = require_usable(settings)
    if device == "cpu" and settings.device_map is not None:
        raise PipelineError("device_map: the worker has no GPU; give its stage one, or leave the key out")
    pipeline = _read(DiffusionPipeline, folder, settings, device)
    pipeline.set_progress_bar_config(disable=True)
    _place(pipeline, settings, device)
    _compile(pipeline, settings)
    return pipeline


@contextmanager
def quiet() -> Iterator[None]:
    """Keep both libraries from drawing bars, and from telling that CLIP reads no more than the start of a prompt."""
    from diffusers.utils import logging as ours
    from transformers.utils import logging as theirs

    before = [(library, library.get_verbosity()) for library in (ours, theirs)]
    for library, _ in before:
        library.set_verbosity_error()
        library.disable_progress_bar()
    try:
        yield
    finally:
        for library, verbosity in before:
            library.set_verbosity(verbosity)
            library.enable_progress_bar()


def _read(loader: Any, folder: Path, settings: DiffusersSettings, device: str) -> Any:
    import torch

    more: dict[str, Any] = {}
    if settings.quantize is not None:
        more["quantization_config"] = _quantization(settings.quantize, device)
    if settings.device_map is not None:
        more["device_map"] = settings.device_map
    with reported(settings.pipeline), quiet():
        return loader.from_pretrained(
            folder,
            dtype=getattr(torch, settings.dtype),
            variant=settings.variant,
            use_safetensors=True,
            local_files_only=True,
            **more,
        )


def _quantization(quantize: QuantizeSettings, device: str) -> Any:
    """Return the configuration of a quantization for both libraries that parts come from."""
    import importlib.util

    if importlib.util.find_spec(quantize.backend) is None:
        raise PipelineError(
            f"quantize.backend: {quantize.backend} is not installed; `pip install 'triptych[quantize]'` brings both"
        )
    if quantize.backend == "bitsandbytes" and device == "cpu":
        raise PipelineError("quantize.backend: bitsandbytes needs a GPU, and the worker has none; torchao does not")
    from diffusers import PipelineQuantizationConfig

    if quantize.backend == "bitsandbytes":
        eight = quantize.weights == "int8"
        kwargs = {"load_in_8bit": True} if eight else {"load_in_4bit": True, "bnb_4bit_quant_type": quantize.weights}
        return PipelineQuantizationConfig(
            quant_backend=f"bitsandbytes_{8 if eight else 4}bit",
            quant_kwargs=kwargs,
            components_to_quantize=list(quantize.parts),
        )
    return PipelineQuantizationConfig(quant_mapping={part: _torchao(part, quantize) for part in quantize.parts})


def _torchao(part: str, quantize: QuantizeSettings) -> Any:
    import torchao.quantization as ao

    weights = {"int8": "Int8WeightOnlyConfig", "float8": "Float8WeightOnlyConfig"}
    if part.startswith("text_encoder"):
        from transformers import TorchAoConfig
    else:
        from diffusers import TorchAoConfig
    return TorchAoConfig(getattr(ao, weights[quantize.weights])())


def _place(pipeline: Any, settings: DiffusersSettings, device: str) -> None:
    import torch

    try:
        if settings.offload == "model":
            pipeline.enable_model_cpu_offload(device=device)
        elif settings.offload == "group":
            streams = {"use_stream": True} if device != "cpu" else {}
            pipeline.enable_group_offload(
                onload_device=torch.device(device), offload_type="leaf_level", **streams, low_cpu_mem_usage=True
            )
        elif settings.device_map is None:
            pipeline.to(device)
    except (RuntimeError, ValueError, NotImplementedError) as error:
        raise PipelineError(f"offload: {settings.offload} cannot be used on {device}: {error}") from error


def _compile(pipeline: Any, settings: DiffusersSettings) -> None:
    if settings.compile == "none":
        return
    names = [name for name in _NETWORKS if getattr(pipeline, name, None) is not None]
    if not names:
        raise PipelineError(f"compile: {type(pipeline).__name__} has neither of {' and '.join(_NETWORKS)}")
    network = getattr(pipeline, names[0])
    if settings.compile == "whole":
        network.compile()
        return
    if not getattr(network, "_repeated_blocks", None):
        raise PipelineError(f"compile: {type(network).__name__} tells no repeated blocks; set it to `whole`")
    network.compile_repeated_blocks()
