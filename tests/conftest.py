from __future__ import annotations

import pytest

from curation.corpus.fetch import fetch_corpus
from curation.sources.iconify import IconifySource


@pytest.fixture(scope="session")
def atelier() -> IconifySource:
    """The whole atelier, fetched once into the user's own cache."""
    fetch_corpus()
    return IconifySource()
