"""Training of the autoencoder, from scratch or further: images to 8-times smaller latents and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from PIL import Image
from torch import Tensor
from torch.nn.functional import l1_loss

from manifests.records import Role
from uso.contact_sheet import SheetRow, contact_sheet
from uso.formats.safefile import write_weights
from uso.images import tensor_images
from uso.latents import LatentCodec
from uso.training.distributed import World
from uso.training.draws import Draws
from uso.training.loader import Lookup, Pixels, Sample
from uso.training.objective import Example
from uso.training.recipe import GridSpec, Recipe

VAE = "vae"

_KL_WEIGHT = 1e-6
_EDGE_WEIGHT = 1.0


class AutoencoderObjective:
    """Reconstruction of targets and content references, each sample showing one of them by its draws.

    The loss is the mean absolute error of pixels and of their differences to the right and below, which keeps edges
    sharp, and a faint pull of the posterior towards a normal one (Rombach et al. 2022 use the same pull).
    """

    def __init__(self, recipe: Recipe, model: AutoencoderKL, device: torch.device) -> None:
        self.recipe = recipe
        self.device = device
        self.model = model.to(device).float().train()
        self._halved = recipe.parallel.halves(device)
        self.lookup: Lookup | None = None
        self.always_read: tuple[Role, ...] = ()
        self.parameters = dict(model.named_parameters())

    def prepare(self, samples: Sequence[Sample]) -> list[Example]:
        """Return one image of each sample, in -1..1, and the noise of its posterior."""
        return [self._example(sample, self._role(sample.draws)) for sample in samples]

    def prepare_heldout(self, samples: Sequence[Sample], time: float) -> list[Example]:  # noqa: ARG002 - the protocol's
        """Return the targets of samples; an autoencoder knows no time."""
        return [self._example(sample, self.recipe.data.slots.target) for sample in samples]

    def losses(self, examples: Sequence[Example]) -> Tensor:
        """Return the reconstruction loss `[n]`."""
        images = torch.stack([example.clean for example in examples]).to(self.device)
        noise = torch.stack([example.noise for example in examples]).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._halved):
            posterior = self.model.encode(images).latent_dist
            drawn = self.model.decode(posterior.mean + posterior.std * noise).sample
        losses: Tensor = _per_image(drawn.float(), images) + _KL_WEIGHT * posterior.kl().float()
        return losses

    def flops(self, example: Example) -> float:
        """Return 0: operations of an autoencoder are not counted."""
        return 0.0 * example.time

    @torch.no_grad()
    def draw(self, samples: Sequence[Sample], grids: GridSpec) -> Image.Image:  # noqa: ARG002 - nothing is sampled
        """Return images beside what comes back of them."""
        rows = []
        for example in self.prepare_heldout(samples, 0.5):
            image = example.clean[None].to(self.device)
            back = self.model.decode(self.model.encode(image).latent_dist.mean).sample
            pictures = [("image", tensor_images(image)[0]), ("reconstructed", tensor_images(back)[0])]
            rows.append(SheetRow(example.sample.entry.fields.get("subject", example.sample.id), [], pictures))
        return contact_sheet(rows, 112)

    def parallelise(self, world: World) -> None:
        """Do nothing: an autoencoder is small enough to be replicated. Raises ValueError when asked for more."""
        if self.recipe.parallel.mode != "replicated" and world.size > 1:
            raise ValueError("parallel.mode: the autoencoder is trained replicated")

    def write(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """Write the autoencoder as a diffusers folder, without its scale."""
        self.model.save_config(folder / VAE)
        write_weights(folder / VAE / "diffusion_pytorch_model.safetensors", weights)

    def read(self, folder: Path) -> None:
        """Take over what `write` wrote."""
        loaded = LatentCodec.load(str(folder / VAE), dtype=torch.float32).model
        self.model.load_state_dict(loaded.state_dict())

    @torch.no_grad()
    def export(self, out: Path, weights: Mapping[str, Tensor], samples: Sequence[Sample]) -> list[Path]:
        """Write the autoencoder with its scale: latents of these samples get mean 0 and deviation 1."""
        means = [self.model.encode(e.clean[None].to(self.device)).latent_dist.mean for e in self.prepare(samples)]
        values = torch.cat([mean.flatten() for mean in means])
        self.model.register_to_config(
            shift_factor=round(float(values.mean()), 6), scaling_factor=round(1 / float(values.std()), 6)
        )
        self.write(out, weights)
        return [out / VAE]

    def _role(self, draws: Draws) -> Role:
        slots = self.recipe.data.slots
        both = slots.content is not None and draws.uniform("role") < 0.5
        return slots.content if both and slots.content is not None else slots.target

    def _example(self, sample: Sample, role: Role) -> Example:
        image = _tensor(sample.images[role])
        size = (self.model.config.latent_channels, image.shape[1] // 8, image.shape[2] // 8)
        return Example(sample, tuple(image.shape), image, sample.draws.normal("posterior", size), 0.0)


def build_autoencoder(recipe: Recipe) -> AutoencoderKL:
    """Return the recipe's autoencoder: from its files, or fresh with weights that its seed decides."""
    spec = recipe.model.fresh_autoencoder
    if spec is None:
        return LatentCodec.load(recipe.model.source("vae") or "", dtype=torch.float32).model.requires_grad_(True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return AutoencoderKL(
            block_out_channels=spec.channels,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            latent_channels=spec.latent_channels,
            layers_per_block=1,
            norm_num_groups=spec.norm_groups,
            use_quant_conv=False,
            use_post_quant_conv=False,
            mid_block_add_attention=False,
        )


def _tensor(pixels: Pixels) -> Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 127.5 - 1


def _per_image(drawn: Tensor, images: Tensor) -> Tensor:
    error = l1_loss(drawn, images, reduction="none").mean(dim=(1, 2, 3))
    edges = [l1_loss(drawn.diff(dim=dim), images.diff(dim=dim), reduction="none").mean(dim=(1, 2, 3)) for dim in (2, 3)]
    return error + _EDGE_WEIGHT * torch.stack(edges).sum(dim=0)
