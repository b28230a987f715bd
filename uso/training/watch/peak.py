"""What a device could compute at best, for the share of it that a training step uses (MFU)."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

_TERA = 1e12
_MEASURED_SECONDS = 0.2
_MOST_SIDE = 4096


@dataclass(frozen=True)
class Card:
    """Dense peak of a GPU by its makers' data sheet, TFLOP/s: 16-bit floats, TF32, and float32 without TF32.

    Data sheets that state figures with sparsity are halved. Of consumer cards it is the figure with float32 sums, which
    is what PyTorch computes.
    """

    words: tuple[str, ...]
    half: float
    tf32: float
    single: float


CARDS = (
    Card(("gb200",), 2500.0, 1250.0, 80.0),
    Card(("b200",), 2250.0, 1125.0, 75.0),
    Card(("gh200",), 989.0, 494.0, 67.0),
    Card(("h200", "nvl"), 836.0, 418.0, 60.0),
    Card(("h200",), 989.0, 494.0, 67.0),
    Card(("h100", "nvl"), 835.0, 417.0, 60.0),
    Card(("h100", "pcie"), 756.0, 378.0, 51.0),
    Card(("h100",), 989.0, 494.0, 67.0),
    Card(("h800", "pcie"), 756.0, 378.0, 51.0),
    Card(("h800",), 989.0, 494.0, 67.0),
    Card(("a100",), 312.0, 156.0, 19.5),
    Card(("a800",), 312.0, 156.0, 19.5),
    Card(("a40",), 149.7, 74.8, 37.4),
    Card(("a30",), 165.0, 82.0, 10.3),
    Card(("a10g",), 70.0, 35.0, 31.5),
    Card(("a10",), 125.0, 62.5, 31.2),
    Card(("l40s",), 362.0, 183.0, 91.6),
    Card(("l40",), 181.0, 90.5, 90.5),
    Card(("l4",), 121.0, 60.0, 30.3),
    Card(("rtx 6000 ada",), 364.2, 182.1, 91.1),
    Card(("rtx a6000",), 154.8, 77.4, 38.7),
    Card(("rtx 5090",), 209.5, 104.8, 104.8),
    Card(("rtx 4090",), 165.2, 82.6, 82.6),
    Card(("rtx 3090",), 71.0, 35.6, 35.6),
)
"""Cards by words of the name that CUDA gives them; the first whose words all occur counts."""

_OTHERS = ("laptop", "d", "ti", "max", "mig")
"""Words that tell another card, or a part of one, from the card whose name it carries."""


def peak_flops(device: torch.device, dtype: torch.dtype = torch.float32) -> float:
    """Return the floating-point operations that a device can do in a second, at most, in matrix products of a dtype.

    Known GPUs are looked up. A CPU, and a GPU that is not in the table, multiplies matrices for about 0.2 seconds, with
    the threads that the process has now.
    """
    if device.type == "cuda":
        card = find_card(torch.cuda.get_device_name(device))
        if card is not None:
            return card_peak(card, dtype, tf32=torch.get_float32_matmul_precision() != "highest")
    return measured_flops(device, dtype)


def find_card(name: str) -> Card | None:
    """Return the card of a name as CUDA gives it, None when it is not in the table."""
    words = f" {name.lower().replace('-', ' ')} "
    if any(f" {word} " in words for word in _OTHERS):
        return None
    return next((card for card in CARDS if all(f" {word} " in words for word in card.words)), None)


def card_peak(card: Card, dtype: torch.dtype, *, tf32: bool) -> float:
    """Return a card's peak in FLOP/s for a dtype; `tf32` is whether float32 products may run as TF32."""
    if dtype in (torch.bfloat16, torch.float16):
        return card.half * _TERA
    return (card.tf32 if tf32 else card.single) * _TERA


def measured_flops(device: torch.device, dtype: torch.dtype, seconds: float = _MEASURED_SECONDS) -> float:
    """Return the rate of the fastest of some square matrix products in FLOP/s.

    The matrices grow until one product takes a tenth of the time. The fastest one counts, since whatever else runs on
    the machine can only slow a product down.
    """
    side, spent = 256, _multiply(device, dtype, 256)
    while spent < seconds / 10 and side < _MOST_SIDE:
        side *= 2
        spent = min(_multiply(device, dtype, side) for _ in range(2))
    times = [spent, *(_multiply(device, dtype, side) for _ in range(max(2, min(50, round(seconds / spent)))))]
    return float(2.0 * side**3 / min(times))


def _multiply(device: torch.device, dtype: torch.dtype, side: int) -> float:
    left = torch.full((side, side), 0.5, device=device, dtype=dtype)
    _wait(device)
    before = time.perf_counter()
    left @ left
    _wait(device)
    return time.perf_counter() - before


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
