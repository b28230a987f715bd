"""Two processes share one sequence through diffusers' context parallelism; run by test_context_parallel.py."""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist
from diffusers import ContextParallelConfig

from uso.reference_file import load_reference
from uso.velocity import predict_velocity


def work(rank: int, reference_path: str, port: int) -> None:
    os.environ.update(RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2)
    # diffusers numbers accelerators when it sets parallelism up; a machine without any has one to count: the CPU.
    torch.accelerator.device_count = lambda: 1
    reference = load_reference(Path(reference_path))
    tensors, conditions = reference.tensors, reference.conditions(1, 1)
    conditions = replace(conditions, text=conditions.text[:, :6])
    inputs = tensors["in/latent"], tensors["in/t"], tensors["in/guidance"], conditions
    alone, shared = reference.network().requires_grad_(False), reference.network().requires_grad_(False)
    shared.enable_parallelism(config=ContextParallelConfig(ulysses_degree=2))
    torch.testing.assert_close(predict_velocity(shared, *inputs), predict_velocity(alone, *inputs), atol=1e-5, rtol=0)
    dist.destroy_process_group()


if __name__ == "__main__":
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        chosen = free.getsockname()[1]
    torch.multiprocessing.spawn(work, args=(sys.argv[1], chosen), nprocs=2)
