"""A spec that came over the network: held against the schema; nothing is told of files that it names."""

from __future__ import annotations

from typing import Any

import yaml
from pydantic import ValidationError

from curation.spec.load import KINDS, PAGE
from curation.spec.model import JobSpec
from manifests.yaml_file import describe

_NOT_LOOKED_AT = ("does not exist", "is no folder", "no such file", "is not a folder", "cannot be read")


def checked(text: str) -> dict[str, Any]:
    """Return whether a spec is sound, and each fault with its field.

    Files that it names are the cluster's. Whether they are here is not told: a spec from the network is not to find
    out which files a server has.
    """
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}: " if mark else ""
        return {"sound": False, "faults": [f"{place}{getattr(error, 'problem', None) or 'this is no YAML'}"]}
    if not isinstance(raw, dict):
        return {"sound": False, "faults": ["a spec is a mapping of keys; see docs/spec.md"]}
    try:
        JobSpec.model_validate(raw)
    except ValidationError as error:
        faults = [line for line in describe(error, page=PAGE, tags=KINDS) if not _of_a_file(line)]
        return {"sound": not faults, "faults": faults}
    return {"sound": True, "faults": []}


def _of_a_file(line: str) -> bool:
    return any(words in line for words in _NOT_LOOKED_AT)
