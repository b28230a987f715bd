"""Does a run that goes on with other ranks and workers see the samples that it would have seen without the break?

    python -m loaders.elastic --store runs/demo        (from benchmarks/)

A run is a chain of legs, each with its own ranks and workers, started from the states that the leg before had saved.
Its global batches are held against those of one uninterrupted leg of one rank with two workers. Batches are compared as
sets: which rank has which sample, and where in a batch, does not change the gradient but for rounding.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from loaders.contract import MODULES, Place, library
from loaders.convert import convert, records
from loaders.spawn import Job, RunFailedError, global_batches, run


@dataclass(frozen=True)
class Leg:
    """So many global batches, read by `world` ranks of `workers` each."""

    world: int
    workers: int
    batches: int


@dataclass(frozen=True)
class Verdict:
    """How a chain of legs compares with the uninterrupted run.

    `same` of `compared` global batches after the first break hold the same samples. `repeated` counts samples that came
    again in the first epoch, each in the place of another that did not come; `repeated_anyway` is what the
    uninterrupted run does of that. `refusal` is what the library said instead.
    """

    same: int = 0
    compared: int = 0
    first_other: int | None = None
    repeated: int = 0
    repeated_anyway: int = 0
    refusal: str = ""

    @property
    def exact(self) -> bool:
        """Return whether every global batch was the same."""
        return not self.refusal and self.same == self.compared

    def __str__(self) -> str:
        if self.refusal:
            return f"refuses: {self.refusal}"
        if self.exact:
            return f"same {self.compared} global batches"
        return (
            f"{self.same} of {self.compared} global batches the same, the first other one is number "
            f"{self.first_other}; in the first epoch {self.repeated} samples come twice and as many not at all "
            f"(uninterrupted: {self.repeated_anyway})"
        )


def stream(name: str, data: Path, store: Path, legs: Sequence[Leg], folder: Path, batch: int) -> list[list[str]]:
    """Return the ids of the global batches of all legs. Raises RunFailedError."""
    found: list[list[str]] = []
    states: list[str] = []
    for leg in legs:
        place = Place(world=leg.world, workers=leg.workers, batch=batch, seed=11, decoding="none", accumulate=True)
        job = Job(name, str(data), str(store), place, leg.batches, states)
        reports, states = run(job, folder, keep=True, timeout=120)
        found += global_batches(reports)
    return found


def compare(broken: list[list[str]], whole: list[list[str]], stop: int, samples: int) -> Verdict:
    """Return how the batches of a broken run compare with the uninterrupted run's."""
    pairs = [(sorted(one), sorted(other)) for one, other in zip(broken, whole, strict=True)]
    same = [one == other for one, other in pairs]
    epoch = samples // len(whole[0])
    first = next((number for number, equal in enumerate(same) if not equal), None)
    return Verdict(sum(same[stop:]), len(same) - stop, first, _repeated(broken[:epoch]), _repeated(whole[:epoch]))


def _repeated(batches: list[list[str]]) -> int:
    counts = Counter(name for ids in batches for name in ids)
    return sum(counts.values()) - len(counts)


def judge(
    name: str, data: Path, store: Path, legs: Sequence[Leg], whole: list[list[str]], samples: int, folder: Path
) -> Verdict:
    """Return the verdict on one chain of legs."""
    try:
        broken = stream(name, data, store, legs, folder, len(whole[0]))
    except RunFailedError as error:
        return Verdict(refusal=str(error))
    return compare(broken, whole, legs[0].batches, samples)


def chains(total: int, stop: int) -> dict[str, list[Leg]]:
    """Return the chains that are tried, each of `total` global batches with its first break after `stop`."""
    return {
        "1 x 2 -> 2 x 1": [Leg(1, 2, stop), Leg(2, 1, total - stop)],
        "1 x 2 -> 2 x 2": [Leg(1, 2, stop), Leg(2, 2, total - stop)],
        "1 x 2 -> 3 x 1": [Leg(1, 2, stop), Leg(3, 1, total - stop)],
        "1 x 2 -> 5 x 1": [Leg(1, 2, stop), Leg(5, 1, total - stop)],
        "1 x 2 -> 2 x 1 -> 1 x 3": [Leg(1, 2, stop), Leg(2, 1, stop), Leg(1, 3, total - 2 * stop)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--stop", type=int, nargs="+", default=[31, 32], help="batches before the first break")
    parser.add_argument("--epochs", type=float, default=2.5)
    parser.add_argument("--only", nargs="+", choices=list(MODULES), default=list(MODULES))
    options = parser.parse_args()
    store = options.store.resolve()
    samples = sum(1 for _ in records(store))
    total = int(options.epochs * samples / options.batch)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in options.only:
            try:
                data = convert(name, store, folder)
            except ImportError as error:
                print(f"{name}: not installed ({error})")
                continue
            print(f"{name}: {library(name).RESUMES}")
            whole = stream(name, data, store, [Leg(1, 2, total)], folder, options.batch)
            for stop in options.stop:
                for chain, legs in chains(total, stop).items():
                    print(f"    {chain}, broken off after {stop}: ", end="", flush=True)
                    print(judge(name, data, store, legs, whole, samples, folder), flush=True)


if __name__ == "__main__":
    main()
