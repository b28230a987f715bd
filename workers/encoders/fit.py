"""Fitting of the nano encoders."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from manifests.images import CALIBRATION_FOLD, HELDOUT_FOLD, UNTREATED, fold_of
from uso.nano.tower import NanoTower, TowerShape
from workers.encoders.augment import augment, invent_styles
from workers.encoders.checkpoint import load_checkpoint, save_checkpoint
from workers.encoders.data import Batch, BatchSampler, Pool, Work
from workers.encoders.losses import supervised_contrastive
from workers.encoders.recipe import Recipe

UNSEEN_FOLDS = (CALIBRATION_FOLD, HELDOUT_FOLD)

Report = Callable[[int, float, float], None]
"""Called after each step with the steps done, the style loss and the subject loss."""


def may_fit_on(work: Work, recipe: Recipe) -> bool:
    """Tell whether a work may be fitted on: neither its subject, nor its family, nor its treatment is kept unseen."""
    return (
        fold_of(work.subject) not in UNSEEN_FOLDS
        and work.family != recipe.left_out_family
        and work.treatment not in recipe.left_out_treatments
    )


def fit(
    recipe: Recipe,
    pool: Pool,
    *,
    shape: TowerShape | None = None,
    checkpoint: Path | None = None,
    checkpoint_every: int = 100,
    report: Report | None = None,
) -> NanoTower:
    """Fit a tower on the works of a pool by supervised contrast of styles and of subjects, and return it.

    Batches and augmentation are drawn from the seed and the number of the step alone, so a fit that goes on from
    `checkpoint` ends with the weights of one that was never interrupted. Runs in bfloat16 where the processor has
    instructions for it. Raises ValueError where the pool holds a work
    that is to stay unseen, or images of another side than the tower sees.
    """
    for work in pool.works:
        if not may_fit_on(work, recipe):
            raise ValueError(f"{work.style} of {work.subject!r} is to stay unseen by the fit")
    torch.manual_seed(recipe.seed)
    tower = NanoTower(shape)
    if pool.images.shape[1] != tower.shape.side:
        raise ValueError(f"the pool holds images of side {pool.images.shape[1]}, the tower sees {tower.shape.side}")
    decayed = [parameter for parameter in tower.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in tower.parameters() if parameter.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate)
    sampler = BatchSampler(
        pool.works,
        styles=recipe.styles_per_batch,
        per_style=recipe.images_per_style,
        subjects=recipe.subjects_per_batch,
        untreated_weight=recipe.untreated_weight,
    )
    treated = np.array([work.treatment != UNTREATED for work in pool.works])
    done = load_checkpoint(checkpoint, tower, optimizer, recipe) if checkpoint is not None else 0
    tower.train()
    for step in range(done, recipe.steps):
        rng = np.random.default_rng([recipe.seed, step])
        batch = sampler.draw(rng)
        strength = min(1.0, step / (recipe.ramp * recipe.steps))
        images, styles = _view(pool, batch, treated, recipe, rng, strength=strength)
        for group in optimizer.param_groups:
            group["lr"] = _learning_rate(recipe, step)
        with torch.autocast("cpu", torch.bfloat16, enabled=fast_bfloat16()):
            style, subject = tower(images)
        style_loss = supervised_contrastive(style, styles, temperature=recipe.style_temperature)
        subject_loss = supervised_contrastive(
            subject, torch.from_numpy(batch.subjects), temperature=recipe.subject_temperature
        )
        optimizer.zero_grad()
        (style_loss + recipe.subject_weight * subject_loss).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        finished = step + 1
        if report is not None:
            report(finished, float(style_loss.detach()), float(subject_loss.detach()))
        if checkpoint is not None and (finished % checkpoint_every == 0 or finished == recipe.steps):
            save_checkpoint(checkpoint, tower, optimizer, recipe, finished)
    return tower.eval()


def fast_bfloat16() -> bool:
    """Return whether this processor multiplies bfloat16 matrices in hardware."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def _view(
    pool: Pool,
    batch: Batch,
    treated: NDArray[np.bool_],
    recipe: Recipe,
    rng: np.random.Generator,
    *,
    strength: float,
) -> tuple[Tensor, Tensor]:
    """Return the augmented images of a batch and the labels of their styles; made-up ones have their own labels."""
    pixels = torch.from_numpy(np.ascontiguousarray(pool.images[batch.positions]))
    images = pixels.permute(0, 3, 1, 2).float() / 255
    slots = torch.from_numpy(batch.slots)
    images, invented = invent_styles(images, slots, strength * recipe.invented, rng)
    images = augment(images, torch.from_numpy(treated[batch.positions]), rng, strength=strength)
    styles = torch.from_numpy(batch.styles)
    styles = torch.where(invented[slots], -1 - slots, styles)
    return images.contiguous(memory_format=torch.channels_last), styles


def _learning_rate(recipe: Recipe, step: int) -> float:
    if step < recipe.warmup:
        return recipe.learning_rate * (step + 1) / recipe.warmup
    progress = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return recipe.learning_rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
