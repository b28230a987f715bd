"""What a worker needs to know of a job, built from its spec in whatever process it runs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from curation.captions import build_captioner
from curation.experts import build_expert, device_of
from curation.gallery import Gallery
from curation.graph.caption_stage import CaptionStage
from curation.graph.decide_stage import DecideStage
from curation.graph.expert_stage import ExpertStage
from curation.graph.judge_stage import JudgeStage
from curation.graph.load_stage import LoadStage
from curation.graph.score_stage import ScoreStage
from curation.judging import build_judge, canary_images, examine
from curation.scoring import references, scorer_settings, scoring_models
from curation.spec.model import JobSpec
from manifests.answers import Answers
from manifests.images import ImageRef
from manifests.records import Judgement
from workers.endpoints.bought import Bought
from workers.experts.base import ExpertRole
from workers.scorers.references import References


@lru_cache(maxsize=2)
def gallery_of(spec: JobSpec) -> Gallery:
    """Return the gallery over the spec's sources; one a process."""
    return Gallery(spec.sources, spec.painters(), size=spec.image.size, limits=spec.limits)


def load_stage(spec: JobSpec) -> LoadStage:
    """Return the stage that loads targets."""
    return LoadStage(gallery_of(spec), kind=spec.image.format)


def caption_stage(spec: JobSpec, bought: Bought | None = None) -> CaptionStage:
    """Return the stage that writes prompts. Raises ValueError where the spec says nothing of captions."""
    captions, stage = spec.captions, spec.stages.caption
    if captions is None:
        raise ValueError("captions: the spec says nothing of them")
    captioner = build_captioner(captions, device=device_of(stage), bought=bought, workers=stage.workers[1])
    strip = captions.style_words == "strip"
    worded = {route.name for route in spec.attempts.routes if route.prompt is not None}
    return CaptionStage(captioner, template=spec.prompt, strip=strip, empty_share=captions.empty_share, worded=worded)


def stylize_stage(spec: JobSpec, digests: Sequence[str] = (), bought: Bought | None = None) -> ExpertStage:
    """Return the stage that makes style references; `bought` keeps what was paid for."""
    return _expert_stage(spec, "stylize", digests, bought)


def destylize_stage(spec: JobSpec, digests: Sequence[str] = (), bought: Bought | None = None) -> ExpertStage:
    """Return the stage that makes content references; `bought` keeps what was paid for."""
    return _expert_stage(spec, "destylize", digests, bought)


def _expert_stage(spec: JobSpec, role: ExpertRole, digests: Sequence[str], bought: Bought | None) -> ExpertStage:
    """Return the stage of a role. Raises RuntimeError where the experts here are not those with these `digests`."""
    gallery, stage = gallery_of(spec), getattr(spec.stages, role)
    beside = {"device": device_of(stage), "bought": bought, "workers": stage.workers[1]}
    experts = [build_expert(entry, role, gallery, **beside) for entry in spec.experts.of(role)]
    for expert, expected in zip(experts, digests, strict=False):
        if expert.digest != expected:
            raise RuntimeError(
                f"experts.{role}: the files of {expert.title!r} on this node are not those that the job started with; "
                "put the same weights on every node"
            )
    shares, names = spec.experts.shares(role), spec.experts.names(role)
    return ExpertStage(experts, shares=shares, kind=spec.image.format, names=names)


def score_stage(spec: JobSpec, bank: References) -> ScoreStage:
    """Return the stage that scores. Raises RuntimeError where the models here are not those of the `bank`."""
    from workers.scorers.suite import build_suite

    for purpose, digest in scoring_models(spec).items() if bank.towers else ():
        if bank.towers.get(purpose) != digest:
            raise RuntimeError(
                f"scores: the files behind {purpose} on this node are not those that the job started with; put the "
                "same weights on every node"
            )
    return ScoreStage(*build_suite(scorer_settings(spec), bank, device=device_of(spec.stages.score)))


def judge_stage(spec: JobSpec, answers: Answers) -> JudgeStage:
    """Return the stage that judges. Raises ValueError where the spec names no judge."""
    if spec.judge is None:
        raise ValueError("judge: the spec names none")
    judge = build_judge(spec.judge, device=device_of(spec.stages.judge), workers=spec.stages.judge.workers[1])
    return JudgeStage(judge, answers, spec.policy, short_circuit=spec.judge.short_circuit)


def examine_judge(spec: JobSpec, refs: Sequence[ImageRef]) -> list[Judgement]:
    """Return what the judge makes of its canaries, which are made of a job's targets. Raises JudgeError."""
    if spec.judge is None or not spec.judge.canaries:
        return []
    judge = build_judge(spec.judge, device=device_of(spec.stages.judge))
    return examine(judge, canary_images(gallery_of(spec), refs), spec.judge.canaries)


def decide_stage(spec: JobSpec) -> DecideStage:
    """Return the stage that applies the policy."""
    return DecideStage(spec.policy)


def reference_bank(spec: JobSpec) -> References:
    """Return what all scoring workers compare with: CSLS's bank, evaluation images. Raises ScoringError."""
    return references(spec, gallery_of(spec), device=device_of(spec.stages.score))
