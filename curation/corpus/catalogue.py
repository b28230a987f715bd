"""Which drawings of which sets show the same subject.

Sets agree on Unicode code points, or failing that on names. A subject is one code-point sequence (variation selectors
aside) with one canonical name. Left out are skin-tone variants (the same drawing recoloured), a set's private
code points, and country flags: the 3-D set carries flat drawings for those, which would play the realistic
side falsely.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

NAME_ORDER = ("fluent-emoji-flat", "noto", "openmoji", "twemoji", "fluent-emoji-high-contrast")
"""The sets that state code points, in the order in which they may name a subject."""

MIN_FLAT_FAMILIES = 3
"""A default subject stands in the realistic family and in at least this many others."""

_VARIATION = "fe0f"
_SKIN_TONES = frozenset({"1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff"})
_REGION_OR_TAG = re.compile(r"1f1[e-f][0-9a-f]|e00[2-7][0-9a-f]")
_PRIVATE = re.compile(r"[ef][0-9a-f]{3}")


@dataclass(frozen=True)
class Drawing:
    """One vector drawing: SVG markup without its root element, and the view box it is drawn in, in user units."""

    body: str
    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class DrawingSet:
    """A set as its package states it: drawings by name, further names for them, and code points where it has them.

    `other_names` maps a further name to a drawing's name; `names_by_code` maps code points to a drawing's name.
    """

    drawings: Mapping[str, Drawing]
    other_names: Mapping[str, str] = field(default_factory=dict)
    names_by_code: Mapping[str, str] = field(default_factory=dict)


def normal_code(code: str) -> str | None:
    """Return a code-point sequence (`1f431`, `1F3F4-200D-...`) in lower case without variation selectors.

    None where the sequence is not a subject of its own: a skin-tone variant, a country flag, a private code point.
    """
    points = [point for point in code.lower().split("-") if point != _VARIATION]
    if not points or any(p in _SKIN_TONES or _REGION_OR_TAG.fullmatch(p) for p in points):
        return None
    if len(points) == 1 and _PRIVATE.fullmatch(points[0]) and "e000" <= points[0] <= "f8ff":
        return None
    return "-".join(points)


def read_set(icons: Mapping[str, Any], chars: Mapping[str, str] | None) -> DrawingSet:
    """Read the parsed `icons.json` and `chars.json` of an Iconify package.

    Withdrawn (`hidden`) drawings are left out. An alias that only renames becomes a further name; one that mirrors
    becomes a drawing. Raises KeyError or TypeError on another layout than Iconify's.
    """
    width, height = float(icons.get("width", 16)), float(icons.get("height", 16))
    drawings: dict[str, Drawing] = {}
    for name, entry in icons["icons"].items():
        if not entry.get("hidden"):
            drawings[name] = Drawing(
                body=entry["body"],
                left=float(entry.get("left", 0)),
                top=float(entry.get("top", 0)),
                width=float(entry.get("width", width)),
                height=float(entry.get("height", height)),
            )
    other_names: dict[str, str] = {}
    for name, entry in icons.get("aliases", {}).items():
        parent = drawings.get(entry["parent"])
        if parent is None:
            continue
        if set(entry) == {"parent"}:
            other_names[name] = entry["parent"]
        elif set(entry) == {"parent", "hFlip"}:
            drawings[name] = _mirrored(parent)
    return DrawingSet(drawings, other_names, {code: name for code, name in (chars or {}).items() if name in drawings})


def _mirrored(drawing: Drawing) -> Drawing:
    shift = 2 * drawing.left + drawing.width
    body = f'<g transform="translate({shift:g} 0) scale(-1 1)">{drawing.body}</g>'
    return Drawing(body, drawing.left, drawing.top, drawing.width, drawing.height)


@dataclass(frozen=True)
class Catalogue:
    """What each set shows: `drawings[set][subject]`, and `renders[subject]`, the file stems of the 3-D renders."""

    drawings: Mapping[str, Mapping[str, Drawing]]
    renders: Mapping[str, str]

    def default_subjects(self, families: Mapping[str, str]) -> list[str]:
        """Return, sorted, the subjects with a 3-D render and drawings of `MIN_FLAT_FAMILIES` families.

        `families` maps each set to its family.
        """
        seen: dict[str, set[str]] = {subject: set() for subject in self.renders}
        for set_name, drawings in self.drawings.items():
            for subject in drawings.keys() & seen.keys():
                seen[subject].add(families[set_name])
        return sorted(subject for subject, has in seen.items() if len(has) >= MIN_FLAT_FAMILIES)


def catalogue(sets: Mapping[str, DrawingSet], render_stems: Iterable[str]) -> Catalogue:
    """Bring the sets and the 3-D renders (file stems, named by code points) together by subject."""
    canonical: dict[str, str] = {}
    for set_name in NAME_ORDER:
        for code, name in sets[set_name].names_by_code.items():
            if key := normal_code(code):
                canonical.setdefault(key, name)
    known_names = _known_names(sets, canonical)
    drawings = {
        set_name: (_by_code(content, canonical) if content.names_by_code else _by_name(content, known_names))
        for set_name, content in sets.items()
    }
    renders: dict[str, str] = {}
    for stem in sorted(render_stems):
        if (key := normal_code(stem)) and key in canonical:
            renders.setdefault(canonical[key], stem)
    return Catalogue(drawings, renders)


def _known_names(sets: Mapping[str, DrawingSet], canonical: Mapping[str, str]) -> dict[str, str]:
    """Return every name that a set with code points uses, mapped to its subject; earlier sets win a clash."""
    known = {subject: subject for subject in canonical.values()}
    for set_name in NAME_ORDER:
        content = sets[set_name]
        own: dict[str, str] = {}
        for code, name in content.names_by_code.items():
            if key := normal_code(code):
                own.setdefault(name, canonical[key])
        for name, subject in own.items():
            known.setdefault(name, subject)
        for name, parent in content.other_names.items():
            if parent in own:
                known.setdefault(name, own[parent])
    return known


def _by_code(content: DrawingSet, canonical: Mapping[str, str]) -> dict[str, Drawing]:
    found: dict[str, Drawing] = {}
    for code, name in content.names_by_code.items():
        if key := normal_code(code):
            found.setdefault(canonical[key], content.drawings[name])
    return found


def _by_name(content: DrawingSet, known_names: Mapping[str, str]) -> dict[str, Drawing]:
    """Match by a drawing's own name first, so that a further name never displaces it."""
    found: dict[str, Drawing] = {}
    for name, drawing in content.drawings.items():
        if name in known_names:
            found.setdefault(known_names[name], drawing)
    for name, parent in content.other_names.items():
        if name in known_names and parent not in known_names:
            found.setdefault(known_names[name], content.drawings[parent])
    return found
