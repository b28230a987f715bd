"""Real parts at a small size: the reference file, a network of its weights, and encoders saved to folders."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    PreTrainedTokenizerFast,
    SiglipImageProcessor,
    SiglipVisionConfig,
    SiglipVisionModel,
    T5Config,
    T5EncoderModel,
)

from uso.checkpoint import save_bfl, save_diffusers, save_lora, save_projector
from uso.lora import add_lora
from uso.network import USOTransformer
from uso.presets import PRESETS, NetworkShape
from uso.projector import StyleFeatures
from uso.reference_file import Reference, load_reference
from uso.velocity import Conditions

REFERENCE = Path(__file__).parent / "data" / "uso_reference_tiny.safetensors"
WORDS = ("a", "the", "cat", "dog", "fox", "roof", "ink", "drawing", "in", "style", "red", "on")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def reference_path() -> Path:
    return REFERENCE


@pytest.fixture(scope="session")
def reference() -> Reference:
    return load_reference(REFERENCE)


@pytest.fixture
def network(reference: Reference) -> USOTransformer:
    """Return a fresh network with the reference's weights: base, LoRA and projector."""
    return reference.network()


@pytest.fixture(scope="session")
def plain_network(reference: Reference) -> USOTransformer:
    """Return a network of the reference's weights that tests share and do not change."""
    return reference.network().requires_grad_(False)


@pytest.fixture(scope="session")
def draw_conditions() -> Callable[..., Conditions]:
    """Return a maker of random conditions for a network shape."""

    def draw(
        shape: NetworkShape,
        *,
        batch: int = 1,
        text: int = 5,
        contents: tuple[tuple[int, int], ...] = (),
        styles: int = 0,
        seed: int = 0,
    ) -> Conditions:
        generator = torch.Generator().manual_seed(seed)

        def normal(*size: int) -> torch.Tensor:
            return torch.randn(size, generator=generator)

        style = shape.style
        return Conditions(
            text=normal(batch, text, shape.text_width),
            pooled=normal(batch, shape.pooled_width),
            contents=tuple(normal(batch, shape.latent_channels, 2 * rows, 2 * columns) for rows, columns in contents),
            styles=tuple(
                StyleFeatures(*(normal(batch, style.tokens_in, style.width) for _ in range(3))) for _ in range(styles)
            ),
        )

    return draw


def word_tokenizer(folder: Path, *, begin: str | None, end: str) -> int:
    """Save a tokenizer of whole words, and return the size of its vocabulary.

    The end token has the highest id, as CLIP's has: CLIP's published settings make transformers look for that.
    """
    special = ["<pad>", "<unk>"] + ([begin] if begin else [])
    vocabulary = {word: index for index, word in enumerate([*special, *WORDS, end])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    names = [begin, end] if begin else [end]
    single = f"{begin} $A {end}" if begin else f"$A {end}"
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single, special_tokens=[(name, vocabulary[name]) for name in names]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", eos_token=end, bos_token=begin
    ).save_pretrained(folder)
    return len(vocabulary)


def build_pipeline(folder: Path, shape: NetworkShape | None = None) -> Path:
    """Save a whole small USO: a pipeline folder in FLUX.1-dev's layout, `vision`, a LoRA and a projector.

    Weights are random; every part is of the class, and in the files, that the real one is.
    """
    from diffusers import AutoencoderKL

    shape = shape or PRESETS["tiny"]
    torch.manual_seed(0)
    words = word_tokenizer(folder / "tokenizer_2", begin=None, end="</s>")
    t5 = T5Config(vocab_size=words, d_model=shape.text_width, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
    T5EncoderModel(t5).save_pretrained(folder / "text_encoder_2")
    words = word_tokenizer(folder / "tokenizer", begin="<s>", end="</s>")
    clip = CLIPTextConfig(
        vocab_size=words,
        hidden_size=shape.pooled_width,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=16,
        bos_token_id=2,
        eos_token_id=2,
        pad_token_id=0,
    )
    CLIPTextModel(clip).save_pretrained(folder / "text_encoder")
    side = round(shape.style.tokens_in**0.5)
    vision = SiglipVisionConfig(
        hidden_size=shape.style.width,
        intermediate_size=64,
        num_hidden_layers=20,
        num_attention_heads=4,
        image_size=8 * side,
        patch_size=8,
    )
    SiglipVisionModel(vision).save_pretrained(folder / "vision")
    SiglipImageProcessor(size={"height": 8 * side, "width": 8 * side}).save_pretrained(folder / "vision")
    AutoencoderKL(
        block_out_channels=(8, 8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=shape.latent_channels,
        layers_per_block=1,
        norm_num_groups=4,
        scaling_factor=0.3611,
        shift_factor=0.1159,
        use_quant_conv=False,
        use_post_quant_conv=False,
    ).save_pretrained(folder / "vae")
    network = USOTransformer.of(shape)
    add_lora(network, rank=4)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.05)
    save_diffusers(network, folder / "transformer")
    save_bfl(network, folder / "flux.safetensors")
    save_lora(network, folder / "dit_lora.safetensors")
    save_projector(network, folder / "projector.safetensors")
    return folder


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_pipeline(tmp_path_factory.mktemp("pipeline"))
