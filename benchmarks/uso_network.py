"""Time and peak memory of our network against diffusers' plain FluxTransformer2DModel of the same size.

    python benchmarks/uso_network.py --preset nano --side 256 --rounds 15

Both networks hold the same weights and get the same inputs: text and target only, all weights trained. Rounds are
interleaved in one process, and the network that goes first changes from round to round; the figure is the median of the
rounds' ratios, which a busy machine moves little. On a CPU time is the process's own CPU time; memory is the peak of
bytes in live tensors during a step, parameters and their gradients included (CUDA: of the allocator). Ours with
references, and with a LoRA on a frozen base, are shown as well; diffusers has no counterpart to those.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from diffusers import FluxTransformer2DModel
from live_bytes import LiveBytes
from torch import Tensor, nn

from uso.checkpoint import base_state, diffusers_config
from uso.formats.base import diffusers_entries
from uso.formats.layout import write_entries
from uso.lora import add_lora, set_trainable
from uso.network import USOTransformer
from uso.packing import pack, token_grid
from uso.position_ids import text_ids, unope_ids
from uso.presets import PRESETS, NetworkShape
from uso.projector import StyleFeatures
from uso.velocity import Conditions, predict_velocity

LIMIT = 1.03


@dataclass
class Subject:
    """A network with the call that runs it forward."""

    name: str
    network: nn.Module
    forward: Callable[[], Tensor]

    def step(self, backward: bool) -> None:
        if not backward:
            with torch.no_grad():
                self.forward()
            return
        self.forward().square().mean().backward()  # type: ignore[no-untyped-call]
        self.network.zero_grad(set_to_none=True)


@dataclass(frozen=True)
class Row:
    """One line of the result; ratios are to diffusers' network in the same pass."""

    backward: bool
    network: str
    median_s: float
    time_ratio: float
    peak_mib: float
    peak_ratio: float


def inputs(shape: NetworkShape, side: int, contents: int, styles: int, device: str) -> tuple[Tensor, Conditions]:
    generator = torch.Generator().manual_seed(0)

    def normal(*size: int) -> Tensor:
        return torch.randn(size, generator=generator).to(device)

    style = shape.style
    return normal(1, shape.latent_channels, side // 8, side // 8), Conditions(
        normal(1, 64, shape.text_width),
        normal(1, shape.pooled_width),
        tuple(normal(1, shape.latent_channels, side // 16, side // 16) for _ in range(contents)),
        tuple(StyleFeatures(*(normal(1, style.tokens_in, style.width) for _ in range(3))) for _ in range(styles)),
    )


def ours(name: str, network: USOTransformer, latent: Tensor, conditions: Conditions) -> Subject:
    time_, guidance = torch.full((1,), 0.5, device=latent.device), torch.ones(1, device=latent.device)
    return Subject(name, network, lambda: predict_velocity(network, latent, time_, guidance, conditions))


def theirs(network: nn.Module, latent: Tensor, conditions: Conditions) -> Subject:
    time_, guidance = torch.full((1,), 0.5, device=latent.device), torch.ones(1, device=latent.device)

    def forward() -> Tensor:
        velocity: Tensor = network(
            hidden_states=pack(latent),
            encoder_hidden_states=conditions.text,
            pooled_projections=conditions.pooled,
            timestep=time_,
            img_ids=unope_ids(token_grid(latent))[0].to(latent.device),
            txt_ids=text_ids(conditions.text.shape[1]).to(latent.device),
            guidance=guidance,
            return_dict=False,
        )[0]
        return velocity

    return Subject("diffusers", network, forward)


def subjects(shape: NetworkShape, side: int, rank: int, device: str) -> list[Subject]:
    torch.manual_seed(0)
    network = USOTransformer.of(shape)
    flux = FluxTransformer2DModel.from_config(diffusers_config(shape))
    flux.load_state_dict(write_entries(diffusers_entries(shape), base_state(network)), strict=True)
    adapted = USOTransformer.of(shape)
    add_lora(adapted, rank)
    set_trainable(adapted, lora=True)
    for each in (network, flux, adapted):
        each.to(device).train()
    latent, plain = inputs(shape, side, 0, 0, device)
    both = inputs(shape, side, 1, 1, device)[1]
    return [
        theirs(flux, latent, plain),
        ours("ours", network, latent, plain),
        ours("ours + content + style", network, latent, both),
        ours("ours + both, LoRA, base frozen", adapted, latent, both),
    ]


def seconds(subject: Subject, backward: bool, device: str) -> float:
    clock = time.process_time if device == "cpu" else time.perf_counter
    if device != "cpu":
        torch.cuda.synchronize()
    start = clock()
    subject.step(backward)
    if device != "cpu":
        torch.cuda.synchronize()
    return clock() - start


def peak_bytes(subject: Subject, backward: bool, device: str) -> int:
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        subject.step(backward)
        allocated: int = torch.cuda.max_memory_allocated()
        return allocated
    given = sum(parameter.nbytes for parameter in subject.network.parameters())
    with LiveBytes(given) as live:
        subject.step(backward)
    peak: int = live.peak
    return peak


def measure(subjects: list[Subject], backward: bool, rounds: int, device: str) -> list[Row]:
    times: dict[str, list[float]] = {subject.name: [] for subject in subjects}
    for number in range(rounds + 1):
        order = subjects if number % 2 else [subjects[1], subjects[0], *subjects[2:]]
        for subject in order:
            taken = seconds(subject, backward, device)
            if number:  # the first round warms up
                times[subject.name].append(taken)
    first = times[subjects[0].name]
    peaks = {subject.name: peak_bytes(subject, backward, device) for subject in subjects}
    return [
        Row(
            backward=backward,
            network=subject.name,
            median_s=statistics.median(times[subject.name]),
            time_ratio=statistics.median(mine / base for mine, base in zip(times[subject.name], first, strict=True)),
            peak_mib=peaks[subject.name] / 2**20,
            peak_ratio=peaks[subject.name] / peaks[subjects[0].name],
        )
        for subject in subjects
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=list(PRESETS), default="nano")
    parser.add_argument("--side", type=int, default=256, help="target side in pixels")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    parts = subjects(PRESETS[options.preset], options.side, options.rank, options.device)
    rows = [row for backward in (False, True) for row in measure(parts, backward, options.rounds, options.device)]
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        print(f"{'pass':20}{'network':34}{'median s':>10}{'ratio':>8}{'peak MiB':>11}{'ratio':>8}")
        for row in rows:
            name = "forward + backward" if row.backward else "forward"
            print(
                f"{name:20}{row.network:34}{row.median_s:10.3f}{row.time_ratio:8.3f}"
                f"{row.peak_mib:11.1f}{row.peak_ratio:8.3f}"
            )
    over = [row for row in rows if row.network == "ours" and max(row.time_ratio, row.peak_ratio) > LIMIT]
    raise SystemExit(f"more than {LIMIT - 1:.0%} above diffusers: {over}" if over else 0)


if __name__ == "__main__":
    main()
