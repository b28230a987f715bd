"""Small jobs for tests: few subjects, few treatments, small pictures, small shards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from curation.spec.load import load_spec
from curation.spec.model import JobSpec

SMALL: dict[str, Any] = {
    "name": "small",
    "sources": [{"kind": "iconify"}],
    "image": {"size": 64},
    "treatments": ["none", "duotone", "pixel"],
    "targets": {"per_subject": 2, "folds": [8, 9], "subjects": None},
    "faults": {"share": 0.4},
    "scores": {"bank": 48, "neighbours": 5},
    "policy": [{"column": "style_leak", "max": 0.8}, {"column": "copy_paste", "max": 0.95}],
    "shards": {"candidates": 16},
    "stages": {"ingest": {"cpus": 0.5, "workers": [1, 1]}},
    "ray": {"cpus": 2, "object_store_mb": 150},
}


def write_spec(folder: Path, **changes: Any) -> Path:
    """Write the small job's spec with some keys changed, and return its path."""
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump({**SMALL, **changes}))
    return path


def small_spec(folder: Path, **changes: Any) -> JobSpec:
    """Return the small job's spec with some keys changed."""
    return load_spec(write_spec(folder, **changes))
