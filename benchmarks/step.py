"""A training step against the bare forward and backward pass of the same network on the same resident tensors.

    python benchmarks/step.py --recipe jobs/nano/demo-stage2.yaml --store runs/demo --rounds 40

A step is everything that the loop does: taking a batch from the loader, encoding through the cache, noise and stacking,
forward and backward, the gradient's bound, AdamW, the running mean. Both run in turn, on the same samples, in one
process; the figure is the median of the rounds' ratios. The cache is filled before. Then the peak of bytes in live
tensors of a step with style reward learning over one without it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from live_bytes import LiveBytes

from uso.training.distributed import World
from uso.training.flow import flow_losses
from uso.training.flow_objective import FlowObjective
from uso.training.load_recipe import load_recipe
from uso.training.objective import Example, groups_of
from uso.training.run import Run

LIMIT = 1.05


def make_run(recipe: Path, store: str, out: Path, overrides: list[str]) -> Run:
    fixed = ["watch.heldout=null", "watch.grids=null", f"data.cache={{path: {out.parent / 'cache'}}}", *overrides]
    return Run(load_recipe(recipe, fixed, [store]), out, World(), None, None)


def bare(objective: FlowObjective, examples: list[Example], micro: int, size: int) -> float:
    """Return the seconds of forward and backward alone, on tensors that are stacked before the clock starts."""
    groups = [objective.stacked(group) for group in groups_of(examples, micro)]
    before = time.perf_counter()
    for clean, noise, times, conditions in groups:
        losses = flow_losses(objective.network, clean, noise, times, conditions)
        (losses.sum() / size).backward()  # type: ignore[no-untyped-call]
    spent = time.perf_counter() - before
    objective.network.zero_grad(set_to_none=True)
    return spent


def time_steps(run: Run, rounds: int) -> list[tuple[float, float, float]]:
    """Return (step, bare, waiting for data) in seconds for each round; the one that goes first changes."""
    assert isinstance(run.objective, FlowObjective)
    run.stepper.reward = None
    batches = run.loader.batches(run.position)
    for batch in islice(run.loader.batches(run.position), rounds + 3):
        run.objective.prepare(batch.samples)  # fills the cache
    found = []
    for number in range(rounds + 3):
        spent_bare = 0.0
        before = time.perf_counter()
        batch = next(batches)
        waited = time.perf_counter() - before
        if number % 2:
            spent_bare = bare(run.objective, run.objective.prepare(batch.samples), run.recipe.batch.micro, batch.size)
        before = time.perf_counter()
        examples = run.objective.prepare(batch.samples)
        run.stepper.step(number, examples, batch.places, batch.size)
        if run.ema is not None:
            run.ema.update(number)
        spent = waited + time.perf_counter() - before
        if not number % 2:
            spent_bare = bare(run.objective, examples, run.recipe.batch.micro, batch.size)
        found.append((spent, spent_bare, waited))
    return found[3:]


def peak_bytes(run: Run, *, rewarded: bool) -> int:
    """Return the peak of live bytes of one step."""
    assert isinstance(run.objective, FlowObjective)
    kept, run.stepper.reward = run.stepper.reward, run.reward if rewarded else None
    batch = next(run.loader.batches(run.position))
    examples = run.objective.prepare(batch.samples)
    number = run.reward.settings.start if run.reward is not None else 0
    run.stepper.step(number, examples, batch.places, batch.size)  # optimizer state is there before it is measured
    given = sum(parameter.nbytes for parameter in run.objective.network.parameters())
    with LiveBytes(given) as live:
        run.stepper.step(number, examples, batch.places, batch.size)
    run.stepper.reward = kept
    return live.peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=Path("jobs/nano/demo-stage2.yaml"))
    parser.add_argument("--store", default="runs/demo")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch; the loader has its own")
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with TemporaryDirectory() as folder:
        run = make_run(given.recipe, given.store, Path(folder) / "run", given.overrides)
        rows = time_steps(run, given.rounds)
        ratio = statistics.median(step / alone for step, alone, _ in rows)
        figures = {
            "step_s": statistics.median(step for step, _, _ in rows),
            "bare_s": statistics.median(alone for _, alone, _ in rows),
            "ratio": ratio,
            "limit": LIMIT,
            "waiting_share": sum(waited for _, _, waited in rows) / sum(step for step, _, _ in rows),
        }
        if run.reward is not None:
            without, with_reward = (peak_bytes(run, rewarded=rewarded) for rewarded in (False, True))
            figures |= {
                "peak_mib": without / 2**20,
                "peak_with_reward_mib": with_reward / 2**20,
                "peak_ratio": with_reward / without,
            }
        run.close()
    print(json.dumps({key: round(value, 4) for key, value in figures.items()}, indent=1))


if __name__ == "__main__":
    main()
