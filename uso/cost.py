"""What a network of a given shape costs: parameters, floating-point operations, and memory for activations.

Operations are those of matrix products, 2 m n k each, as `torch.utils.flop_counter` counts them; everything else
(norms, rope, activations) is below one percent at FLUX's width. Memory is what autograd keeps for the backward pass
of one sample when the LoRA is trained and the base is frozen. Both follow from the sizes by the sums below, which
`tests/uso/test_cost.py` holds against real counts on small networks, operation for operation and byte for byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from uso.formats.base import base_shapes
from uso.formats.release import lora_entries, projector_entries
from uso.images import CONTENT_LONG_SIDE, SIDE_STEP
from uso.lora_sites import lora_sites
from uso.presets import DEFAULT_LORA_RANK, MLP_RATIO, TIME_WIDTH, NetworkShape

STAT_BYTES = 4
"""Softmax sums, rope tables and the norms of q and k are kept in float32 whatever the network's dtype."""


@dataclass(frozen=True)
class TokenCounts:
    """Tokens of one sample: text, target, content references together, and the number of style images."""

    text: int
    target: int
    content: int = 0
    styles: int = 0

    def images(self) -> int:
        """Return the tokens of the image stream."""
        return self.target + self.content

    def context(self, shape: NetworkShape) -> int:
        """Return the tokens of the text stream: style tokens and text."""
        return self.styles * shape.style.tokens + self.text

    def total(self, shape: NetworkShape) -> int:
        """Return all tokens, over which attention runs."""
        return self.images() + self.context(shape)


@dataclass(frozen=True)
class Parameters:
    """Numbers of parameters of the parts of a network."""

    base: int
    lora: int
    projector: int


def count_parameters(shape: NetworkShape, rank: int = DEFAULT_LORA_RANK) -> Parameters:
    """Return the parameters of the base, of a LoRA of this rank on every block, and of the projector."""
    return Parameters(
        base=sum(prod(size) for size in base_shapes(shape).values()),
        lora=sum(prod(item.shape) for item in lora_entries(lora_sites(shape), rank)),
        projector=sum(prod(item.shape) for item in projector_entries(shape.style, shape.hidden)),
    )


