"""Small random models of the classes that jobs load, saved to folders as their libraries save them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import (
    Dinov2Config,
    Dinov2Model,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
)

from uso.training.reward.csd import CSDNetwork, CSDShape

SIDE = 28
WIDTH = 32
SMALL_CSD = CSDShape(side=28, patch=7, width=128, layers=2, output=24)

CLIP_CONFIG: dict[str, Any] = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": SIDE, "layers": 1, "width": WIDTH, "head_width": 16, "patch_size": 7},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": WIDTH, "heads": 2, "layers": 1},
}
_TRANSFORMER = {"hidden_size": WIDTH, "num_hidden_layers": 1, "num_attention_heads": 2, "patch_size": 7}
_PICTURE = {"image_size": SIDE, "intermediate_size": 64}


def pictures(count: int, seed: int = 0) -> list[np.ndarray]:
    """Return noise of different sizes."""
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 255, (30 + number, 44, 3), dtype=np.uint8) for number in range(count)]


def save_open_clip(folder: Path, seed: int = 0) -> Path:
    """Write a CLIP as open_clip's hub folders hold them, and the same as a JSON file and a .pt beside it."""
    from open_clip import CLIP

    torch.manual_seed(seed)
    model = CLIP(**CLIP_CONFIG)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": CLIP_CONFIG, "preprocess_cfg": {}}))
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return folder


def save_dinov2(folder: Path, seed: int = 0) -> Path:
    """Write a DINOv2 with its processor."""
    torch.manual_seed(seed)
    Dinov2Model(Dinov2Config(image_size=SIDE, mlp_ratio=2, **_TRANSFORMER)).save_pretrained(folder)
    ViTImageProcessor(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    return folder


def save_siglip(folder: Path, seed: int = 0) -> Path:
    """Write a whole SigLIP, both towers, with its processor."""
    torch.manual_seed(seed)
    text = {"hidden_size": WIDTH, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = SiglipConfig(text_config={**text, "vocab_size": 64}, vision_config={**_TRANSFORMER, **_PICTURE})
    SiglipModel(config).save_pretrained(folder)
    SiglipImageProcessor(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    return folder


def save_classifier(folder: Path, labels: tuple[str, ...] = ("normal", "nsfw"), seed: int = 0, **config: Any) -> Path:
    """Write an image classifier with its processor."""
    torch.manual_seed(seed)
    named = dict(enumerate(labels))
    settings = ViTConfig(
        id2label=named, label2id={v: k for k, v in named.items()}, **_TRANSFORMER, **_PICTURE, **config
    )
    ViTForImageClassification(settings).save_pretrained(folder)
    ViTImageProcessor(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    return folder


def released_csd(path: Path, seed: int = 0, without: str | None = None) -> dict[str, Tensor]:
    """Write a CSD checkpoint in the released form, a pickle with more in it than weights, and return its weights."""
    torch.manual_seed(seed)
    weights = CSDNetwork(SMALL_CSD).state_dict()
    state = {f"module.{name}": tensor for name, tensor in weights.items() if name != without}
    optimizer = {"state": {0: {"step": 3}}, "param_groups": [{"lr": 0.003, "params": [0]}]}
    torch.save({"model_state_dict": state, "optimizer_state_dict": optimizer, "epoch": 3}, path)
    return dict(weights)


def save_sscd(path: Path, seed: int = 0) -> Path:
    """Write a TorchScript descriptor, images to vectors, as SSCD is released."""
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Conv2d(3, 8, 8, stride=8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    torch.jit.save(torch.jit.trace(network.eval(), torch.zeros(1, 3, 32, 32)), str(path))
    return path


def save_aesthetic_head(path: Path, width: int = 24, seed: int = 0) -> nn.Sequential:
    """Write a predictor with the released one's names (layers 0, 2, 4, 6, 7), and return the network."""
    torch.manual_seed(seed)
    layers = [nn.Linear(width, 16), nn.Dropout(0.2), nn.Linear(16, 8), nn.Dropout(0.2), nn.Linear(8, 6)]
    network = nn.Sequential(*layers, nn.Dropout(0.1), nn.Linear(6, 4), nn.Linear(4, 1)).eval()
    state = {f"layers.{name}": tensor for name, tensor in network.state_dict().items()}
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return network
