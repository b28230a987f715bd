"""Weights of the nano tower in files: safetensors as float16, the tower's shape in their header."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from uso.nano.tower import NanoTower, TowerShape

SHIPPED = Path(__file__).parent / "weights" / "nano.safetensors"
"""The weights that ship with the package; their recipe and measured figures lie beside them as `nano.json`."""


def save_tower(tower: NanoTower, path: Path) -> None:
    """Write a tower's weights as float16 safetensors, its shape in the header."""
    tensors = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in tower.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".tmp")
    save_file(tensors, draft, metadata={"shape": tower.shape.model_dump_json()})
    draft.chmod(0o644)
    draft.replace(path)


def load_tower(path: Path = SHIPPED) -> NanoTower:
    """Return the tower of a weights file, float32, in evaluation mode.

    Raises ValueError where the file is not the weights of a tower, and FileNotFoundError where there is none.
    """
    try:
        with safe_open(path, framework="pt") as file:
            shape = TowerShape.model_validate_json((file.metadata() or {})["shape"])
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 - not a dict
        tower = NanoTower(shape)
        own = tower.state_dict()
        counters = {name: own[name] for name in own if name.endswith("num_batches_tracked")}
        tower.load_state_dict(tensors | counters)
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        cause = str(error).splitlines()[0]
        raise ValueError(f"{path} does not hold the weights of a nano encoder: {cause}") from error
    return tower.eval()
