"""The keys of a job spec, with their defaults and ranges."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from curation.ingest.limits import Limits
from curation.policy.rules import Policy, read_policy
from curation.sources.registry import AnySource
from curation.spec.attempts import AttemptsSpec
from curation.spec.captions import CaptionsSpec
from curation.spec.experts import ExpertsSpec
from curation.spec.judge import JudgeSpec
from curation.spec.scores import ScoreSpec
from curation.spec.stages import RaySpec, StageSpec, StagesSpec
from manifests.identities import digest_of
from manifests.images import GENERATED, UNTREATED
from manifests.records import OPTIONAL
from workers.experts.base import EXPERT_ROLES
from workers.experts.faults import Fault
from workers.experts.prompt_template import checked_template
from workers.treatments.base import Treatment
from workers.treatments.registry import DEFAULT_TREATMENTS, treatment


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ImageSpec(_Part):
    """How images are stored."""

    size: int = Field(default=128, ge=32, le=4096, description="Longer side of every image, in pixels.")
    format: Literal["webp", "png", "jpeg"] = Field(default="webp", description="webp and png are lossless.")


class TargetSpec(_Part):
    """Which images are targets."""

    per_subject: int | None = Field(
        default=None, ge=1, description="How many styles each subject is taken in; all of them unless given."
    )
    styles: tuple[str, ...] | None = Field(default=None, description="Only these styles; all unless given.")
    subjects: tuple[str, ...] | None = Field(default=None, description="Only these subjects; all unless given.")
    folds: tuple[Annotated[int, Field(ge=0, le=9)], ...] | None = Field(
        default=None, description="Only subjects of these folds (sha256 of the name mod 10); all unless given."
    )
    seed: int = 0


class LayoutSpec(_Part):
    """How many candidates each target gets of either kind."""

    preserved: int = Field(default=1, ge=0, le=64)
    shifted: int = Field(default=1, ge=0, le=64)

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.preserved + self.shifted == 0:
            raise ValueError("no candidate is asked for: set preserved, shifted or both to at least 1")
        return self


class DeduplicateSpec(_Part):
    """When a target counts as a repetition of an earlier one."""

    max_distance: int = Field(default=10, ge=0, le=63, description="Differing bits of the 256-bit perceptual hash.")


class FaultSpec(_Part):
    """Which share of candidates the retrieval expert spoils, and how, so that filters can be measured."""

    share: float = Field(default=0.0, ge=0, le=0.9)
    kinds: tuple[Fault, ...] = tuple(Fault)


class EncoderSpec(_Part):
    """The vision tower behind the embedding scores."""

    weights: Path | None = Field(default=None, description="Weights in safetensors; those of the package unless given.")

    @field_validator("weights")
    @classmethod
    def _there(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_file():
            raise ValueError(f"{path} does not exist; `triptych encoders fit` writes weights")
        return path


class ShardSpec(_Part):
    """How accepted triplets are packed."""

    candidates: int = Field(
        default=512, ge=1, le=100_000, description="Candidates behind one shard; it holds those of them accepted."
    )


_PLACES = {"path", "table", "urls", "recursive", "extensions"}
"""Where a source looks for images; what it finds there is covered by the targets' ids."""

TreatmentEntry = str | dict[str, Any]


def _build_treatment(entry: TreatmentEntry) -> Treatment:
    if isinstance(entry, str):
        return treatment(entry)
    parameters = dict(entry)
    name = parameters.pop("name", None)
    if not isinstance(name, str):
        raise ValueError(f"treatment {entry!r} has no name")
    return treatment(name, **parameters)


