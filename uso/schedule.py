"""Times of the flow: evenly spaced, then shifted towards noise for longer sequences (FLUX.1, BFL's `sampling.py`)."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor

ScheduleShift = Literal["true", "upstream", "none"]
"""The sequence length that the shift is computed with.

`true`: the target's own tokens, as in FLUX's sampler and in UNO's training. `upstream`: what UNO's and USO's public
samplers pass, height/8 * width/8 / 256, which is 64 times smaller. `none`: evenly spaced times.
"""

SCHEDULE_SHIFTS: tuple[ScheduleShift, ...] = get_args(ScheduleShift)

_SHORT, _SHORT_MU = 256, 0.5
_LONG, _LONG_MU = 4096, 1.15


def shift_mu(rows: int, columns: int, shift: ScheduleShift) -> float:
    """Return the log of the shift for a target of rows x columns tokens: linear in the sequence length.

    0.5 at 256 tokens and 1.15 at 4096; `none` gives 0, which shifts nothing. Raises ValueError on an unknown shift.
    """
    if shift == "none":
        return 0.0
    if shift == "true":
        length = rows * columns
    elif shift == "upstream":
        length = (2 * rows) * (2 * columns) // 256
    else:
        raise ValueError(f"unknown schedule shift {shift!r}; use one of {', '.join(SCHEDULE_SHIFTS)}")
    return _SHORT_MU + (_LONG_MU - _SHORT_MU) * (length - _SHORT) / (_LONG - _SHORT)


def shift_time(time: Tensor, mu: float) -> Tensor:
    """Return times in 0..1 moved towards 1: e^mu / (e^mu + 1 / t - 1); 0 stays 0."""
    return math.exp(mu) / (math.exp(mu) + (1 / time - 1))


def flow_times(steps: int, rows: int, columns: int, shift: ScheduleShift = "upstream") -> Tensor:
    """Return `steps` + 1 falling times from 1 to 0, float32, for a target of rows x columns tokens.

    Raises ValueError on fewer than one step.
    """
    if steps < 1:
        raise ValueError(f"sampling takes at least one step, not {steps}")
    times = shift_time(torch.linspace(1, 0, steps + 1), shift_mu(rows, columns, shift))
    times[0] = 1.0  # in float32 the division above may fall short by one unit
    return times
