"""Trainings side by side, one thread each: a network this small gains little from a second one."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from variants import Training

from uso.training.outcome import read_outcome

_LOG_LINES = 20


def train_all(trainings: Iterable[Training], store: Path, triptych: Path, beside: int) -> None:
    """Run trainings, `beside` of them at a time, each after the one that it builds on; finished ones are passed over.

    Raises RuntimeError with the end of its log when one fails.
    """
    waiting = list({training.out: training for training in trainings}.values())
    running: dict[Path, tuple[subprocess.Popen[bytes], Path]] = {}
    columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns) as progress:
        bar = progress.add_task("training", total=len(waiting))
        while waiting or running:
            for training in [each for each in waiting if len(running) < beside and _ready(each)]:
                if len(running) == beside:
                    break
                waiting.remove(training)
                if _finished(training.out):
                    progress.advance(bar)
                    continue
                training.out.mkdir(parents=True, exist_ok=True)
                log = training.out / "log.txt"
                environment = os.environ | {"OMP_NUM_THREADS": "1"}
                process = subprocess.Popen(
                    training.command(triptych, store), stdout=log.open("ab"), stderr=subprocess.STDOUT, env=environment
                )
                running[training.out] = process, log
            time.sleep(0.5)
            for out, (process, log) in list(running.items()):
                if process.poll() is None:
                    continue
                del running[out]
                if process.returncode or not _finished(out):
                    for other, _ in running.values():
                        other.terminate()
                    tail = "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_LINES:])
                    raise RuntimeError(f"{out} ended with code {process.returncode}; the end of {log}:\n{tail}")
                progress.advance(bar)


def _ready(training: Training) -> bool:
    return training.after is None or _finished(training.after)


def _finished(out: Path) -> bool:
    outcome = read_outcome(out)
    return outcome is not None and outcome.ending == "finished"
