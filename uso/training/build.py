"""A recipe's network and encoders, loaded or made fresh, as an objective that the loop can train."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from uso.checkpoint import load_network
from uso.latents import LatentCodec
from uso.lora import add_lora, has_lora
from uso.network import USOTransformer
from uso.text import CLIPTextEncoder, T5Encoder
from uso.training.autoencoder_objective import AutoencoderObjective, build_autoencoder
from uso.training.cache import EncoderCache
from uso.training.distributed import World
from uso.training.encoding import Encoding, FrozenEncoders
from uso.training.flow_objective import PIPELINE, FlowObjective
from uso.training.objective import Objective
from uso.training.recipe import Recipe
from uso.vision import load_vision


def with_fresh_text(recipe: Recipe, out: Path, world: World) -> Recipe:
    """Return the recipe with its fresh text tower, if it asks for one, written below `out` and named as any other."""
    spec = recipe.model.fresh_text
    if spec is None:
        return recipe
    folder, parts = out / PIPELINE, ("tokenizer", "text_encoder")
    if world.leads and not all((folder / part).is_dir() for part in parts):
        from uso.nano.text import build_text_tower

        draft = out / ".text"
        build_text_tower(
            draft, width=spec.width, layers=spec.layers, heads=spec.heads, length=spec.length, seed=recipe.seed
        )
        folder.mkdir(parents=True, exist_ok=True)
        for part in parts:  # each appears whole, whenever the process is killed
            shutil.rmtree(folder / part, ignore_errors=True)
            (draft / part).replace(folder / part)
        draft.rmdir()
    world.barrier()
    tower = str(folder / "text_encoder")
    model = recipe.model.model_copy(update={"t5": tower, "clip": tower, "text_length": spec.length, "fresh_text": None})
    return recipe.model_copy(update={"model": model})


def build_objective(recipe: Recipe, world: World) -> Objective:
    """Return what the recipe trains, on the process's device. Raises ValueError when files do not fit each other."""
    if "autoencoder" in recipe.train:
        return AutoencoderObjective(recipe, build_autoencoder(recipe), world.device)
    encoders = load_encoders(recipe, world.device)
    cache = recipe.data.cache
    encoding = Encoding(
        encoders,
        recipe.data.slots,
        EncoderCache(cache.path) if cache is not None else None,
        cache.keep if cache is not None else (),
    )
    return FlowObjective(recipe, build_network(recipe, encoders), encoding, world.device)


def load_encoders(recipe: Recipe, device: torch.device) -> FrozenEncoders:
    """Return the recipe's frozen encoders. Raises EncoderError naming the source at fault."""
    model, dtype = recipe.model, getattr(torch, recipe.model.dtype)
    t5, clip, vae = (model.source(part) or "" for part in ("text_encoder_2", "text_encoder", "vae"))
    vision = None
    if recipe.data.slots.style is not None and model.vision is not None:
        vision = load_vision(model.vision, dtype=dtype, device=device, layers=model.style.layers)
    return FrozenEncoders(
        t5=T5Encoder.load(t5, dtype=dtype, device=device, length=model.text_length),
        clip=CLIPTextEncoder.load(clip, dtype=dtype, device=device),
        codec=LatentCodec.load(vae, dtype=dtype, device=device),
        vision=vision,
    )


def build_network(recipe: Recipe, encoders: FrozenEncoders) -> USOTransformer:
    """Return the recipe's network on the CPU; what is fresh in it follows from the recipe's seed."""
    model = recipe.model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        if model.fresh is not None:
            shape = model.fresh.shape(
                text_width=encoders.t5.model.config.hidden_size,
                pooled_width=encoders.clip.model.config.hidden_size,
                latent_channels=encoders.codec.model.config.latent_channels,
                style=model.style.shape(),
            )
            network: USOTransformer = USOTransformer.of(shape)
            start_at_zero(network)
        else:
            network = load_network(
                Path(model.source("transformer") or ""),
                lora=model.lora,
                projector=model.projector,
                style=model.style.shape(),
                dtype=getattr(torch, model.dtype),
            )
        if "lora" in recipe.train and not has_lora(network):
            add_lora(network, model.lora_rank)
    return network


@torch.no_grad()
def start_at_zero(network: USOTransformer) -> None:
    """Let every block of a fresh network begin as the identity, its output at zero (adaLN-Zero, Peebles & Xie 2023)."""
    modulations = (".norm1.linear.", ".norm1_context.linear.", ".norm.linear.")
    for name, parameter in network.named_parameters():
        if name.startswith(("proj_out.", "norm_out.linear.")) or any(part in name for part in modulations):
            parameter.zero_()
