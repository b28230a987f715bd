"""Who writes the prompts of a job: a template over the source's own words, or a model that looks at the target."""

from __future__ import annotations

import os
from abc import abstractmethod
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from workers.captions.settings import OpenAICaptionSettings, TransformersCaptionSettings
from workers.captions.style_words import words_digest

_OWN = {"kind", "style_words", "empty_share"}


class _Captioning(BaseModel):
    """What all of them have: whether words of style stay, and how often a preserved layout has the empty prompt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    style_words: Literal["keep", "strip"] = Field(
        default="strip", description="Whether words of style, and the style's own names, stay in prompts."
    )
    empty_share: float = Field(
        default=1.0, ge=0, le=1, description="Share of layout-preserved candidates whose prompt is empty."
    )

    def identity(self) -> dict[str, Any] | None:
        """Return what decides prompts, or None where they are those of a job that says nothing of captions."""
        stripped = words_digest() if self.style_words == "strip" else None
        return {"captioner": self.digest(), "stripped": stripped, "empty_share": self.empty_share}

    @abstractmethod
    def digest(self) -> str | None:
        """Return the digest of what captions, without loading it; None for the template."""


class TemplateCaptions(_Captioning):
    """The job's `prompt`, filled in with what the source calls the subject."""

    kind: Literal["template"] = "template"
    style_words: Literal["keep", "strip"] = "keep"

    def digest(self) -> None:
        """Return None: the template is part of the job's own digest."""

    def identity(self) -> dict[str, Any] | None:
        """Return what decides prompts, or None where nothing differs from the default."""
        return None if self.style_words == "keep" and self.empty_share == 1 else super().identity()


class TransformersCaptions(_Captioning, TransformersCaptionSettings):
    """A model that runs in the workers."""

    kind: Literal["transformers"]

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if not Path(self.model).is_dir() and (Path(self.model).is_absolute() or self.model.count("/") != 1):
            raise ValueError(f"model: {self.model} is neither a folder nor a hub name such as owner/name")
        return self

    def digest(self) -> str:
        """Return the digest of the model's files, parameters and question."""
        from workers.captions.transformers_captioner import model_digest

        return model_digest(self.settings())

    def settings(self) -> TransformersCaptionSettings:
        """Return what the captioner is built from."""
        return TransformersCaptionSettings.model_validate(self.model_dump(exclude=_OWN))


class OpenAICaptions(_Captioning, OpenAICaptionSettings):
    """A model behind a chat endpoint in OpenAI's form."""

    kind: Literal["openai"]

    @model_validator(mode="after")
    def _has_key(self) -> Self:
        if self.api_key_env is not None and not os.environ.get(self.api_key_env):
            raise ValueError(f"api_key_env names {self.api_key_env}, which is not set in this environment")
        return self

    def digest(self) -> str:
        """Return the digest of model name, parameters and question."""
        from workers.captions.openai_captioner import endpoint_digest

        return endpoint_digest(self.settings())

    def settings(self) -> OpenAICaptionSettings:
        """Return what the captioner is built from."""
        return OpenAICaptionSettings.model_validate(self.model_dump(exclude=_OWN))


CaptionsSpec = Annotated[TemplateCaptions | TransformersCaptions | OpenAICaptions, Field(discriminator="kind")]
