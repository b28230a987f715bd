"""What the licences of images ask of those who pass them on."""

from __future__ import annotations

from dataclasses import dataclass


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
    """Return the facts on a licence; an unknown or missing one is taken to ask for attribution."""
    if spdx in LICENCES:
        return LICENCES[spdx]
    return Licence(spdx or "unknown", spdx or "No licence stated", "", attribution=True, share_alike=False)
