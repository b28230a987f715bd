"""Packing of trained runs into the family that ships: weights in bfloat16, and beside them what they were made by."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from manifests.identities import digest_of_file
from uso.formats.safefile import cast, write_weights
from uso.nano.family import FIRST, MEMBERS, RECORD
from uso.training.outcome import read_outcome
from uso.training.watch.jsonl import METRICS, read_lines

_POINTS = 50
"""Points of a curve of training that are kept."""

_TRAINED = ("dit_lora.safetensors", "projector.safetensors", "pipeline")


def pack_family(runs: Path, out: Path) -> dict[str, Any]:
    """Write the family's folder from the finished runs below `runs`, one a member, and return its record.

    The base comes first: the others are trained on what was packed of it. The record, `family.json`, says of each
    member with which recipe, seed and data it was trained, how its held-out loss fell, and the sha256 of every file.
    Raises ValueError when the base has not been trained.
    """
    sources = {member: runs / name for member, name in MEMBERS.items() if _finished(runs / name)}
    if "pipeline" not in sources:
        raise ValueError(f"{runs / MEMBERS['pipeline']}: the base has not been trained; `make family` does it")
    draft = out.with_name(f".{out.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    record = {}
    for member, run in sources.items():
        folder = draft / member
        for name in _TRAINED:
            if (run / name).exists() and (member == "pipeline") == (name == "pipeline"):
                _copy(run / name, folder if name == "pipeline" else folder / name)
        record[member] = _record(run, folder)
    for name in FIRST:
        record["pipeline"][name] = _history(runs / name)
    (draft / RECORD).write_text(json.dumps(record, indent=1) + "\n")
    shutil.rmtree(out, ignore_errors=True)
    draft.rename(out)
    return record


def draw_curves(record: dict[str, Any], path: Path) -> None:
    """Draw how the losses of each member fell, in training and on held-out subjects, one small plot a member."""
    from matplotlib.figure import Figure

    curves = {name: record["pipeline"][name] for name in FIRST} | record
    figure = Figure(figsize=(3.0 * len(curves), 2.6), layout="constrained")
    for axes, (name, facts) in zip(figure.subplots(1, len(curves), squeeze=False)[0], curves.items(), strict=True):
        for kind, style in (("train", {"color": "#a9bcc9"}), ("heldout", {"color": "#2a6f97", "marker": "o"})):
            axes.plot(*np.array(facts[kind]).reshape(-1, 2).T, markersize=3, label=kind, **style)
        axes.set_title("base with reference" if name == "pipeline" else name, fontsize=10)
        axes.set_xlabel("step", fontsize=8)
        axes.set_ylabel("loss", fontsize=8)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.tick_params(labelsize=7)
        axes.legend(fontsize=7, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _finished(run: Path) -> bool:
    outcome = read_outcome(run)
    return outcome is not None and outcome.ending == "finished"


def _copy(source: Path, target: Path) -> None:
    for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
        if path.is_dir():
            continue
        place = target / path.relative_to(source) if source.is_dir() else target
        if path.suffix == ".safetensors":
            write_weights(place, cast(load_file(path), torch.bfloat16))
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)


def _record(run: Path, folder: Path) -> dict[str, Any]:
    files = {
        str(path.relative_to(folder)): {"sha256": digest_of_file(path), "bytes": path.stat().st_size}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    return _history(run) | {"files": files}


def _history(run: Path) -> dict[str, Any]:
    facts = json.loads((run / "run.json").read_text())
    lines = list(read_lines(run / METRICS))
    curves = {
        kind: [[line["step"], round(line[name], 4)] for line in lines if line.get(name) is not None]
        for kind, name in (("heldout", "heldout/loss"), ("train", "train/loss"))
    }
    data = [{key: source[key] for key in ("digest", "where", "weight", "samples")} for source in facts["data"]]
    kept = ("name", "seed", "steps", "train", "batch", "optimizer", "ema")
    return {
        "recipe": {key: facts["recipe"][key] for key in kept},
        "trained_parameters": facts["trained_parameters"],
        "data": data,
        "versions": facts["versions"],
        "heldout": curves["heldout"],
        "train": curves["train"][:: max(1, len(curves["train"]) // _POINTS)],
    }
