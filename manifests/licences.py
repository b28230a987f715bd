"""What the licences of images ask of those who pass them on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_AND = " AND "


@dataclass(frozen=True)
class Licence:
    """Facts on one licence, by its SPDX identifier. Not legal advice: the text at `url` is what binds."""

    spdx: str
    title: str
    url: str
    attribution: bool
    share_alike: bool


_KNOWN = (
    Licence("MIT", "MIT License", "https://spdx.org/licenses/MIT.html", attribution=True, share_alike=False),
    Licence("Apache-2.0", "Apache License 2.0", "https://www.apache.org/licenses/LICENSE-2.0", True, False),
    Licence(
        "CC-BY-4.0", "Creative Commons Attribution 4.0", "https://creativecommons.org/licenses/by/4.0/", True, False
    ),
    Licence(
        "CC-BY-SA-4.0",
        "Creative Commons Attribution-ShareAlike 4.0",
        "https://creativecommons.org/licenses/by-sa/4.0/",
        attribution=True,
        share_alike=True,
    ),
    Licence("CC0-1.0", "Creative Commons Zero 1.0", "https://creativecommons.org/publicdomain/zero/1.0/", False, False),
)

LICENCES: dict[str, Licence] = {licence.spdx: licence for licence in _KNOWN}


def licence(spdx: str | None) -> Licence:
    """Return the facts on a licence; an unknown or missing one is taken to ask for attribution.

    Of several that all bind (`MIT AND CC-BY-SA-4.0`), what one of them asks for is asked for.
    """
    if spdx in LICENCES:
        return LICENCES[spdx]
    parts = split_licences(spdx)
    if len(parts) > 1:
        all_of = [licence(part) for part in parts]
        return Licence(
            _AND.join(parts),
            " and ".join(part.title for part in all_of),
            " ".join(part.url for part in all_of if part.url),
            attribution=any(part.attribution for part in all_of),
            share_alike=any(part.share_alike for part in all_of),
        )
    return Licence(spdx or "unknown", spdx or "No licence stated", "", attribution=True, share_alike=False)


def join_licences(parts: Sequence[str | None]) -> str | None:
    """Return the SPDX expression of what derives from all of some images, or None where one of them states none."""
    if not parts or not all(parts):
        return None
    return _AND.join(sorted({each for part in parts for each in split_licences(part)}))


def split_licences(spdx: str | None) -> list[str]:
    """Return the identifiers that an SPDX expression joins by AND; those that it offers by OR stay together."""
    return spdx.split(_AND) if spdx else []
