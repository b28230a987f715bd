"""Taking words of style out of a caption: a prompt says what is shown, the style reference how."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.resources import files

from manifests.identities import digest_of

_VERSION = "v1"
_SHORTEST = 3
_SHOWING = r"(?:of|(?:that\s+)?(?:shows|showing|depicts|depicting|featuring|portraying))\b"


@lru_cache(maxsize=1)
def style_words() -> dict[str, bool]:
    """Return the words that ship, and of each whether it is always one of style."""
    text = (files("workers.captions") / "words" / f"{_VERSION}.txt").read_text()
    entries = [line.strip().lower() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return {entry.removeprefix("~"): not entry.startswith("~") for entry in entries}


def words_digest() -> str:
    """Return the digest of the list of words."""
    return digest_of(style_words())


def names_of(style: str) -> dict[str, bool]:
    """Return the names that a style goes by (`noto+pixel-art`), and of each whether it is always one of style.

    Family and treatment always are; their parts (`pixel`, `art`) may be words for what is shown as well.
    """
    whole = [part for part in style.lower().split("+") if part != "none"]
    parts = [word for name in whole for word in re.split(r"[-_\s]+", name)]
    return {name: name in whole for name in (*whole, *parts) if len(name) >= _SHORTEST}


def without_style(caption: str, names: Mapping[str, bool] | None = None) -> str:
    """Return a caption without words of style; `names` are further ones, a style's own.

    `A watercolor painting of a fox, in the style of Hokusai` becomes `a fox`. A word that may also be what is shown
    goes only where the phrase says that it is style: `a painting of a wall`, and not `a woman painting a wall`. Empty
    where nothing else was said.
    """
    known = {**(names or {}), **style_words()}
    word, strong = _any_of(known), _any_of([entry for entry, always in known.items() if always])
    more = rf"(?:(?:\s+|\s*,\s*|\s+and\s+|-){word})"
    run = rf"\b{word}{more}*\b"
    for pattern in (
        r"\b(?:done |made |rendered |drawn |painted )?(?:in|with)\s+the\s+(?:style|manner)\s+of\s+[^,.;]+",
        rf"\b(?:in|with)\s+(?:an?\s+|the\s+)?(?:\w+\s+){{0,2}}?{run}\s+(?:style|look|technique)\b",
        r"\b(?:in|with)\s+(?:an?\s+|the\s+)?(?:[\w-]+\s+){0,2}style\b",
        rf"\b(?:an?\s+|the\s+|this\s+)?(?:[\w-]+\s+)?{run}\s+(?:style\s+)?(?:image\s+|picture\s+)?{_SHOWING}",
        rf"\b(?:drawn|painted|rendered|done)\s+(?:in|with|by)\s+(?:an?\s+)?{run}",
        rf"\b(?:in|with|by)\s+(?:an?\s+)?{run}(?=\s*(?:[,.;]|$))",
        rf"\b{word}{more}+\b",
        rf"^\W*(?:an?\s+|the\s+)?{run}\W*$",
        rf",\s*(?:an?\s+)?{run}(?=\s*(?:[,.;]|$))",
        rf"\b{strong}\b",
    ):
        caption = re.sub(pattern, " ", caption, flags=re.IGNORECASE)
    return _tidied(caption)


def _any_of(words: Iterable[str]) -> str:
    """Return a pattern of any of some words, the longest first; between their parts blanks and dashes are alike."""
    ordered = sorted(words, key=lambda entry: (-len(entry), entry))
    return "(?:" + "|".join(re.escape(entry).replace(r"\ ", r"[\s-]+") for entry in ordered) + ")"


def _tidied(text: str) -> str:
    """Return text without the gaps, commas and loose articles that cutting left."""
    before = None
    while before != text:
        before = text
        text = re.sub(r"\s+", " ", text)
        text = re.sub(r"\s+([,.;])", r"\1", text)
        text = re.sub(r"([,;])(?:\s*[,;])+", r"\1", text)
        text = re.sub(r"\b(?:an?|the)\s+(?=(?:an?|the)\b)", "", text, flags=re.IGNORECASE)
        text = re.sub(r"(?:^|\s)(?:an?|the|in|with|of|by|and|style)\s*(?=[,.;]|$)", "", text, flags=re.IGNORECASE)
        text = text.strip(" ,;")
        if not re.search(r"\w", text):
            return ""
    return text
