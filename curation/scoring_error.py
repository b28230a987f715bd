"""What goes wrong with the models that measure scores."""

from __future__ import annotations


class ScoringError(ValueError):
    """Scores cannot be measured as the spec says; the message names the key, and the mend."""
