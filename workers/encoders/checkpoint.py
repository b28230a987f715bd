"""Saving and loading of a fit in progress, in safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from workers.encoders.recipe import Recipe


def save_checkpoint(path: Path, tower: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, step: int) -> None:
    """Write the state after `step` steps, replacing an earlier one in a single move."""
    tensors = {f"tower.{name}": tensor.contiguous() for name, tensor in tower.state_dict().items()}
    for position, entries in optimizer.state_dict()["state"].items():
        for name, tensor in entries.items():
            tensors[f"optimizer.{position}.{name}"] = tensor.contiguous()
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".tmp")
    save_file(tensors, draft, metadata={"recipe": recipe.model_dump_json(), "step": str(step)})
    draft.replace(path)


def load_checkpoint(path: Path, tower: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe) -> int:
    """Restore what `save_checkpoint` wrote and return the number of steps done, 0 where there is no checkpoint.

    Raises ValueError where the checkpoint is of another recipe.
    """
    if not path.exists():
        return 0
    towers: dict[str, Tensor] = {}
    entries: dict[int, dict[str, Tensor]] = {}
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        if Recipe.model_validate_json(metadata["recipe"]) != recipe:
            raise ValueError(f"{path} is of a fit with another recipe; delete it, or choose another --out")
        for key in file.keys():  # noqa: SIM118 - not a dict
            kind, _, name = key.partition(".")
            if kind == "tower":
                towers[name] = file.get_tensor(key)
            else:
                position, _, entry = name.partition(".")
                entries.setdefault(int(position), {})[entry] = file.get_tensor(key)
    tower.load_state_dict(towers)
    state: dict[str, Any] = optimizer.state_dict()
    state["state"] = entries
    optimizer.load_state_dict(state)
    return int(metadata["step"])