class JobSpec(_Part):
    """A curation job."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", description="Lower-case letters, digits and dashes.")
    sources: tuple[Annotated[AnySource, Field(discriminator="kind")], ...] = Field(min_length=1)
    seed: int = Field(default=0, description="Drawn on by everything that is random in the job.")
    image: ImageSpec = ImageSpec()
    limits: Limits = Limits()
    treatments: tuple[TreatmentEntry, ...] = Field(
        default=(UNTREATED, *DEFAULT_TREATMENTS),
        min_length=1,
        description="Paintings applied by the iconify and procedural sources; `none` stands for no painting.",
    )
    targets: TargetSpec = TargetSpec()
    layouts: LayoutSpec = LayoutSpec()
    deduplicate: DeduplicateSpec = DeduplicateSpec()
    experts: ExpertsSpec = ExpertsSpec()
    prompt: str = Field(default="a photo of {subject}", description="Prompt of layout-shifted candidates.")
    captions: CaptionsSpec | None = None
    faults: FaultSpec = FaultSpec()
    encoder: EncoderSpec = EncoderSpec()
    scores: ScoreSpec = ScoreSpec()
    judge: JudgeSpec | None = None
    policy: Policy = Policy()
    attempts: AttemptsSpec = AttemptsSpec()
    shards: ShardSpec = ShardSpec()
    stages: StagesSpec = StagesSpec()
    ray: RaySpec = RaySpec()

    @field_validator("policy", mode="before")
    @classmethod
    def _read_policy(cls, value: Any) -> Any:
        if isinstance(value, str | Path):
            return read_policy(Path(value))
        return {"rules": value} if isinstance(value, list | tuple) else value

    @field_validator("treatments")
    @classmethod
    def _known_treatments(cls, entries: tuple[TreatmentEntry, ...]) -> tuple[TreatmentEntry, ...]:
        names = [entry if isinstance(entry, str) else entry.get("name") for entry in entries]
        for name, entry in zip(names, entries, strict=True):
            if name != UNTREATED:
                _build_treatment(entry)
            if names.count(name) > 1:
                raise ValueError(f"treatment {name!r} is listed twice")
        return entries

    @field_validator("prompt")
    @classmethod
    def _template(cls, prompt: str) -> str:
        return checked_template(prompt)

    @model_validator(mode="after")
    def _distinct_sources(self) -> Self:
        names = [source.name or source.kind for source in self.sources]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two sources are named {name!r}: give each a name of its own")
        if GENERATED in names:
            raise ValueError(f"sources: the name {GENERATED!r} is kept for images that experts drew; choose another")
        return self

    @model_validator(mode="after")
    def _measured(self) -> Self:
        for rule in self.policy.rules:
            if rule.column in OPTIONAL and rule.column not in self.scores.measured:
                raise ValueError(f"policy: nothing measures {rule.column}; {self.scores.mend(rule.column)}")
        return self

    @model_validator(mode="after")
    def _routed(self) -> Self:
        for place, route in enumerate(self.attempts.routes):
            for role in EXPERT_ROLES:
                known = [entry.name for entry in self.experts.of(role) if entry.name is not None]
                if route.expert(role) not in (None, *known):
                    raise ValueError(
                        f"attempts.routes[{place}].{role}: no expert of experts.{role} is named "
                        f"{route.expert(role)!r}; there are {', '.join(known) or 'none with a name'}"
                    )
        return self

    @model_validator(mode="after")
    def _judged(self) -> Self:
        for rule in self.policy.rules:
            if rule.judged and self.judge is None:
                raise ValueError(f"policy: the rule on {rule.column} needs a judge; name one under `judge`")
        return self

    def pools(self) -> dict[str, StageSpec]:
        """Return the stages of the candidate graph, in order; all of them hold their workers while it runs."""
        captioning = ("caption",) if self.captions else ()
        names = ("load", *captioning, "stylize", "destylize", "score", *(("judge",) if self.judge else ()), "pack")
        return {name: getattr(self.stages, name) for name in names}

    def __hash__(self) -> int:
        """Return a hash that also covers parts which are mappings."""
        return hash(self.digest)

    def painters(self) -> dict[str, Treatment | None]:
        """Return the treatments by name, `none` standing for no painting."""
        painters: dict[str, Treatment | None] = {}
        for entry in self.treatments:
            if entry == UNTREATED:
                painters[UNTREATED] = None
            else:
                built = _build_treatment(entry)
                painters[built.name] = built
        return painters

    def generation(self) -> dict[str, Any]:
        """Return the part of the spec that decides what is generated; its digest is part of every candidate id.

        Experts that draw are in it with the sha256 of their weights, so other weights make new candidates.
        Where a source's files lie is not in it, so moving a folder makes no new candidates: what they show is covered
        by the ids of the targets.
        """
        kept = self.model_dump(mode="json", include={"seed", "image", "limits", "prompt", "faults"})
        kept["experts"] = self.experts.generation()
        captions = self.captions.identity() if self.captions is not None else None
        if captions is not None:
            kept["captions"] = captions
        kept["sources"] = [source.model_dump(mode="json", exclude=_PLACES) for source in self.sources]
        painters = self.painters()
        kept["treatments"] = {name: p.model_dump(mode="json") if p else None for name, p in painters.items()}
        return kept

    @property
    def generation_digest(self) -> str:
        """Return the digest of the generation part."""
        return digest_of(self.generation())

    @property
    def digest(self) -> str:
        """Return the digest of the whole spec."""
        return digest_of(self.model_dump(mode="json"))
