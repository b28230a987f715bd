"""The contrastive loss that the encoders are fitted with."""

from __future__ import annotations

import torch
from torch import Tensor


def supervised_contrastive(vectors: Tensor, labels: Tensor, *, temperature: float) -> Tensor:
    """Return the supervised contrastive loss (Khosla et al. 2020, the form that averages outside of the logarithm).

    `vectors` is `[n, width]` of unit length, `labels` `[n]` integers. Images without another of their label in the
    batch count as negatives only; a batch without any pair costs 0.
    """
    n = len(vectors)
    logits = vectors @ vectors.T / temperature
    itself = torch.eye(n, dtype=torch.bool, device=vectors.device)
    logits = logits.masked_fill(itself, float("-inf"))
    log_probability = logits - torch.logsumexp(logits, dim=1, keepdim=True)
    pairs = (labels[:, None] == labels[None, :]) & ~itself
    counts = pairs.sum(dim=1)
    paired = counts > 0
    if not bool(paired.any()):
        return vectors.sum() * 0
    per_image = -log_probability.masked_fill(~pairs, 0).sum(dim=1)[paired] / counts[paired]
    return per_image.mean()
