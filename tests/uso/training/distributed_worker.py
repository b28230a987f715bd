"""One process of a run, as torchrun starts it: trains a recipe file and leaves."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from uso.training.chain import Order, run_order
from uso.training.distributed import join, leave


def main() -> None:
    """Train the recipe of argv on the store and folder of argv; what follows are overrides."""
    recipe, store, out, *overrides = sys.argv[1:]
    torch.set_num_threads(1)
    world = join()
    try:
        run_order(Order(Path(recipe), Path(out), (store,), tuple(overrides), resume="latest"), world)
    finally:
        leave(world)


if __name__ == "__main__":
    main()
