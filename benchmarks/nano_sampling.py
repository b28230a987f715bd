"""Seconds for 16 pictures of the nano family, as `make demo` draws them: 96 px, 12 steps, guidance 2.

One batch of 16 by each shipped expert, on the cores that torch is given; the first one (loading, warm-up) is left out.
Seconds of processor time stand beside those on the clock, since a busy machine stretches the latter alone.

    .venv/bin/python benchmarks/nano_sampling.py --threads 2
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from curation.spec.load import load_spec
from workers.experts.uso.model import Order, UsoModel


def main() -> None:
    """Draw, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--spec", type=Path, default=Path("jobs/demo.yaml"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    picture = np.full((96, 96, 3), 200, np.uint8)
    picture[24:72, 24:72] = (180, 40, 40)
    experts = load_spec(given.spec).experts
    print(f"{'expert':<12} {'images':>6} {'seconds':>8} {'processor':>10}")
    for role in ("stylize", "destylize"):
        entry = next(entry for entry in experts.of(role) if entry.kind in ("uso", "nano"))
        settings = entry.settings()
        model = UsoModel(settings, "cpu")
        seen = {"style": picture} if settings.reads_style else {"content": picture}
        orders = [Order("a red apple", (96, 96), seed, **seen) for seed in range(16)]
        model.draw(orders)
        found = []
        for _ in range(given.rounds):
            wall, processor = time.perf_counter(), time.process_time()
            drawn = model.draw(orders)
            assert all(isinstance(image, np.ndarray) for image in drawn)
            found.append((time.perf_counter() - wall, time.process_time() - processor))
        wall, processor = (statistics.median(values) for values in zip(*found, strict=True))
        print(f"{role:<12} {len(orders):>6} {wall:>8.1f} {processor:>10.1f}")


if __name__ == "__main__":
    main()
