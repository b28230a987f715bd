"""The `scores` part of a job spec: which model is behind which score, and what candidates are compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from manifests.records import EMBEDDED
from workers.scorers.settings import ScorerSettings

MODEL_KINDS = frozenset(
    {"nano", "csd", "open_clip", "dinov2", "siglip", "phash", "sscd", "transformers", "laion", "yunet", "cascade"}
)
"""Names of backends, which pydantic puts into the path of a fault and the YAML has not."""

_BANK = (16, 65536)
_ONE_EACH = ("photorealism", "aesthetic", "nsfw", "watermark", "faces")


class ScoreSpec(ScorerSettings):
    """Which models measure, and what candidates are compared with."""

    bank: int | Path = Field(
        default=512,
        description="Images in the reference bank of CSLS (16 to 65536), or a file that `triptych bank build` made.",
    )
    evaluation: tuple[Path, ...] = Field(
        default=(), description="Folders of images that models will be evaluated on, for `contamination`."
    )

    @field_validator("bank", mode="plain")
    @classmethod
    def _number_or_file(cls, bank: Any) -> int | Path:
        if isinstance(bank, int) and not isinstance(bank, bool) and _BANK[0] <= bank <= _BANK[1]:
            return bank
        if not isinstance(bank, str | Path):
            raise ValueError(f"a bank is a number of images from {_BANK[0]} to {_BANK[1]}, or a file")
        if not Path(bank).is_file():
            raise ValueError(f"{bank} does not exist; `triptych bank build SPEC --out {Path(bank).name}` makes it")
        return Path(bank)

    @field_validator("evaluation")
    @classmethod
    def _folders(cls, folders: tuple[Path, ...]) -> tuple[Path, ...]:
        for folder in folders:
            if not folder.is_dir():
                raise ValueError(f"{folder} is no folder; name folders of evaluation images")
        return folders

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if isinstance(self.bank, int) and self.neighbours > self.bank:
            raise ValueError(f"neighbours is {self.neighbours}, the bank has only {self.bank} images")
        return self

    @property
    def measured(self) -> tuple[str, ...]:
        """Return the score columns that a job with this spec measures."""
        named = [column for column in _ONE_EACH if getattr(self, column) is not None]
        more = [("text_alignment", self.text is not None), ("contamination", bool(self.evaluation))]
        return (*EMBEDDED, *named, *(column for column, there in more if there))

    @staticmethod
    def mend(column: str) -> str:
        """Return what makes a job measure a score that only some do."""
        keys = {"text_alignment": "text", "contamination": "evaluation"}
        return f"name what does under scores.{keys.get(column, column)}, or leave the rule out"

    @property
    def plain(self) -> bool:
        """Tell whether all models are those that jobs have always had."""
        counts = ScoreSpec.model_construct(bank=self.bank, neighbours=self.neighbours)
        return isinstance(self.bank, int) and self == counts
