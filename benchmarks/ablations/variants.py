"""The variants of an ablation study, read from YAML, and the commands that train each."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from curation.experts import expert_digests
from curation.policy.rules import read_policy
from curation.spec.experts import RetrievalSpec
from curation.spec.model import JobSpec
from manifests.identities import digest_of
from workers.experts.base import EXPERT_ROLES


class _Keys(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Variant(_Keys):
    """One variant: which triplets it sees, and what is changed in the two recipes; `stage1: null` leaves it out.

    `origin` keeps triplets whose references were both retrieved, or of which at least one was drawn by an expert.
    """

    about: str
    where: str | None = None
    origin: Literal["retrieval", "generated"] | None = None
    filtered: bool = True
    stage1: tuple[str, ...] | None = ()
    stage2: tuple[str, ...] = ()


class Recipes(_Keys):
    """The recipes of both stages that every variant changes."""

    stage1: Path
    stage2: Path


class Study(_Keys):
    """The whole study; `name` is that of its file."""

    name: str
    recipes: Recipes
    seeds: tuple[int, ...] = Field(min_length=1)
    policy: Path
    targets: int = Field(default=800, ge=1, description="Targets that the store is made of; two candidates each.")
    contents: int = Field(default=12, ge=2, description="Held-out subjects of the bench.")
    styles: int = Field(default=8, ge=2, description="Styles of the bench.")
    sampling_steps: int = Field(default=12, ge=1)
    common: tuple[str, ...] = ()
    stage1: tuple[str, ...] = ()
    stage2: tuple[str, ...] = ()
    variants: dict[str, Variant]

    def where(self, variant: Variant, retrieved: str) -> str:
        """Return the filter on the store, which holds every candidate, accepted by the policy or not.

        `retrieved` is the filter that keeps triplets by retrieval alone.
        """
        parts = [read_policy(self.policy).to_sql()] if variant.filtered else []
        if variant.origin is not None:
            parts.append(retrieved if variant.origin == "retrieval" else f"not ({retrieved})")
        return " and ".join(f"({part})" for part in (*parts, *([variant.where] if variant.where else []))) or "1 = 1"


class Training(_Keys):
    """One run of `triptych train`, and the run whose projector it takes."""

    recipe: Path
    out: Path
    overrides: tuple[str, ...]
    after: Path | None = None

    def command(self, triptych: Path, store: Path) -> list[str]:
        """Return the command; a finished run ends at once, a killed one goes on."""
        line = [str(triptych), "train", str(self.recipe), "--data", str(store), "--out", str(self.out)]
        return [*line, "--resume", "latest", *(part for each in self.overrides for part in ("--set", each))]


def read_study(path: Path) -> Study:
    """Read a study; the paths of its policy and recipes start at the file."""
    study = Study.model_validate({"name": path.stem, **yaml.safe_load(path.read_text())})
    recipes = Recipes(stage1=path.parent / study.recipes.stage1, stage2=path.parent / study.recipes.stage2)
    return study.model_copy(update={"policy": path.parent / study.policy, "recipes": recipes})


def by_retrieval(spec: JobSpec) -> str:
    """Return the filter that keeps triplets whose references both come from the spec's retrieval experts."""
    kept = []
    for role in EXPERT_ROLES:
        digests = [
            digest
            for entry, digest in zip(spec.experts.of(role), expert_digests(spec, role), strict=True)
            if isinstance(entry, RetrievalSpec)
        ]
        kept.append(f"{role}_expert in ({', '.join(repr(digest) for digest in digests)})")
    return " and ".join(kept)


def trainings(study: Study, out: Path, retrieved: str) -> dict[tuple[str, int], list[Training]]:
    """Return what to train for each variant and seed, in order; variants that share a stage 1 name the same folder."""
    planned = {}
    for name, variant in study.variants.items():
        where = study.where(variant, retrieved)
        for seed in study.seeds:
            shared = (*study.common, f"seed={seed}", f"data.where={where}", f"data.cache.path={out / 'cache'}")
            steps: list[Training] = []
            projector: tuple[str, ...] = ()
            first: Path | None = None
            if variant.stage1 is not None:
                overrides = (*shared, *study.stage1, *variant.stage1)
                first = out / "stage1" / digest_of([study.name, *overrides])[:12]
                steps.append(Training(recipe=study.recipes.stage1, out=first, overrides=overrides))
                projector = (f"model.projector={first / 'projector.safetensors'}",)
            overrides = (*shared, "needs=[]", *study.stage2, *projector, *variant.stage2)
            steps.append(
                Training(
                    recipe=study.recipes.stage2,
                    out=out / study.name / name / str(seed),
                    overrides=overrides,
                    after=first,
                )
            )
            planned[name, seed] = steps
    return planned
