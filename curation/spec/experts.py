"""Who makes the other two images of a triplet: one expert a role, or several that share the candidates."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from curation.spec.editing_experts import DiffusersSpec, HttpSpec
from curation.spec.expert_keys import Name, Share
from uso.nano.family import READS, SIDE, TEXT_LENGTH, release_of
from workers.experts.base import EXPERT_ROLES, ExpertRole
from workers.experts.uso.settings import DestylizeSettings, StylizeSettings, UsoSettings

EXPERT_KINDS = ("retrieval", "uso", "diffusers", "http")

_NANO: dict[str, Any] = {"steps": 12, "cfg_scale": 2.0, "batch": 8}
"""How the experts that ship draw, unless an entry of kind `nano` says otherwise."""


class RetrievalSpec(BaseModel):
    """The expert that takes its images from the job's own sources."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["retrieval"] = "retrieval"
    name: Name = None
    share: Share = 1.0
    min_overlap: float = Field(
        default=0.6, ge=0, le=1, description="De-stylize, preserved layout: least overlap with the target's subject."
    )

    def identity(self) -> dict[str, Any]:
        """Return what decides the expert's images, beside the sources."""
        return self.model_dump(mode="json", exclude={"share", "name"})


class _Drawing(UsoSettings):
    """What both experts that draw have in a spec: a share, and files that go together."""

    kind: Literal["uso"]
    share: Share = 1.0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _require_fit(self)
        return self

    def identity(self) -> dict[str, Any]:
        """Return what decides the expert's images: parameters, and the sha256 of every file that it reads."""
        from workers.experts.uso.files import identity

        return {"kind": "uso", **identity(self.settings())}

    @abstractmethod
    def settings(self) -> UsoSettings:
        """Return what the expert is built from."""

    def _plain(self) -> dict[str, Any]:
        return self.model_dump(exclude={"kind", "share"})


class UsoStylizeSpec(_Drawing, StylizeSettings):
    """A stylization expert that draws."""

    def settings(self) -> StylizeSettings:
        """Return what the expert is built from."""
        return StylizeSettings.model_validate(self._plain())


class UsoDestylizeSpec(_Drawing, DestylizeSettings):
    """A de-stylization expert that draws."""

    def settings(self) -> DestylizeSettings:
        """Return what the expert is built from."""
        return DestylizeSettings.model_validate(self._plain())


StylizeEntry = Annotated[
    RetrievalSpec | UsoStylizeSpec | DiffusersSpec | HttpSpec,
    Field(discriminator="kind"),
]
DestylizeEntry = Annotated[
    RetrievalSpec | UsoDestylizeSpec | DiffusersSpec | HttpSpec,
    Field(discriminator="kind"),
]
ExpertEntry = RetrievalSpec | UsoStylizeSpec | UsoDestylizeSpec | DiffusersSpec | HttpSpec


class ExpertsSpec(BaseModel):
    """Who makes style references (`stylize`) and content references (`destylize`): one expert, or a list of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stylize: tuple[StylizeEntry, ...] = Field(default=(RetrievalSpec(),), min_length=1)
    destylize: tuple[DestylizeEntry, ...] = Field(default=(RetrievalSpec(),), min_length=1)

    @field_validator("stylize", "destylize", mode="before")
    @classmethod
    def _as_list(cls, value: Any, info: ValidationInfo) -> Any:
        entries = value if isinstance(value, list | tuple) else [value]
        named = [entry["name"] for entry in entries if isinstance(entry, dict) and entry.get("name") is not None]
        for name in named:
            if named.count(name) > 1:
                raise ValueError(f"two experts are named {name!r}: give each a name of its own")
        return [_whole(entry, str(info.field_name)) if isinstance(entry, dict) else entry for entry in entries]

    @field_validator("stylize", "destylize")
    @classmethod
    def _some_share(cls, entries: tuple[Any, ...]) -> tuple[Any, ...]:
        if not any(entry.share > 0 for entry in entries):
            raise ValueError("no expert has a share above 0, so none would be asked: set the share of at least one")
        return entries

    def of(self, role: ExpertRole) -> tuple[ExpertEntry, ...]:
        """Return the experts of a role."""
        return self.stylize if role == "stylize" else self.destylize

    def shares(self, role: ExpertRole) -> list[float]:
        """Return the shares of a role's experts; they add up to 1."""
        weights = [entry.share for entry in self.of(role)]
        return [weight / sum(weights) for weight in weights]

    def names(self, role: ExpertRole) -> list[str | None]:
        """Return the names of a role's experts, by which routes choose among them."""
        return [entry.name for entry in self.of(role)]

    def unpaid(self) -> ExpertsSpec:
        """Return the same experts with retrieval in the place of those behind endpoints, which cost money."""
        free: dict[str, Any] = {
            role: tuple(
                RetrievalSpec(name=entry.name, share=entry.share) if isinstance(entry, HttpSpec) else entry
                for entry in self.of(role)
            )
            for role in EXPERT_ROLES
        }
        return self.model_copy(update=free)

    def price(self, named: Mapping[ExpertRole, str | None] | None = None) -> float:
        """Return what the images of one candidate cost on average, by the prices that the entries state.

        In a role for which an expert is `named`, that one makes them all.
        """
        total = 0.0
        for role in EXPERT_ROLES:
            name = (named or {}).get(role)
            for entry, share in zip(self.of(role), self.shares(role), strict=True):
                asked = share if name is None else float(entry.name == name)
                total += asked * entry.price if isinstance(entry, HttpSpec) else 0.0
        return total

    def generation(self) -> dict[str, Any]:
        """Return what decides which images are made, by role.

        Retrieval alone reads as it did before there were others, so that stores made then can be gone on with. An
        expert whose share is 0 makes no candidate of its own, and is not in it.
        """
        return {"stylize": self._generation("stylize"), "destylize": self._generation("destylize")}

    def _generation(self, role: ExpertRole) -> Any:
        drawn = [(entry, share) for entry, share in zip(self.of(role), self.shares(role), strict=True) if share > 0]
        if len(drawn) == 1 and isinstance(drawn[0][0], RetrievalSpec):
            return drawn[0][0].identity()
        return [{**entry.identity(), "share": round(share, 9)} for entry, share in drawn]


def _whole(entry: dict[str, Any], role: str) -> dict[str, Any]:
    """Return an entry with its kind, and one of kind `nano` as what it stands for: the role's expert that ships."""
    if entry.get("kind") != "nano":
        return {"kind": "retrieval", **entry}
    drawing = {"size": SIDE, "text_length": TEXT_LENGTH, "id_shift": READS["id_shift"], **_NANO}
    if role == "stylize":
        drawing |= {**READS, "reference": "style", "new_subject": "picture", "prompt": ""}
    try:
        files = release_of(role)
    except FileNotFoundError as error:
        raise ValueError(str(error)) from None
    return {"name": f"nano {role}", **files, **drawing, **entry, "kind": "uso"}


def _require_fit(settings: UsoSettings) -> None:
    """Check from headers alone that base, LoRA and projector go together, where they lie on this machine.

    A base by hub name is checked when it is loaded. Raises ValueError naming the file at fault.
    """
    base = settings.base or Path(settings.pipeline) / "transformer"
    if settings.base is None and not Path(settings.pipeline).is_dir():
        if Path(settings.pipeline).is_absolute() or settings.pipeline.count("/") != 1:
            raise ValueError(f"pipeline: {settings.pipeline} is neither a folder nor a hub name such as owner/name")
        return
    from uso.checkpoint import require_fit

    require_fit(base, settings.lora, settings.projector)
