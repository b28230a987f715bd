"""What deltalake says when something fails, without the secrets that it may repeat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class TableError(OSError):
    """A Delta table cannot be read or changed; the message is one line."""


@contextmanager
def in_a_line(place: str, options: Mapping[str, str]) -> Iterator[None]:
    """Turn deltalake's errors into TableError: the place, the first line of what was said, and no secret."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # deltalake raises the bare class too
        raise TableError(f"{place}: {without_secrets(error, options)}") from None


def without_secrets(error: Exception, options: Mapping[str, str]) -> str:
    """Return the first line of an error, with the keys and tokens of the storage options blotted out."""
    text = (str(error).splitlines() or [type(error).__name__])[0]
    for key, value in options.items():
        if value and ("KEY" in key.upper() or "TOKEN" in key.upper()):
            text = text.replace(value, "***")
    return text
