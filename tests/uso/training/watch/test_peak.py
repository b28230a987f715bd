"""The peak that MFU is a share of."""

from __future__ import annotations

import pytest
import torch

from uso.training.watch.peak import card_peak, find_card, peak_flops


@pytest.mark.parametrize(
    ("name", "tera"),
    [
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H200", 989),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA A10", 125),
        ("NVIDIA L4", 121),
        ("NVIDIA L40S", 362),
        ("NVIDIA GeForce RTX 4090", 165.2),
    ],
)
def test_known_cards_have_their_makers_figure(name: str, tera: float) -> None:
    card = find_card(name)
    assert card is not None
    assert card_peak(card, torch.bfloat16, tf32=False) == pytest.approx(tera * 1e12)
    assert card_peak(card, torch.float32, tf32=False) <= card_peak(card, torch.float32, tf32=True) < tera * 1e12


@pytest.mark.parametrize("name", ["Tesla T4", "NVIDIA GeForce RTX 4090 Laptop GPU", "NVIDIA H100 80GB MIG 1g.10gb"])
def test_unknown_and_lesser_cards_are_not_taken_for_others(name: str) -> None:
    assert find_card(name) is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_processor_is_measured(dtype: torch.dtype) -> None:
    assert 1e8 < peak_flops(torch.device("cpu"), dtype) < 1e15
