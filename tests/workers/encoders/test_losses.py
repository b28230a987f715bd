"""The loss is lowest where equal labels agree, and known by hand in a small case."""

from __future__ import annotations

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from workers.encoders.losses import supervised_contrastive


def test_a_case_worked_by_hand() -> None:
    vectors = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    loss = supervised_contrastive(vectors, torch.tensor([5, 5, 8]), temperature=0.5)
    assert math.isclose(float(loss), math.log(1 + math.exp(-2)), rel_tol=1e-5)


def test_without_pairs_there_is_nothing_to_learn() -> None:
    vectors = functional.normalize(torch.rand(4, 3), dim=1).requires_grad_()
    loss = supervised_contrastive(vectors, torch.arange(4), temperature=0.1)
    loss.backward()
    assert loss.item() == 0.0


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 5))
def test_vectors_sorted_by_label_beat_any_others(seed: int, classes: int) -> None:
    labels = torch.arange(classes).repeat(3)
    ideal = functional.one_hot(labels, classes).float()
    noise = functional.normalize(
        torch.randn(len(labels), classes, generator=torch.Generator().manual_seed(seed)), dim=1
    )
    best = supervised_contrastive(ideal, labels, temperature=0.1)
    assert float(best) <= float(supervised_contrastive(noise, labels, temperature=0.1)) + 1e-6
