"""Our loader beside webdataset, wids, mosaicml-streaming, litdata and megatron-energon, on the same images.

    python benchmarks/loader.py --store runs/demo --workers 2 --batch 16 --rounds 5

Each contestant reads batches of three decoded images and a prompt, shuffled, with as many workers, as its own documents
advise (the modules of `loaders` say how). All decode with the same function, the faster of OpenCV and Pillow. A round
is a fresh process of each in turn, and the one that goes first changes from round to round; figures are medians. The
first batch is not counted into the throughput but shown as start-up, from the import of the library on. Processor time
is that of the process and its workers: on a machine that others use, it is the steadier figure.

Then the time to resume: from nothing (but torch and OpenCV imported) to the first batch after step 10, 1,000 and
100,000. The states of the first two come out of real runs, and `right` says whether the batch was the one that the
uninterrupted run had there. The third is the saved state with its counters set, where a state consists of counters;
megatron-energon's does not, and a real run of 100,000 steps is made for it with `--far`. Libraries that are not
installed are left out, and said to be.

Ours holds each sample's bytes against the manifest's sha256 when it first reads them; the others hold them against
nothing. The row `ours, unverified` does without.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from loaders.contract import MODULES, Place, library
from loaders.convert import convert, records
from loaders.images import DECODERS, ROLES
from loaders.spawn import Job, RunFailedError, global_batches, load_state, run, store_state

STEPS = (10, 1_000, 100_000)
PACKAGES = {name: name for name in MODULES if not name.startswith("ours")}


@dataclass
class Row:
    """One contestant: medians over rounds; `ratio` is ours' throughput over its own in the same round."""

    library: str
    version: str
    samples_per_second: float = 0
    ratio: float = 0
    cpu_ms_per_sample: float = 0
    start_s: float = 0
    rounds: list[float] = field(default_factory=list)
    resume_s: dict[int, float | None] = field(default_factory=dict)
    right: dict[int, bool | None] = field(default_factory=dict)
    resumes: str = ""
    fault: str = ""


def faster_decoder(store: Path, images: int = 300) -> tuple[str, dict[str, float]]:
    """Return the faster decoder, and milliseconds an image of both."""
    data = [record[role] for record in islice(records(store), images // 3) for role in ROLES]
    found = {}
    for name in ("cv2", "pil"):
        decode = DECODERS[name]
        best = []
        for _ in range(3):
            began = time.process_time()
            for each in data:
                assert isinstance(each, bytes)
                decode(each)
            best.append(time.process_time() - began)
        found[name] = 1000 * min(best) / len(data)
    return min(found, key=lambda name: found[name]), found


def throughput(jobs: dict[str, Job], rows: dict[str, Row], rounds: int, folder: Path) -> None:
    names = list(jobs)
    rates: dict[str, list[float]] = {name: [] for name in names}
    cpu: dict[str, list[float]] = {name: [] for name in names}
    starts: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            report = run(jobs[name], folder)[0][0]
            rates[name].append(report.samples / report.wall)
            cpu[name].append(1000 * report.cpu / report.samples)
            starts[name].append(report.start)
    for name in names:
        row = rows[name]
        row.rounds = rates[name]
        row.samples_per_second = statistics.median(rates[name])
        row.ratio = statistics.median(o / t for o, t in zip(rates["ours"], rates[name], strict=True))
        row.cpu_ms_per_sample = statistics.median(cpu[name])
        row.start_s = statistics.median(starts[name])


def resume(name: str, job: Job, row: Row, samples: int, folder: Path, *, repeats: int, far: bool) -> None:
    """Fill in a row's times to resume."""
    bare = replace(job, place=replace(job.place, decoding="none"), states=[])
    whole = global_batches(run(replace(bare, steps=STEPS[1] + 1), folder)[0])
    early: list[str] = []
    for step in STEPS:
        expected = None
        if step < len(whole):
            expected = sorted(whole[step])
            states = run(replace(bare, steps=step), folder, keep=True)[1]
            early = early or states
        else:
            state = library(name).state_at(step, load_state(early[0]), Path(job.store), samples, job.place.batch)
            if state is None and not far:
                row.resume_s[step] = row.right[step] = None
                continue
            if state is None:
                states = run(replace(bare, steps=step), folder, keep=True, timeout=3600)[1]
            else:
                states = [store_state(state, folder)]
        reports = [run(replace(job, states=states, steps=1), folder, timeout=1200)[0] for _ in range(repeats)]
        row.resume_s[step] = statistics.median(report[0].start for report in reports)
        row.right[step] = None if expected is None else sorted(global_batches(reports[0])[0]) == expected


def show(rows: list[Row], decoder: str, costs: dict[str, float]) -> None:
    costs_ms = ", ".join(f"{name} {cost:.3f} ms" for name, cost in costs.items())
    print(f"decoding an image: {costs_ms} of processor time; all use {decoder}\n")
    heads = "".join(f"{'resume ' + format(step, ','):>16}" for step in STEPS)
    print(f"{'':22}{'samples/s':>10}{'ours is':>9}{'cpu ms':>8}{'start s':>9}{heads}")
    for row in rows:
        if row.fault:
            print(f"{row.library:22}{row.fault}")
            continue
        cells = ""
        for step in STEPS:
            seconds = row.resume_s.get(step)
            wrong = " wrong" if row.right.get(step) is False else ""
            cells += f"{'-' if seconds is None else format(seconds, '.2f') + wrong:>16}"
        print(
            f"{row.library:22}{row.samples_per_second:10.0f}{row.ratio:8.2f}x{row.cpu_ms_per_sample:8.3f}"
            f"{row.start_s:9.2f}{cells}   {row.resumes}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=200, help="batches of a round after the first")
    parser.add_argument("--repeats", type=int, default=3, help="of each time to resume")
    parser.add_argument("--only", nargs="+", choices=list(MODULES), default=list(MODULES))
    parser.add_argument("--far", action="store_true", help="run 100,000 steps where only a run gives the state")
    parser.add_argument("--out", type=Path, help="write the result as JSON")
    options = parser.parse_args()
    store = options.store.resolve()
    samples = sum(1 for _ in records(store))
    decoder, costs = faster_decoder(store)
    names = list(dict.fromkeys(["ours", *options.only]))
    rows = {name: Row(name, "") for name in names}
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        jobs = {}
        for name in names:
            try:
                data = convert(name, store, folder)
            except ImportError as error:
                rows[name].fault = f"not installed ({error})"
                continue
            rows[name].version = version(PACKAGES.get(name, "triptych"))
            place = Place(
                workers=options.workers, batch=options.batch, decoding=decoder, verify=name != "ours, unverified"
            )
            jobs[name] = Job(name, str(data), str(store), place, options.batches + 1)
        throughput(jobs, rows, options.rounds, folder)
        for name, job in jobs.items():
            rows[name].resumes = library(name).RESUMES
            try:
                resume(name, job, rows[name], samples, folder, repeats=options.repeats, far=options.far)
            except RunFailedError as error:
                rows[name].resumes = f"failed to resume: {error}"
    show(list(rows.values()), decoder, costs)
    if options.out:
        facts = {"store": str(options.store), "samples": samples, "workers": options.workers, "batch": options.batch}
        result = {**facts, "decoder": decoder, "decode_ms": costs, "rows": [asdict(row) for row in rows.values()]}
        options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
