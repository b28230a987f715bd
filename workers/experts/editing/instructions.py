"""What a model that edits pictures is told: a bank of instructions in versions, drawn from by a candidate's seed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from manifests.identities import digest_of, digest_of_unchanged_file, seed_of
from manifests.records import Layout

VERSIONS: tuple[str, ...] = ("v1",)
"""Banks that ship."""


@dataclass(frozen=True)
class Instruction:
    """What is said, and the kind of move that it asks for, where it asks for one."""

    text: str
    move: str | None = None


class Instructions(BaseModel):
    """A bank of instructions.

    De-stylizing takes one of `preserve` where the layout is to stay. Where it is to shift, one of `shift`, in which
    `{move}` stands for one of `moves`: a kind first (pose, view, place, scale, scene), all of them equally often, then
    one of its sentences. Stylizing takes one of `stylize`, in which `{subject}` is the new subject's name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    preserve: tuple[str, ...] = Field(min_length=1)
    shift: tuple[str, ...] = Field(min_length=1)
    moves: dict[str, tuple[str, ...]] = Field(min_length=1)
    stylize: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _fields(self) -> Instructions:
        for kind, templates, names in (
            ("preserve", self.preserve, ()),
            ("shift", self.shift, ("move",)),
            ("stylize", self.stylize, ("subject",)),
        ):
            for template in templates:
                _check(kind, template, names)
        empty = [kind for kind, sentences in self.moves.items() if not sentences]
        if empty:
            raise ValueError(f"moves.{empty[0]} has no sentence")
        return self

    @property
    def digest(self) -> str:
        """Return the digest of every word."""
        return digest_of(self.model_dump(mode="json"))

    def destylizing(self, layout: Layout, seed: int) -> Instruction:
        """Return what de-stylizes a target, drawn by a seed."""
        rng = _drawn_by(seed)
        if layout == "preserved":
            return Instruction(_one(self.preserve, rng))
        kinds = sorted(self.moves)
        kind = kinds[int(rng.integers(len(kinds)))]
        move = _one(self.moves[kind], rng)
        return Instruction(_one(self.shift, rng).replace("{move}", move), kind)

    def stylizing(self, subject: str, seed: int) -> Instruction:
        """Return what draws a new subject in the style of a picture, drawn by a seed."""
        return Instruction(_one(self.stylize, _drawn_by(seed)).replace("{subject}", subject))


def read_instructions(source: str) -> Instructions:
    """Return a bank by its version, or from a YAML file of the same form. Raises ValueError, with the mend."""
    if source in VERSIONS:
        return _shipped(source)
    path = Path(source)
    if not path.is_file():
        raise ValueError(f"{source!r} is no bank that ships ({', '.join(VERSIONS)}) and no file")
    return _of_file(path, digest_of_unchanged_file(path))


@lru_cache(maxsize=8)
def _shipped(version: str) -> Instructions:
    return _parsed((files("workers.experts.editing") / "banks" / f"{version}.yaml").read_text(), version)


@lru_cache(maxsize=8)
def _of_file(path: Path, digest: str) -> Instructions:  # noqa: ARG001 - a file that changed is another key
    return _parsed(path.read_text(), str(path))


def _parsed(text: str, name: str) -> Instructions:
    try:
        return Instructions.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise ValueError(f"{name}: not readable as YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        raise ValueError(f"{name}: {place}: {first['msg'].removeprefix('Value error, ')}".replace(": :", ":")) from None


def _check(kind: str, template: str, names: tuple[str, ...]) -> None:
    for name in names:
        if f"{{{name}}}" not in template:
            raise ValueError(f"{kind}: {template[:60]!r} lacks {{{name}}}")
    rest = template
    for name in names:
        rest = rest.replace(f"{{{name}}}", "")
    if "{" in rest or "}" in rest:
        allowed = ", ".join(f"{{{name}}}" for name in names) or "none"
        raise ValueError(f"{kind}: {template[:60]!r} has another field than those allowed: {allowed}")


def _drawn_by(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed_of(str(seed), "instruction"))


def _one(sentences: tuple[str, ...], rng: np.random.Generator) -> str:
    return sentences[int(rng.integers(len(sentences)))]
