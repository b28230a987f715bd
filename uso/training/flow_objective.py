"""Training of the USO network: base, LoRA and projector, any of them, by flow matching."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from manifests.records import Role
from uso.checkpoint import load_base, load_lora, load_projector, save_diffusers, save_lora, save_projector
from uso.contact_sheet import SheetRow, contact_sheet
from uso.cost import TokenCounts, forward_flops, training_flops
from uso.lora import has_lora, lora_rank, set_trainable
from uso.network import USOTransformer
from uso.packing import token_grid
from uso.projector import StyleFeatures
from uso.sampler import euler_sample, seeded_noise
from uso.schedule import flow_times
from uso.training.distributed import World
from uso.training.draws import Draws, Reference
from uso.training.encoding import Encoding
from uso.training.flow import draw_time, flow_losses
from uso.training.loader import Lookup, Sample
from uso.training.objective import Example
from uso.training.parallel import apply_parallelism
from uso.training.recipe import GridSpec, Recipe
from uso.velocity import Conditions

LORA, PROJECTOR, BASE, PIPELINE = "dit_lora.safetensors", "projector.safetensors", "transformer", "pipeline"

_SHEET_SEED = 3407


class FlowObjective:
    """Flow matching of a USO network on encoded samples.

    A sample may lose its prompt, or one of its two references, by its draws; samples that lost the same go through
    the network together, so nothing is padded or masked.
    """

    def __init__(self, recipe: Recipe, network: USOTransformer, encoding: Encoding, device: torch.device) -> None:
        self.recipe = recipe
        self.network = network
        self.encoding = encoding
        self.device = device
        parts = recipe.train
        set_trainable(network, base="base" in parts, lora="lora" in parts, projector="projector" in parts)
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
        network.to(device).train()
        self.parameters = {name: p for name, p in network.named_parameters() if p.requires_grad}
        self.lookup: Lookup | None = encoding.lookup
        style = recipe.data.slots.style
        self.always_read: tuple[Role, ...] = (style,) if recipe.reward is not None and style is not None else ()
        self._flops: Callable[[TokenCounts], float] = lru_cache(maxsize=None)(self._count_flops)
        self._halved = recipe.parallel.halves(device)

    def prepare(self, samples: Sequence[Sample]) -> list[Example]:
        """Return samples encoded, with noise, time and drop-outs of their pass."""
        return [self._example(sample, self._dropped(sample.draws), None) for sample in samples]

    def prepare_heldout(self, samples: Sequence[Sample], time: float) -> list[Example]:
        """Return samples whole, at a time; noise follows from the sample alone."""
        return [self._example(sample, None, time) for sample in samples]

    def losses(self, examples: Sequence[Example]) -> Tensor:
        """Return the flow-matching loss `[n]` of each example."""
        clean, noise, times, conditions = self.stacked(examples)
        with self.autocast():
            flow = self.recipe.flow
            return flow_losses(
                self.network, clean, noise, times, conditions, guidance=flow.guidance, id_shift=flow.id_shift
            )

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """Apply the mixed precision that the recipe asks for.

        On a CPU attention is then composed of plain products: the fused kernel's backward pass in bfloat16 takes 2 to 3
        times as long (measured with torch 2.14, 76 to 172 tokens).
        """
        with ExitStack() as contexts:
            if self._halved:
                contexts.enter_context(torch.autocast(self.device.type, torch.bfloat16))
                # Blocks that are computed again in the backward pass would not find this context there.
                if self.device.type == "cpu" and not self.recipe.parallel.checkpointing:
                    contexts.enter_context(sdpa_kernel(SDPBackend.MATH))
            yield

    def stacked(self, examples: Sequence[Example]) -> tuple[Tensor, Tensor, Tensor, Conditions]:
        """Return clean latents, noise, times and conditions of examples of one kind, as one batch on the device."""
        clean = torch.stack([example.clean for example in examples]).to(self.device)
        noise = torch.stack([example.noise for example in examples]).to(self.device)
        times = torch.tensor([example.time for example in examples], dtype=torch.float32, device=self.device)
        return clean, noise, times, self.conditions(examples)

    def conditions(self, examples: Sequence[Example]) -> Conditions:
        """Return the conditions of examples of one kind as one batch, on the device, in the frozen weights' dtype."""
        stacked = Conditions.stack([example.conditions for example in examples if example.conditions is not None])
        return stacked.to(self.device, getattr(torch, self.recipe.model.dtype))

    def flops(self, example: Example) -> float:
        """Return the operations of a training step, by the sums of `uso.cost`.

        A projector alone counts as a LoRA of rank 0, since gradients flow back through all blocks to it; a base counts
        three forward passes.
        """
        assert example.conditions is not None
        rows, columns = token_grid(example.clean[None])
        grids = [token_grid(content) for content in example.conditions.contents]
        tokens = TokenCounts(
            text=example.conditions.text.shape[1],
            target=rows * columns,
            content=sum(rows * columns for rows, columns in grids),
            styles=len(example.conditions.styles),
        )
        return self._flops(tokens)

    @torch.no_grad()
    def draw(self, samples: Sequence[Sample], grids: GridSpec) -> Image.Image:
        """Return a contact sheet: references, what is drawn for them, and the target that is held out."""
        codec, slots = self.encoding.encoders.codec, self.recipe.data.slots
        nothing = Conditions(*self.encoding.text("")).to(self.device, getattr(torch, self.recipe.model.dtype))
        rows = []
        for number, example in enumerate(self.prepare_heldout(samples, 0.5)):
            height, width = token_grid(example.clean[None])
            noise = seeded_noise([_SHEET_SEED + number], example.clean.shape[0], height, width).to(self.device)
            latent = euler_sample(
                self.network,
                noise,
                flow_times(grids.steps, height, width, self.recipe.flow.shift),
                self.conditions([example]),
                guidance=grids.guidance,
                id_shift=self.recipe.flow.id_shift,
                against=nothing,
                cfg_scale=grids.cfg_scale,
            )
            target = self.encoding.moments(example.sample, slots.target)[0]
            pictures = [("drawn", codec.decode_images(latent)[0]), ("target", codec.decode_images(target)[0])]
            given: list[tuple[str, Image.Image]] = []
            for place, role in (("content", slots.content), ("second", slots.second)):
                if role is not None:
                    given.append((place, codec.decode_images(self.encoding.moments(example.sample, role)[0])[0]))
            if slots.style is not None and slots.style in example.sample.images:
                given.append(("style", Image.fromarray(example.sample.images[slots.style])))
            rows.append(SheetRow(example.sample.prompt or "(empty prompt)", given, pictures))
        return contact_sheet(rows, 112)

    def parallelise(self, world: World) -> None:
        """Apply the recipe's `parallel`; afterwards parameters may be shards."""
        apply_parallelism(self.network, self.recipe.parallel, world)
        self.parameters = {name: p for name, p in self.network.named_parameters() if p.requires_grad}

    def write(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """Write LoRA and projector as in a USO release, and a base as a diffusers folder: what of them is trained."""
        if "lora" in self.recipe.train:
            save_lora(self.network, folder / LORA, state=weights)
        if "projector" in self.recipe.train:
            save_projector(self.network, folder / PROJECTOR, state=weights)
        if "base" in self.recipe.train:
            save_diffusers(self.network, folder / BASE, state=weights)

    def read(self, folder: Path) -> None:
        """Take over what `write` wrote, bit for bit."""
        if "lora" in self.recipe.train:
            load_lora(self.network, folder / LORA)
        if "projector" in self.recipe.train:
            load_projector(self.network, folder / PROJECTOR)
        if "base" in self.recipe.train:
            load_base(self.network, folder / BASE)

    def export(
        self,
        out: Path,
        weights: Mapping[str, Tensor],
        samples: Sequence[Sample],  # noqa: ARG002 - the protocol's
    ) -> list[Path]:
        """Write what others load: a release's two files (with a frozen part as it was given), or a whole pipeline."""
        if "base" in self.recipe.train:
            target = out / PIPELINE
            save_diffusers(self.network, target / BASE, state=weights)
            self._copy_encoders(target)
            return [target]
        frozen = {name: tensor for name, tensor in self.network.state_dict().items() if name not in weights}
        whole = {**frozen, **weights}
        written = []
        if has_lora(self.network):
            save_lora(self.network, out / LORA, state=whole)
            written.append(out / LORA)
        if self.recipe.data.slots.style is not None:
            save_projector(self.network, out / PROJECTOR, state=whole)
            written.append(out / PROJECTOR)
        return written

    def _copy_encoders(self, target: Path) -> None:
        """Put the encoders beside a base, so that the folder is a whole pipeline; hub names are left to the user."""
        copied: set[Path] = set()
        for part in ("text_encoder", "text_encoder_2", "vae"):
            source = Path(self.recipe.model.source(part) or "")
            tokenizer = source.name.replace("text_encoder", "tokenizer")
            beside = {source: part, source.parent / tokenizer: part.replace("text_encoder", "tokenizer")}
            for given, name in beside.items():
                if given.is_dir() and given not in copied and not (target / name).exists():
                    shutil.copytree(given, target / name)
                copied.add(given)

    def _count_flops(self, tokens: TokenCounts) -> float:
        shape = self.network.shape
        if "base" in self.recipe.train:
            return 3.0 * forward_flops(shape, tokens)
        return training_flops(shape, tokens, lora_rank(self.network) or 0, self.recipe.parallel.checkpointing)

    def _dropped(self, draws: Draws) -> Reference | None:
        share, slots = self.recipe.data.reference_dropout, self.recipe.data.slots
        if slots.style is None:
            return "content" if draws.uniform("reference") < share else None
        return draws.dropped_reference(share)

    def _example(self, sample: Sample, dropped: Reference | None, time: float | None) -> Example:
        slots, flow = self.recipe.data.slots, self.recipe.flow
        # A held-out sample is measured with the same noise whenever it is measured.
        draws = sample.draws if time is None else replace(sample.draws, number=0)
        mean, std = self.encoding.moments(sample, slots.target)
        size = tuple(mean.shape[1:])
        drawn = flow.latents == "sample" and time is None
        clean = mean[0] + std[0] * draws.normal("target", size) if drawn else mean[0]
        contents: list[Tensor] = []
        for place, role in (("content", slots.content), ("second", slots.second)):
            if role is not None and dropped != "content":
                content, deviation = self.encoding.moments(sample, role)
                contents.append(content + deviation * draws.normal(place, tuple(content.shape)) if drawn else content)
        styles: tuple[StyleFeatures, ...] = ()
        if slots.style is not None and dropped != "style":
            styles = (self.encoding.style(sample, slots.style),)
        silent = time is None and draws.drops_prompt(self.recipe.data.prompt_dropout)
        text, pooled = self.encoding.text("" if silent else sample.prompt)
        if time is None:
            time = draw_time(draws, flow.times, *token_grid(mean), flow.shift)
        conditions = Conditions(text, pooled, tuple(contents), styles)
        return Example(sample, dropped, clean, draws.normal("noise", size), time, conditions)
