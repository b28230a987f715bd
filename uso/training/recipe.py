"""A training recipe: the keys of its YAML, with their defaults and ranges."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from uso.images import CONTENT_LONG_SIDE, SIDE_STEP
from uso.pipeline_folder import PipelinePart, part_in
from uso.position_ids import IdShift
from uso.presets import DEFAULT_LORA_RANK, NetworkShape, StyleShape, rope_axes
from uso.schedule import ScheduleShift
from uso.training.catalog import Slots, prompt_columns
from uso.training.reward.settings import RewardSettings

Part = Literal["base", "lora", "projector", "autoencoder"]
"""What a recipe trains: the base network, its LoRA, the style projector; or the autoencoder, alone."""

Share = Annotated[float, Field(ge=0, le=1)]


class Keys(BaseModel):
    """Base of all parts of a recipe: immutable, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FreshNetwork(Keys):
    """A network from scratch."""

    hidden: int = Field(default=256, ge=32, description="Hidden width; heads of 64 unless `heads` says otherwise.")
    heads: int | None = Field(default=None, ge=1)
    double: int = Field(default=2, ge=0, description="Blocks with two streams.")
    single: int = Field(default=6, ge=0, description="Blocks with one stream.")
    guidance: bool = Field(default=True, description="Whether it embeds a guidance scale, as FLUX.1-dev does.")

    def shape(self, text_width: int, pooled_width: int, latent_channels: int, style: StyleShape) -> NetworkShape:
        """Return the network's shape, given the widths of its encoders."""
        heads = self.heads or max(1, self.hidden // 64)
        return NetworkShape(
            hidden=self.hidden,
            heads=heads,
            axes=rope_axes(self.hidden // heads),
            double=self.double,
            single=self.single,
            text_width=text_width,
            pooled_width=pooled_width,
            latent_channels=latent_channels,
            guidance=self.guidance,
            style=style,
        )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        try:
            self.shape(8, 8, 16, StyleShape())
        except ValueError as error:
            raise ValueError(f"hidden and heads: {error}") from error
        return self


class FreshText(Keys):
    """A small text tower with seeded weights, for networks from scratch; frozen, the network learns to read it."""

    width: int = Field(default=192, ge=16)
    layers: int = Field(default=2, ge=1)
    heads: int = Field(default=3, ge=1)
    length: int = Field(default=16, ge=4, description="Tokens of a prompt.")


class FreshAutoencoder(Keys):
    """An autoencoder from scratch, 8 pixels a latent pixel."""

    channels: tuple[int, int, int, int] = (24, 48, 96, 96)
    latent_channels: int = Field(default=16, ge=1)
    norm_groups: int = Field(default=8, ge=1)


class StyleSpec(Keys):
    """Sizes of a fresh projector, and the vision layers that feed it."""

    tokens_in: int = Field(default=729, ge=1)
    tokens_out: int = Field(default=64, ge=1)
    width: int = Field(default=1152, ge=1)
    layers: tuple[int, int, int] = (-2, -11, -20)

    def shape(self) -> StyleShape:
        """Return the sizes as the network takes them."""
        return StyleShape(self.tokens_in, self.tokens_out, self.width, self.layers)


class ModelSpec(Keys):
    """Where the weights come from: files and folders (from the working folder), hub names, or fresh ones."""

    pipeline: str | None = Field(default=None, description="Folder in FLUX.1-dev's layout: base, text, autoencoder.")
    base: Path | None = Field(default=None, description="Base weights, in place of the pipeline's.")
    lora: Path | None = Field(default=None, description="A LoRA to start from; fresh without it, where one is trained.")
    projector: Path | None = Field(default=None, description="A projector to start from.")
    lora_rank: int = Field(default=DEFAULT_LORA_RANK, ge=1)
    style: StyleSpec = StyleSpec()
    fresh: FreshNetwork | None = Field(default=None, description="A network from scratch, in place of a base.")
    fresh_text: FreshText | None = None
    fresh_autoencoder: FreshAutoencoder | None = None
    t5: str | None = None
    clip: str | None = None
    vae: str | None = None
    vision: str | None = Field(default=None, description="Vision tower; `nano` is the one that ships.")
    text_length: int = Field(default=512, ge=1, description="Tokens of a prompt.")
    dtype: Literal["float32", "bfloat16"] = Field(default="float32", description="Of all frozen weights.")

    def source(self, part: PipelinePart) -> str | None:
        """Return the source of a part: its own, or the pipeline's."""
        own = {"transformer": self.base, "text_encoder_2": self.t5, "text_encoder": self.clip, "vae": self.vae}[part]
        if own is not None:
            return str(own)
        if self.pipeline is None:
            return None
        folder = Path(self.pipeline)
        if not folder.is_dir():
            return f"{self.pipeline}//{part}"
        return str(part_in(folder, part))


class StoreSpec(Keys):
    """One store of the mixture."""

    path: str = Field(description="Folder, or s3://bucket/prefix.")
    where: str | None = Field(default=None, description="SQL over the columns of `triplets`.")
    weight: float | None = Field(default=None, gt=0)
    version: int | None = Field(default=None, ge=0, description="Version of the manifest; the newest unless given.")


class CacheSpec(Keys):
    """Outputs of frozen encoders kept on disk, keyed by the image's content and the encoder's weights."""

    path: Path
    keep: tuple[Literal["latents", "vision", "text"], ...] = ("latents", "vision", "text")


class DataSpec(Keys):
    """Samples and how they are read."""

    stores: tuple[StoreSpec, ...] = Field(default=(), description="`--data` takes their place.")
    where: str | None = Field(default=None, description="A filter on every store, on top of its own.")
    slots: Slots = Slots()
    prompt: str | None = Field(default=None, description="Template over manifest columns; the shards' own without it.")
    side: int = Field(default=1024, ge=SIDE_STEP, multiple_of=SIDE_STEP, description="Targets of about side x side px.")
    content_long_side: int = Field(default=CONTENT_LONG_SIDE, ge=SIDE_STEP, multiple_of=SIDE_STEP)
    longest_aspect: float = Field(default=2.0, ge=1)
    prompt_dropout: Share = 0.1
    reference_dropout: Share = Field(
        default=0.0, description="Share of samples that lose one of two references, or the content where it is alone."
    )
    window: int = Field(default=4096, ge=1, description="Samples that are shuffled among each other.")
    workers: int = Field(default=2, ge=1, description="Threads a rank that read and decode.")
    ahead: int = Field(default=4, ge=1, description="Batches read ahead.")
    verify: Literal["first", "always", "never"] = "first"
    on_error: Literal["raise", "skip"] = "raise"
    cache: CacheSpec | None = None

    @field_validator("prompt")
    @classmethod
    def _template(cls, prompt: str | None) -> str | None:
        prompt_columns(prompt)
        return prompt


class BatchSpec(Keys):
    """Samples of a step."""

    size: int = Field(ge=1, description="Samples of a step over all ranks.")
    micro: int = Field(default=1, ge=1, description="Samples that go through the network at once, a rank.")


class OptimizerSpec(Keys):
    """AdamW, its schedule and the bound on gradients."""

    learning_rate: float = Field(gt=0)
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    warmup: int = Field(default=0, ge=0, description="Steps until the learning rate is in full.")
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    final: Share = Field(default=0.0, description="What a falling schedule ends at, as a share.")
    clip: float | None = Field(default=1.0, gt=0, description="Bound on the norm of the gradient.")


class FlowSpec(Keys):
    """Times of flow matching."""

    times: Literal["schedule", "logit_normal"] = Field(
        default="schedule", description="Uniform over the 1,000 points of the schedule (UNO), or logit-normal (SD3)."
    )
    shift: ScheduleShift = Field(default="true", description="Sequence length behind the schedule's shift.")
    guidance: float = Field(default=1.0, ge=0)
    id_shift: IdShift = Field(default="d", description="Where position ids of content references start: UnoPE's `d`.")
    latents: Literal["sample", "mean"] = Field(default="sample", description="Drawn from the posterior, or its mean.")


class ParallelSpec(Keys):
    """How a step is spread and sped up; none of it changes what is computed, up to rounding."""

    mode: Literal["replicated", "fsdp"] = "replicated"
    checkpointing: bool = Field(default=False, description="Compute blocks again in the backward pass.")
    compile: bool = Field(default=False, description="Compile the repeated blocks.")
    autocast: Literal["bfloat16", "auto"] | None = Field(
        default=None, description="Mixed precision; `auto` uses it where the processor has matrix units for it."
    )
    threads: int | None = Field(default=None, ge=1, description="CPU threads of a rank.")

    def halves(self, device: torch.device) -> bool:
        """Return whether products are taken in bfloat16 on a device."""
        if self.autocast == "auto":
            return device.type != "cpu" or torch.cpu._is_amx_tile_supported()
        return self.autocast is not None

    def shards(self, ranks: int) -> bool:
        """Return whether weights are sharded over this many ranks."""
        return self.mode == "fsdp" and ranks > 1


class CheckpointSpec(Keys):
    """When state is written, and how much of it is kept."""

    every: int = Field(default=1000, ge=1)
    keep: int = Field(default=3, ge=1)


class HeldoutSpec(Keys):
    """Loss on subjects that are never trained on, at fixed times and with fixed noise."""

    every: int = Field(default=500, ge=1)
    samples: int = Field(default=64, ge=1)
    times: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.1, 0.3, 0.5, 0.7, 0.9)


class GridSpec(Keys):
    """Images drawn of held-out samples."""

    every: int = Field(default=1000, ge=1)
    samples: int = Field(default=6, ge=1)
    steps: int = Field(default=25, ge=1)
    guidance: float = Field(default=4.0, ge=0)
    cfg_scale: float = Field(default=1.0, ge=0, description="Against no prompt and no references; 1: none.")


class WatchSpec(Keys):
    """What is written down on the way."""

    every: int = Field(default=10, ge=1, description="Steps between lines of metrics.")
    heldout: HeldoutSpec | None = HeldoutSpec()
    grids: GridSpec | None = GridSpec()


class Need(Keys):
    """A run that this one builds on; it is made first where it is not there."""

    recipe: Path
    out: Path


class Recipe(Keys):
    """A whole training recipe."""

    name: str = Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$")
    seed: int = Field(default=0, ge=0)
    steps: int = Field(ge=1)
    train: tuple[Part, ...] = Field(min_length=1)
    runs: str = Field(default="runs/train", description="What `{runs}` stands for in the recipe's paths.")
    needs: tuple[Need, ...] = ()
    model: ModelSpec
    data: DataSpec
    batch: BatchSpec
    optimizer: OptimizerSpec
    ema: float | None = Field(default=None, gt=0, lt=1, description="Decay of the running mean of the weights.")
    flow: FlowSpec = FlowSpec()
    reward: RewardSettings | None = None
    parallel: ParallelSpec = ParallelSpec()
    checkpoints: CheckpointSpec = CheckpointSpec()
    watch: WatchSpec = WatchSpec()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        model = self.model
        if "autoencoder" in self.train:
            if self.train != ("autoencoder",):
                raise ValueError("train: the autoencoder is trained alone")
            if model.fresh_autoencoder is None and model.source("vae") is None:
                raise ValueError("model: state `fresh_autoencoder`, or the `vae` to go on from")
            return self
        if (model.fresh is None) == (model.source("transformer") is None):
            raise ValueError(
                "model: state `pipeline` or `base` for given weights, or `fresh` for a network from scratch"
            )
        if model.fresh is not None and "base" not in self.train:
            raise ValueError("train: a fresh network must be trained whole; add `base`, or state a base")
        if model.fresh_text is None and (
            model.source("text_encoder") is None or model.source("text_encoder_2") is None
        ):
            raise ValueError("model: text encoders are missing; state `pipeline`, `t5` and `clip`, or `fresh_text`")
        if model.source("vae") is None:
            raise ValueError("model: the autoencoder is missing; state `pipeline` or `vae`")
        if self.data.slots.style is not None and model.vision is None:
            raise ValueError("model.vision: samples have a style reference, which needs a vision tower (`nano` ships)")
        if "projector" in self.train and self.data.slots.style is None:
            raise ValueError("data.slots.style: the projector is trained, but no image is in the style's place")
        if self.data.reference_dropout and self.data.slots.content is None:
            raise ValueError("data.reference_dropout: without a content reference nothing can be left out")
        if self.reward is not None and self.data.slots.style is None:
            raise ValueError("reward: needs a style reference; data.slots.style is empty")
        return self
