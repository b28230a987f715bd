"""Style reward by CSD (Somepalli et al. 2024, "Measuring Style Similarity in Diffusion Models"), the paper's scorer."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from manifests.identities import digest_of_file

_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

_HEAD_WIDTH = 64
_PREFIX = "module."
_BLOCK = re.compile(r"backbone\.transformer\.resblocks\.(\d+)\.")


@dataclass(frozen=True)
class CSDShape:
    """Sizes of a CSD network; the defaults are those of the released one, on CLIP ViT-L/14."""

    side: int = 224
    patch: int = 14
    width: int = 1024
    layers: int = 24
    output: int = 768

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> CSDShape:
        """Return the sizes of a checkpoint's network as its weights tell them; the released sizes where they do not."""
        sizes: dict[str, int] = {}
        patches, places = tensors.get("backbone.conv1.weight"), tensors.get("backbone.positional_embedding")
        if patches is not None and patches.ndim == 4:
            sizes |= {"width": patches.shape[0], "patch": patches.shape[-1]}
            if places is not None and places.ndim == 2 and len(places) > 1:
                sizes["side"] = math.isqrt(len(places) - 1) * patches.shape[-1]
        blocks = {match[1] for name in tensors if (match := _BLOCK.match(name))}
        if blocks:
            sizes["layers"] = len(blocks)
        style = tensors.get("last_layer_style", tensors.get("last_layer_content"))
        if style is not None and style.ndim == 2:
            sizes["output"] = style.shape[1]
        return cls(**sizes)


class CSDNetwork(nn.Module):
    """OpenAI CLIP's visual tower without its projection, and two matrices in its place: for style, and for content.

    Its names are those of the released checkpoint without `module.`. Raises ImportError where open_clip is missing.
    """

    def __init__(self, shape: CSDShape) -> None:
        super().__init__()
        try:
            from open_clip.transformer import LayerNorm, QuickGELU, VisionTransformer
        except ImportError as error:
            raise ImportError("CSD needs open_clip: pip install open_clip_torch") from error
        self.shape = shape
        self.backbone = VisionTransformer(
            image_size=shape.side,
            patch_size=shape.patch,
            width=shape.width,
            layers=shape.layers,
            heads=max(1, shape.width // _HEAD_WIDTH),
            mlp_ratio=4.0,
            output_dim=shape.output,
            act_layer=QuickGELU,
            norm_layer=LayerNorm,
        )
        self.backbone.proj = None
        self.last_layer_style = nn.Parameter(shape.width**-0.5 * torch.randn(shape.width, shape.output))
        self.last_layer_content = nn.Parameter(shape.width**-0.5 * torch.randn(shape.width, shape.output))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return (style, content), each `[B, output]` of unit length, of what `clip_pixels` gives."""
        features = self.backbone(images)
        style = functional.normalize(features @ self.last_layer_style, dim=1)
        content = functional.normalize(features @ self.last_layer_content, dim=1)
        return style, content


class CSDStyleScorer:
    """CSD's style and content vectors, differentiable."""

    def __init__(self, network: CSDNetwork, digest: str) -> None:
        self.digest = digest
        self._network = network.eval().requires_grad_(False)

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        device: torch.device | str = "cpu",
        shape: CSDShape | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> CSDStyleScorer:
        """Load weights from safetensors, whole: `convert_released` makes the file from the released checkpoint.

        Sizes are those that the weights have, or `shape` where it is given. Raises ValueError when the file is none, or
        weights are missing, unexpected or of another shape, and ImportError where open_clip is missing.
        """
        try:
            tensors = {name: tensor.to(dtype) for name, tensor in load_file(path, device=str(device)).items()}
        except SafetensorError as error:
            raise ValueError(
                f"{path}: CSD is loaded from safetensors only ({error}); "
                "convert the released checkpoint with `triptych encoders csd-convert`"
            ) from error
        return cls(_network_of(tensors, shape or CSDShape.of(tensors), path), digest_of_file(path))

    @property
    def shape(self) -> CSDShape:
        """Return the network's sizes."""
        return self._network.shape

    def embed(self, images: Tensor) -> Tensor:
        """Return style vectors `[B, 768]` of unit length, of images `[B, 3, h, w]` in -1..1."""
        return self._vectors(images)[0]

    def subject(self, images: Tensor) -> Tensor:
        """Return content vectors `[B, 768]` of unit length, of images `[B, 3, h, w]` in -1..1."""
        return self._vectors(images)[1]

    def vectors(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return style and content vectors, each `[B, 768]` of unit length, of what `clip_pixels` gives."""
        found: tuple[Tensor, Tensor] = self._network(pixels)
        return found

    def _vectors(self, images: Tensor) -> tuple[Tensor, Tensor]:
        images = images.to(self._network.last_layer_style)
        with torch.autocast(images.device.type, enabled=False):
            vectors: tuple[Tensor, Tensor] = self._network(clip_pixels((images + 1) / 2, self._network.shape.side))
        return vectors


def clip_pixels(images: Tensor, side: int) -> Tensor:
    """Return images `[B, 3, h, w]` in 0..1 as CLIP takes them, `[B, 3, side, side]`, differentiably.

    The short side is brought to `side` by bicubic interpolation with antialiasing, as Pillow does it; what overshoots
    is cut off, the centre is kept, and mean and deviation are CLIP's.
    """
    height, width = images.shape[-2:]
    short = min(height, width)
    if short != side:
        size = (int(side * height / short), int(side * width / short))
        images = functional.interpolate(images, size=size, mode="bicubic", antialias=True).clamp(0, 1)
    top, left = (round((length - side) / 2) for length in images.shape[-2:])
    images = images[..., top : top + side, left : left + side]
    mean, std = (images.new_tensor(numbers)[:, None, None] for numbers in (_CLIP_MEAN, _CLIP_STD))
    return (images - mean) / std


def save_csd(network: CSDNetwork, path: Path) -> None:
    """Write a network's weights as `CSDStyleScorer.load` reads them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, path)


def convert_released(checkpoint: Path, path: Path, *, shape: CSDShape | None = None) -> None:
    """Write the weights of CSD's released checkpoint, a pickle, as safetensors; nothing in it is run.

    Sizes are those that the weights have, or `shape` where it is given; what else the checkpoint holds (epoch,
    optimizer) is left behind. Raises ValueError when it holds no CSD network, or more than tensors and plain values.
    """
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)["model_state_dict"]
    except Exception as error:
        cause = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{checkpoint}: is no checkpoint of CSD that can be read safely: {cause}") from error
    tensors = {name.removeprefix(_PREFIX): tensor.float() for name, tensor in state.items()}
    save_csd(_network_of(tensors, shape or CSDShape.of(tensors), checkpoint), path)


def _network_of(tensors: Mapping[str, Tensor], shape: CSDShape, path: Path) -> CSDNetwork:
    with torch.device("meta"):
        network = CSDNetwork(shape)
    expected = network.state_dict()
    faults = {
        "missing": sorted(expected.keys() - tensors.keys()),
        "unexpected": sorted(tensors.keys() - expected.keys()),
        "of another shape": sorted(
            name for name in expected.keys() & tensors.keys() if expected[name].shape != tensors[name].shape
        ),
    }
    told = [f"{len(names)} {fault} ({', '.join(names[:3])})" for fault, names in faults.items() if names]
    if told:
        raise ValueError(f"{path}: does not hold the weights of a CSD network of {shape}: {'; '.join(told)}")
    network.load_state_dict(tensors, assign=True)
    return network