def square_sequence(side: int, contents: int = 0, styles: int = 0, text: int = 512) -> TokenCounts:
    """Return the tokens of a square target of `side` pixels with square content references at a long side of 512."""
    content = (CONTENT_LONG_SIDE // SIDE_STEP) ** 2
    return TokenCounts(text, (side // SIDE_STEP) ** 2, contents * content, styles)


def forward_flops(shape: NetworkShape, tokens: TokenCounts, rank: int = 0) -> int:
    """Return the operations of one forward pass of one sample; `rank` 0 is a network without a LoRA.

    With S tokens in all and hidden width H: a double or single block costs 24 S H^2 for its projections and MLP (the
    two streams share S) and 4 S^2 H for attention; the embedders, modulations, projector and LoRA add the rest.
    """
    hidden, every, images, context = shape.hidden, tokens.total(shape), tokens.images(), tokens.context(shape)
    embedders = 2 * images * shape.token_width * hidden + 2 * tokens.text * shape.text_width * hidden
    timed = 2 if shape.guidance else 1
    embedders += timed * 2 * (TIME_WIDTH + hidden) * hidden + 2 * (shape.pooled_width + hidden) * hidden
    style = shape.style
    projector = tokens.styles * 3 * 2 * style.tokens_out * style.width * (style.tokens_in + hidden)
    modulation = 2 * hidden * hidden * (shape.double * 2 * 6 + shape.single * 3 + 2)
    blocks = (shape.double + shape.single) * (_block_flops(shape, every) + _attention_flops(shape, every))
    lora = _lora_flops(shape, images + context, rank)
    return embedders + projector + modulation + blocks + lora + 2 * images * hidden * shape.token_width


def training_flops(shape: NetworkShape, tokens: TokenCounts, rank: int, checkpointing: bool = False) -> int:
    """Return the operations of a forward and a backward pass of one sample when the LoRA alone is trained.

    Frozen projections need the gradient of their input only, which costs their forward pass once more; LoRA and
    attention need two products for each one. Nothing flows back before the first block's projections. With
    checkpointing every block's forward pass is done again. Attention's own recomputation inside flash kernels is not
    counted. Raises ValueError on a network without blocks of both kinds.
    """
    _require_both_kinds(shape)
    hidden, every = shape.hidden, tokens.total(shape)
    blocks = shape.double + shape.single
    one_block, attention = _block_flops(shape, every), _attention_flops(shape, every)
    lora = _lora_flops(shape, every, rank)
    first = 2 * every * hidden * (3 * hidden + rank)
    backward = blocks * (one_block + 2 * attention) + 2 * lora - first
    backward += 2 * tokens.images() * hidden * shape.token_width
    again = 0
    if checkpointing:
        modulation = 2 * hidden * hidden * (shape.double * 2 * 6 + shape.single * 3)
        again = blocks * (one_block + attention) + modulation + lora
    return forward_flops(shape, tokens, rank) + backward + again


def saved_bytes(
    shape: NetworkShape, tokens: TokenCounts, rank: int, element: int = 2, checkpointing: bool = False
) -> int:
    """Return the bytes that autograd keeps for the backward pass of one sample when the LoRA alone is trained.

    `element` is the size of the network's dtype. Of S tokens a double block keeps 14 S H elements (two norm inputs,
    a norm output, qkv, attention's q, k, v and output, the MLP before its activation), a single block 17 S H (norm
    input and output, qkv, attention's q, k and output, the MLP before its activation, both joined). In a dtype of
    half size q and k are kept in float32 before their norm, in a double block instead of qkv. With checkpointing a
    block keeps its input, S H, and the most costly block is held once while it is done again. Raises ValueError on a
    network without blocks of both kinds.
    """
    _require_both_kinds(shape)
    hidden, every, images = shape.hidden, tokens.total(shape), tokens.images()
    rope = 2 * every * shape.head_dim * STAT_BYTES
    last = (2 * images + hidden) * element
    block_input = every * hidden * element
    double = _double_saved(shape, every, rank, element)
    single = _single_saved(shape, every, rank, element)
    if checkpointing:
        kept = (shape.double + shape.single + 1) * block_input + hidden * element + rope + last
        return kept + max(double, single)
    # The first block's norms have inputs without a gradient, so neither those nor their scales are kept.
    first = (every * (hidden + 2) + 2 * hidden) * element
    return shape.double * double + shape.single * single - first + rope + last + block_input


@dataclass(frozen=True)
class CostRow:
    """Costs of one sample at one size: operations of a forward pass and of a training step, and bytes kept for it."""

    side: int
    references: str
    tokens: int
    forward_flops: int
    training_flops: int
    checkpointed_flops: int
    saved_bytes: int
    checkpointed_bytes: int


def cost_table(shape: NetworkShape, rank: int = DEFAULT_LORA_RANK, text: int = 512) -> list[CostRow]:
    """Return the costs at 512, 768 and 1024 px: text only, with a content, with a style, and with both references."""
    rows = []
    for side in (512, 768, 1024):
        for references, contents, styles in (("none", 0, 0), ("content", 1, 0), ("style", 0, 1), ("both", 1, 1)):
            tokens = square_sequence(side, contents, styles, text)
            rows.append(
                CostRow(
                    side=side,
                    references=references,
                    tokens=tokens.total(shape),
                    forward_flops=forward_flops(shape, tokens, rank),
                    training_flops=training_flops(shape, tokens, rank),
                    checkpointed_flops=training_flops(shape, tokens, rank, checkpointing=True),
                    saved_bytes=saved_bytes(shape, tokens, rank),
                    checkpointed_bytes=saved_bytes(shape, tokens, rank, checkpointing=True),
                )
            )
    return rows


def _double_saved(shape: NetworkShape, every: int, rank: int, element: int) -> int:
    qkv = 0 if element < STAT_BYTES else 3
    kept = every * ((11 + qkv) * shape.hidden + 2 * rank + 2 * 2) * element
    return kept + _head_bytes(shape, every, element) + 2 * 8 * shape.hidden * element


def _single_saved(shape: NetworkShape, every: int, rank: int, element: int) -> int:
    kept = every * (17 * shape.hidden + 2 * rank + 2) * element
    return kept + _head_bytes(shape, every, element) + 4 * shape.hidden * element


def _head_bytes(shape: NetworkShape, every: int, element: int) -> int:
    """Return what the norms of q and k and the softmax keep in float32: below it, q and k themselves as well."""
    upcast = 2 * shape.hidden if element < STAT_BYTES else 0
    return every * (upcast + 3 * shape.heads) * STAT_BYTES


def _require_both_kinds(shape: NetworkShape) -> None:
    if not (shape.double and shape.single):
        raise ValueError("training is counted for networks with both double and single blocks")


def _block_flops(shape: NetworkShape, every: int) -> int:
    return 2 * every * shape.hidden * shape.hidden * (3 + 1 + 2 * MLP_RATIO)


def _attention_flops(shape: NetworkShape, every: int) -> int:
    return 4 * every * every * shape.hidden


def _lora_flops(shape: NetworkShape, every: int, rank: int) -> int:
    """Return the LoRA's operations: qkv (H to 3 H) and output (H, or 5 H in a single block, to H), on S tokens."""
    double, single = (1 + 3) + (1 + 1), (1 + 3) + (1 + MLP_RATIO + 1)
    return 2 * every * rank * shape.hidden * (shape.double * double + shape.single * single)
