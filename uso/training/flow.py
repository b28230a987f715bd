"""Flow matching as USO and UNO train it: x_t = (1 - t) x_0 + t eps, and the network predicts eps - x_0."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from uso.network import USOTransformer
from uso.packing import pack
from uso.position_ids import IdShift
from uso.schedule import ScheduleShift, shift_mu, shift_time
from uso.training.draws import Draws
from uso.velocity import Conditions, predict_velocity

SCHEDULE_POINTS = 1000

Times = Literal["schedule", "logit_normal"]


def flow_losses(
    network: USOTransformer,
    clean: Tensor,
    noise: Tensor,
    time: Tensor,
    conditions: Conditions,
    *,
    guidance: float = 1.0,
    id_shift: IdShift = "d",
) -> Tensor:
    """Return each sample's mean squared error `[B]`, float32, of the predicted velocity.

    `clean` and `noise` are latents `[B, C, h, w]`, `time` is `[B]` in 0..1. `guidance` is given to networks that take
    one: 1 in training (UNO).
    """
    mixing = time[:, None, None, None].to(clean)
    noisy = ((1 - mixing) * clean + mixing * noise).to(conditions.text.dtype)
    scale = torch.full_like(time, guidance) if network.shape.guidance else None
    velocity = predict_velocity(network, noisy, time, scale, conditions, id_shift)
    return (velocity.float() - pack(noise - clean).float()).square().mean(dim=(1, 2))


def draw_time(draws: Draws, times: Times, rows: int, columns: int, shift: ScheduleShift) -> float:
    """Return a time in 0..1 for a target of rows x columns tokens.

    `schedule`: one of the 1,000 points of the shifted schedule, each as likely (UNO). `logit_normal`: the sigmoid of a
    normal number, shifted likewise (Esser et al. 2024, 3.1).
    """
    uniform = draws.uniform("time")
    if times == "schedule":
        even = 1 - math.floor(uniform * SCHEDULE_POINTS) / (SCHEDULE_POINTS - 1)
    else:
        even = torch.sigmoid(torch.special.ndtri(torch.tensor(uniform, dtype=torch.float64))).item()
    return shift_time(torch.tensor(even, dtype=torch.float64), shift_mu(rows, columns, shift)).item()
