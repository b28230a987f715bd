"""Candidates a second and peak memory, beside what people use today, on the same files of artwork, interleaved.

Work: list triplets in a folder, decode, refuse near duplicates, measure eight scores with the nano encoder, filter by
thresholds, write webdataset shards. `plain` is a Ray Data script that does that and nothing else (`plain_ray.py`: exact
equality of hashes for duplicates, no layouts, no manifest); `data-juicer` is Data-Juicer's own command with filters of
size, aspect ratio and duplicates, over the same rows: it scores nothing and writes paths, not images. Triptych
does its whole job: safe ingest, near duplicates, layout registration, scores, decisions with reasons, shards, manifest.
Memory is the sum of PSS over the process and all its descendants, looked at twice a second.

    python benchmarks/rivals --images 10000 --rounds 3
    python benchmarks/rivals --images 10000 --rounds 3 --data-juicer VENV/bin/dj-process
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import yaml
from images import REALISTIC, write_images
from plain_ray import triplets

_HERE = Path(__file__).parent
_MB = 1e6


def spec(images: Path, size: int) -> dict[str, Any]:
    return {
        "name": "rivals",
        "sources": [{"kind": "folder", "path": str(images), "realistic_style": REALISTIC}],
        "image": {"size": size},
        "layouts": {"preserved": 1, "shifted": 0},
        "scores": {"bank": 96, "neighbours": 8},
        "policy": [{"column": "style_leak", "max": 0.8}, {"column": "copy_paste", "max": 0.95}],
        "shards": {"candidates": 512},
        "ray": {"cpus": 2, "object_store_mb": 400},
    }


def juicer_recipe(rows: Path, out: Path) -> dict[str, Any]:
    return {
        "project_name": "rivals",
        "dataset_path": str(rows),
        "export_path": str(out / "out.jsonl"),
        "np": 2,
        "process": [
            {"image_shape_filter": {"min_width": 32, "min_height": 32}},
            {"image_aspect_ratio_filter": {"min_ratio": 0.3, "max_ratio": 3.0}},
            {"image_size_filter": {"min_size": "100"}},
            {"image_deduplicator": {"method": "phash"}},
        ],
    }


def measured(command: list[str], environment: dict[str, str] | None = None) -> tuple[float, float, str]:
    """Run a command, and return its seconds, peak memory in MB, and what it printed."""
    peak, done = 0.0, threading.Event()
    start = time.monotonic()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}
    ) as process:

        def watch() -> None:
            nonlocal peak
            while not done.wait(0.5):
                peak = max(peak, _memory(process.pid))

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        out, errors = process.communicate()
        done.set()
        watcher.join()
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed\n{errors[-3000:]}")
    return time.monotonic() - start, peak / _MB, out


def _memory(pid: int) -> float:
    total = 0.0
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    for process in family:
        try:
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total


def main() -> None:
    """Run them in turn, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--file-size", type=int, default=256, help="Pixels of the files.")
    parser.add_argument("--size", type=int, default=96, help="Pixels of what is scored and written.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data-juicer", type=Path, help="Its command `dj-process`, from an environment of its own.")
    parser.add_argument("--out", type=Path, default=Path("runs/rivals"))
    given = parser.parse_args()
    images, out = (given.out / "images").absolute(), given.out.absolute()
    write_images(images, given.images, given.file_size)
    job = out / "job.yaml"
    job.write_text(yaml.safe_dump(spec(images, given.size)))
    rows = triplets(images)
    listed = out / "rows.jsonl"
    listed.write_text("".join(json.dumps({"text": "", "images": list(row.values())}) + "\n" for row in rows))
    triptych = str(Path(sys.executable).with_name("triptych"))
    threads = {"OMP_NUM_THREADS": "1"}
    figures: dict[str, list[tuple[float, float]]] = {}
    for number in range(given.rounds):
        place = out / f"round-{number}"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        ours = [triptych, "curate", "run", str(job), "--store", str(place / "store"), "--no-report", "--json"]
        commands = {
            "triptych": ours,
            "plain ray data": [
                sys.executable,
                str(_HERE / "plain_ray.py"),
                str(images),
                str(place / "plain"),
                str(job),
            ],
        }
        if given.data_juicer:
            recipe = place / "juicer.yaml"
            recipe.write_text(yaml.safe_dump(juicer_recipe(listed, place / "juicer")))
            commands["data-juicer"] = [str(given.data_juicer), "--config", str(recipe)]
        for name, command in commands.items():
            seconds, memory, said = measured(command, threads)
            count = len(rows)
            if name == "triptych":
                count = json.loads(said)["committed"]
            figures.setdefault(name, []).append((count / seconds, memory))
            print(f"round {number + 1}  {name:<16} {count:>7,} candidates {seconds:>7.1f} s", flush=True)
        shutil.rmtree(place)
    ours_rate = statistics.median(rate for rate, _ in figures["triptych"])
    print(f"\n{'':<16} {'candidates/s':>12} {'peak MB':>8} {'triptych is':>12}")
    for name, found in figures.items():
        rate, memory = (statistics.median(values) for values in zip(*found, strict=True))
        print(f"{name:<16} {rate:>12.1f} {memory:>8,.0f} {ours_rate / rate:>11.2f}x")


if __name__ == "__main__":
    main()
