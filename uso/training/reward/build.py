"""The scorer that a recipe asks for."""

from __future__ import annotations

import torch

from uso.training.reward.base import StyleScorer
from uso.training.reward.csd import CSDStyleScorer
from uso.training.reward.nano import NanoStyleScorer
from uso.training.reward.settings import RewardSettings


def build_scorer(settings: RewardSettings, device: torch.device | str = "cpu") -> StyleScorer:
    """Return the style scorer, loaded. Raises ValueError naming the recipe's key when it does not load."""
    kind, weights = settings.scorer.kind, settings.scorer.weights
    try:
        if kind == "csd":
            if weights is None:
                raise ValueError("the safetensors file of CSD's weights is not named")
            return CSDStyleScorer.load(weights, device=device)
        return NanoStyleScorer.load(weights, device=device)
    except (OSError, ValueError, ImportError) as error:
        raise ValueError(f"reward.scorer ({kind}): {error}") from error
