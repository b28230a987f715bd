"""The rival: a script as one writes it with Ray Data, without Triptych's graph, identities, manifest and resume.

Triplets are listed by folder and file name, images decoded, hashed, measured by the same scorers on the same towers,
held against the same thresholds, and written by the webdataset writer of Ray Data.

    python benchmarks/rivals/plain_ray.py IMAGES OUT SPEC
"""

from __future__ import annotations

import io
import json
import logging
import os
import random
import sys
from pathlib import Path
from typing import Any

import cv2
import imagehash
import numpy as np
from images import REALISTIC
from PIL import Image

_ROLES = ("target", "content", "style")


def triplets(folder: Path) -> list[dict[str, Any]]:
    """Return every work whose subject has a photograph, with that and another work in its style."""
    drawn = random.Random(0)
    by_style = {place.name: sorted(place.glob("*.png")) for place in sorted(folder.iterdir()) if place.is_dir()}
    real = {path.stem: path for path in by_style.pop(REALISTIC)}
    rows = []
    for works in by_style.values():
        for work in works:
            others = [other for other in drawn.sample(works, min(4, len(works))) if other.stem != work.stem]
            if work.stem in real and others:
                rows.append({"target": str(work), "content": str(real[work.stem]), "style": str(others[0])})
    return rows


class Load:
    """Reads and decodes the three images of each row, and hashes the target."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        for role in _ROLES:
            batch[f"{role}_pixels"] = np.stack([self._read(path) for path in batch[role]])
        batch["hash"] = np.array([str(imagehash.phash(Image.fromarray(p))) for p in batch["target_pixels"]])
        return batch

    def _read(self, path: str) -> Any:
        pixels = np.asarray(Image.open(path).convert("RGB"))
        return cv2.resize(pixels, (self._size, self._size), interpolation=cv2.INTER_AREA)


class Score:
    """Measures every score of a batch."""

    def __init__(self, spec: str) -> None:
        from curation.context import reference_bank
        from curation.scoring import scorer_settings
        from curation.spec.load import load_spec
        from workers.scorers.suite import build_suite

        loaded = load_spec(Path(spec))
        self._embedder, self._scorers = build_suite(scorer_settings(loaded), reference_bank(loaded))

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        from workers.scorers.embedder import Candidate
        from workers.scorers.suite import measure

        count = len(batch["target"])
        images = [batch[f"{role}_pixels"][row] for row in range(count) for role in _ROLES]
        candidates = [Candidate({role: 3 * row + at for at, role in enumerate(_ROLES)}, "") for row in range(count)]
        found = [measure(self._scorers, seen.trio)[0] for seen in self._embedder.look(images, candidates)]
        for column in found[0]:
            batch[column] = np.array([row.get(column, np.nan) for row in found])
        return batch


def sample(row: dict[str, Any]) -> dict[str, Any]:
    """Return a sample of a shard."""
    made: dict[str, Any] = {"__key__": Path(row["target"]).parent.name + "-" + Path(row["target"]).stem}
    for role in _ROLES:
        buffer = io.BytesIO()
        Image.fromarray(row[f"{role}_pixels"]).save(buffer, "WEBP", lossless=True, quality=20, method=2)
        made[f"{role}.webp"] = buffer.getvalue()
    facts = {name: value for name, value in row.items() if isinstance(value, float)}
    made["json"] = json.dumps({**facts, **{role: row[role] for role in _ROLES}})
    return made


def main() -> None:
    """Run the script."""
    images, out, spec = sys.argv[1:]
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    import ray

    from curation.spec.load import load_spec

    loaded = load_spec(Path(spec))
    ray.init(
        num_cpus=2, include_dashboard=False, object_store_memory=400 * 2**20, log_to_driver=False, logging_level="ERROR"
    )
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    rules = [rule.model_dump() for rule in loaded.policy.rules]
    rows = triplets(Path(images))
    data = ray.data.from_items(rows, override_num_blocks=max(1, len(rows) // 256))
    data = data.map_batches(Load, fn_constructor_args=(loaded.image.size,), batch_size=32, concurrency=1, num_cpus=0.25)
    data = data.map_batches(Score, fn_constructor_args=(spec,), batch_size=32, concurrency=2, num_cpus=0.5)
    seen: set[str] = set()

    def kept(row: dict[str, Any]) -> bool:
        if row["hash"] in seen:
            return False
        seen.add(row["hash"])
        return all(
            (rule["min"] is None or row[rule["column"]] >= rule["min"])
            and (rule["max"] is None or row[rule["column"]] <= rule["max"])
            for rule in rules
        )

    data.filter(kept, num_cpus=0.25).map(sample, num_cpus=0.25).write_webdataset(
        out, ray_remote_args={"num_cpus": 0.25}
    )
    print(json.dumps({"candidates": len(rows)}))


if __name__ == "__main__":
    main()
