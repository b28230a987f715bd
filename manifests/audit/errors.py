"""The one error that audits raise at a user."""

from __future__ import annotations


class AuditError(ValueError):
    """An audit cannot be done as asked; the message is one line, and says what to do."""
