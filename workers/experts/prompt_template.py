"""Prompts that name a subject: templates whose only field is `{subject}`."""

from __future__ import annotations


def checked_template(prompt: str) -> str:
    """Return a prompt template as it is. Raises ValueError where it has another field, or is no template."""
    try:
        prompt.format(subject="cat")
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(f"{prompt!r} is no template ({error}): the only field is {{subject}}") from None
    return prompt
