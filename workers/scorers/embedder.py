"""Every image of a batch of candidates through every model that reads it, once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from manifests.records import ROLES, Role
from workers.scorers.base import Pixels, Trio, Vector, View
from workers.scorers.purposes import SEEN
from workers.towers.base import TextTower, Tower

_NONE: Vector = np.zeros(0, np.float32)

Heads = dict[str, Vector]
"""The vectors that one model has of one image, by head."""


@dataclass(frozen=True)
class Candidate:
    """The images of a candidate as places in a list of distinct images, and the target's prompt."""

    places: Mapping[Role, int]
    prompt: str


@dataclass(frozen=True)
class Seen:
    """A candidate as scorers take it; `broken` says, by purpose, why a model failed on one of its images."""

    trio: Trio
    broken: Mapping[str, str] = field(default_factory=dict)


class Embedder:
    """The models behind some purposes, such as style and subject.

    Purposes that share a model share its vectors, and candidates that share an image do. An image that a model fails
    on costs the scores that read it, and nothing else.
    """

    def __init__(self, towers: Mapping[str, Tower]) -> None:
        self._towers = dict(towers)

    def look(self, images: Sequence[Pixels], candidates: Sequence[Candidate]) -> list[Seen]:
        """Return candidates as scorers take them, of distinct images `[height, width, 3]` that they refer to."""
        wanted: dict[int, set[int]] = {}
        for purpose, tower in self._towers.items():
            places = {candidate.places[role] for candidate in candidates for role in SEEN[purpose]}
            wanted.setdefault(id(tower), set()).update(places)
        found = {
            key: _embed(tower, images, sorted(wanted[key]))
            for key, tower in {id(tower): tower for tower in self._towers.values()}.items()
        }
        vectors = {purpose: found[id(tower)] for purpose, tower in self._towers.items()}
        prompts = self._prompts(candidates)
        return [self._seen(candidate, images, vectors, prompts) for candidate in candidates]

    def _seen(
        self,
        candidate: Candidate,
        images: Sequence[Pixels],
        vectors: Mapping[str, Mapping[int, Heads | str]],
        prompts: Mapping[str, Vector | str],
    ) -> Seen:
        broken: dict[str, str] = {}
        views = {}
        for role in ROLES:
            place = candidate.places[role]
            known: dict[str, Vector] = {}
            for purpose, tower in self._towers.items():
                heads = vectors[purpose][place] if role in SEEN[purpose] else None
                if isinstance(heads, str):
                    broken[purpose] = f"the {role}: {heads}"
                elif heads is not None:
                    known[purpose] = heads[_head(purpose, tower)]
            style, subject = known.pop("style", _NONE), known.pop("subject", _NONE)
            views[role] = View(images[place], style, subject, known)
        prompt = prompts.get(candidate.prompt)
        if isinstance(prompt, str):
            broken["text"], prompt = prompt, None
        return Seen(Trio(views["target"], views["style"], views["content"], prompt), broken)

    def _prompts(self, candidates: Sequence[Candidate]) -> dict[str, Vector | str]:
        """Return the vector of each prompt that says something, or why there is none."""
        tower = self._towers.get("text")
        if not isinstance(tower, TextTower):
            return {}
        told = [candidate.prompt for candidate in candidates if candidate.prompt.strip()]
        return _embed_texts(tower, list(dict.fromkeys(told)))


def _embed(tower: Tower, images: Sequence[Pixels], places: Sequence[int]) -> dict[int, Heads | str]:
    """Return the vectors of the images at some places, by head; for an image that fails by itself, why."""
    try:
        heads = tower.embed_all([images[place] for place in places])
    except Exception as error:
        if len(places) == 1:
            return {places[0]: f"{type(error).__name__}: {error}"}
        alone = [_embed(tower, images, [place]) for place in places]
        return {place: heads for each in alone for place, heads in each.items()}
    return {place: {head: heads[head][row] for head in tower.heads} for row, place in enumerate(places)}


def _embed_texts(tower: TextTower, prompts: Sequence[str]) -> dict[str, Vector | str]:
    """Return the vectors of distinct prompts; for a prompt that fails by itself, why."""
    try:
        return dict(zip(prompts, tower.embed_texts(prompts), strict=True))
    except Exception as error:
        if len(prompts) == 1:
            return {prompts[0]: f"the prompt: {type(error).__name__}: {error}"}
        return {prompt: found for each in prompts for prompt, found in _embed_texts(tower, [each]).items()}


def _head(purpose: str, tower: Tower) -> str:
    """Return which of a tower's vectors serves a purpose: the one of its name, else the tower's first."""
    return purpose if purpose in tower.heads else tower.heads[0]
