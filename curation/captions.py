"""The captioner of a job, built from its spec."""

from __future__ import annotations

from curation.spec.captions import CaptionsSpec, OpenAICaptions, TransformersCaptions
from workers.captions.base import Captioner
from workers.endpoints.bought import Bought


def build_captioner(spec: CaptionsSpec, *, device: str, bought: Bought | None, workers: int) -> Captioner | None:
    """Return the captioner of a worker, None for the template; a budget is shared out among `workers`."""
    if isinstance(spec, TransformersCaptions):
        from workers.captions.transformers_captioner import TransformersCaptioner

        return TransformersCaptioner(spec.settings(), device=device)
    if isinstance(spec, OpenAICaptions):
        from workers.captions.openai_captioner import OpenAICaptioner

        return OpenAICaptioner(spec.settings(), bought=bought, share=1 / workers)
    return None
