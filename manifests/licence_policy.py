"""A policy on licences: which images may be passed on, and which only apart from all others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from manifests.licences import licence, split_licences

UNKNOWN = "unknown"
"""What stands in `licences` of a triplet for an image without a stated licence; a policy may name it."""

Part = Literal["main", "share-alike"]


class LicencePolicy(BaseModel):
    """What may be exported, by SPDX identifier.

    A triplet carries the licences of all of its images, and passes only where each of them passes. Of a choice
    (`MIT OR GPL-3.0-only`) one that passes is enough.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    allow: tuple[str, ...] | None = Field(
        default=None, description="Licences that pass; all but the denied where it is not given."
    )
    deny: tuple[str, ...] = Field(default=(), description="Licences that never pass.")
    share_alike: Literal["allow", "deny", "separate"] = Field(
        default="allow",
        alias="share-alike",
        description="What becomes of share-alike licences: `separate` puts what carries one into an export of its own.",
    )
    unknown: Literal["allow", "deny"] = Field(default="deny", description="What becomes of images without a licence.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        both = sorted(set(self.allow or ()) & set(self.deny))
        if both:
            raise ValueError(f"{', '.join(both)} is both allowed and denied: take it out of one of the lists")
        return self

    def verdict(self, licences: Sequence[str]) -> Verdict:
        """Return whether a triplet with these licences passes, why not, and into which part of an export it goes."""
        refused = [reason for spdx in licences if (reason := self._refuses(spdx)) is not None]
        if not licences and self.unknown == "deny":
            refused = ["no licence is stated"]
        if refused:
            return Verdict(None, tuple(refused))
        shared = self.share_alike == "separate" and any(_shares_alike(spdx) for spdx in licences)
        return Verdict("share-alike" if shared else "main", ())

    def _refuses(self, spdx: str) -> str | None:
        """Return why a licence does not pass; None where it does."""
        choices = spdx.split(" OR ")
        if len(choices) > 1:
            reasons = [self._refuses(choice.strip("() ")) for choice in choices]
            return None if None in reasons else "; ".join(reason for reason in reasons if reason)
        if spdx == UNKNOWN:
            return None if self.unknown == "allow" else "the licence of an image is unknown"
        for part in split_licences(spdx):
            if part in self.deny:
                return f"{part} is denied"
            if self.allow is not None and part not in self.allow:
                return f"{part} is not among the allowed"
            if self.share_alike == "deny" and licence(part).share_alike:
                return f"{part} asks to share alike, which is denied"
        return None


@dataclass(frozen=True)
class Verdict:
    """Into which part of an export something goes; None where it does not pass, for these reasons."""

    part: Part | None
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Gated:
    """Rows that may be exported, by part, and those that may not, each with its reasons."""

    main: list[Mapping[str, Any]]
    share_alike: list[Mapping[str, Any]]
    refused: list[tuple[Mapping[str, Any], tuple[str, ...]]]


class LicencePolicyError(ValueError):
    """A policy cannot be read; the message names file and key."""


def gate(rows: Iterable[Mapping[str, Any]], policy: LicencePolicy) -> Gated:
    """Return rows of `triplets` (their column `licences` is read) as a policy sorts them."""
    gated = Gated([], [], [])
    known: dict[tuple[str, ...], Verdict] = {}
    for row in rows:
        key = tuple(row["licences"] or ())
        verdict = known.setdefault(key, policy.verdict(key))
        if verdict.part is None:
            gated.refused.append((row, verdict.reasons))
        else:
            (gated.main if verdict.part == "main" else gated.share_alike).append(row)
    return gated


def read_licence_policy(path: Path) -> LicencePolicy:
    """Read a policy from a YAML file. Raises LicencePolicyError naming what is wrong in it."""
    try:
        loaded = yaml.safe_load(path.read_text()) or {}
        if not isinstance(loaded, dict):
            raise LicencePolicyError(f"{path}: keys are needed: allow, deny, share-alike, unknown")
        return LicencePolicy.model_validate(loaded)
    except OSError as error:
        raise LicencePolicyError(f"{path}: cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise LicencePolicyError(f"{path}: is no YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the policy"
        raise LicencePolicyError(f"{path}: {where}: {first['msg']}") from None


def _shares_alike(spdx: str) -> bool:
    choices = spdx.split(" OR ")
    return all(licence(choice.strip("() ")).share_alike for choice in choices)
