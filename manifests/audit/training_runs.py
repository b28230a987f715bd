"""Training runs: which samples each may have seen, as its own folder records them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.parquet as pq

RUN, SAMPLES = "run.json", "samples.parquet"
"""What a run writes into its folder: what it is, and every sample that it may use."""

_CHECKPOINT = re.compile(r"step-\d+")

Times = Callable[[Path, Collection[str]], dict[str, list[tuple[Path, int]]]]
"""Given a run's folder and candidates: for each of those among its samples, its checkpoints and how often the weights
of each had been trained on it. `uso.training.consumed` computes it from the run's order of samples."""


@dataclass(frozen=True)
class TrainingRun:
    """The folder of a training run."""

    folder: Path

    @property
    def key(self) -> str:
        """Return what stands for the run."""
        return str(self.folder)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Return what run.json says; nothing where it is not there or is no JSON."""
        try:
            found = json.loads((self.folder / RUN).read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def name(self) -> str:
        """Return the run's name."""
        return str(self.facts.get("name") or self.folder.name)

    @property
    def recorded(self) -> bool:
        """Tell whether the run lists its samples."""
        return (self.folder / SAMPLES).is_file()

    @property
    def checkpoints(self) -> list[Path]:
        """Return the folders of its checkpoints, oldest first."""
        return sorted(path for path in self.folder.glob("checkpoints/step-*") if _CHECKPOINT.fullmatch(path.name))

    def among(self, candidates: Collection[str]) -> set[str]:
        """Return those of some candidates that are among the samples of the run."""
        rows = pads.dataset(self.folder / SAMPLES).to_table(
            columns=["candidate_id"], filter=pads.field("candidate_id").isin(list(candidates))
        )
        return set(pc.unique(rows["candidate_id"]).to_pylist())

    def samples(self) -> list[str]:
        """Return all samples of the run."""
        found: list[str] = pc.unique(pq.read_table(self.folder / SAMPLES, columns=["candidate_id"])[0]).to_pylist()
        return found

    def reads(self, digests: Collection[str]) -> int | None:
        """Return the version at which the run read the store whose commits have these digests; None if another."""
        versions = [data["version"] for data in self.facts.get("data", []) if data.get("digest") in digests]
        return max(versions) if versions else None


def find_runs(folders: Sequence[Path]) -> list[TrainingRun]:
    """Return the runs in some folders: each is a run, or holds runs, at any depth.

    Raises ValueError on a folder without any.
    """
    found: dict[Path, TrainingRun] = {}
    for folder in folders:
        records = {path.parent for name in (RUN, SAMPLES) for path in folder.rglob(name)}
        if not records:
            raise ValueError(f"{folder}: holds no training run ({RUN}); name what `triptych train --out` wrote")
        found |= {path: TrainingRun(path) for path in sorted(records)}
    return list(found.values())
