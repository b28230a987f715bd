"""Every kind of source that a job spec can name."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from curation.sources.folder import FolderSource
from curation.sources.iconify import IconifySource
from curation.sources.procedural import ProceduralSource
from curation.sources.webdataset import WebDatasetSource

AnySource = Annotated[
    IconifySource | FolderSource | WebDatasetSource | ProceduralSource,
    Field(discriminator="kind"),
]
