"""What a worker needs to know of a job, built from its spec in whatever process it runs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from curation.experts import build_expert, device_of
from curation.gallery import Gallery
from curation.graph.decide_stage import DecideStage
from curation.graph.expert_stage import ExpertStage
from curation.graph.judge_stage import JudgeStage
from curation.graph.load_stage import LoadStage
from curation.graph.score_stage import ScoreStage
from curation.judging import build_judge, canary_images, examine
from curation.spec.model import JobSpec
from manifests.answers import Answers
from manifests.identities import digest_of
from manifests.images import ImageRef
from manifests.records import Judgement
from workers.experts.base import ExpertRole


@lru_cache(maxsize=2)
def gallery_of(spec: JobSpec) -> Gallery:
    """Return the gallery over the spec's sources; one a process."""
    return Gallery(spec.sources, spec.painters(), size=spec.image.size, limits=spec.limits)


def load_stage(spec: JobSpec) -> LoadStage:
    """Return the stage that loads targets."""
    return LoadStage(gallery_of(spec), kind=spec.image.format)


def stylize_stage(spec: JobSpec, digests: Sequence[str] = ()) -> ExpertStage:
    """Return the stage that makes style references."""
    return _expert_stage(spec, "stylize", digests)


def destylize_stage(spec: JobSpec, digests: Sequence[str] = ()) -> ExpertStage:
    """Return the stage that makes content references."""
    return _expert_stage(spec, "destylize", digests)


def _expert_stage(spec: JobSpec, role: ExpertRole, digests: Sequence[str]) -> ExpertStage:
    """Return the stage of a role. Raises RuntimeError where the experts here are not those with these `digests`."""
    gallery, device = gallery_of(spec), device_of(getattr(spec.stages, role))
    experts = [build_expert(entry, role, gallery, device=device) for entry in spec.experts.of(role)]
    for expert, expected in zip(experts, digests, strict=False):
        if expert.digest != expected:
            raise RuntimeError(
                f"experts.{role}: the files of {expert.title!r} on this node are not those that the job started with; "
                "put the same weights on every node"
            )
    return ExpertStage(experts, shares=spec.experts.shares(role), kind=spec.image.format)


def score_stage(spec: JobSpec, bank: NDArray[np.float32]) -> ScoreStage:
    """Return the stage that scores."""
    from workers.encoders.load import NanoEncoder

    return ScoreStage(NanoEncoder(spec.encoder.weights), bank, neighbours=spec.scores.neighbours)


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


def scoring_digest(spec: JobSpec) -> str:
    """Return the digest of everything that decides scores: the encoder's weights and the scorers' parameters."""
    from workers.encoders.load import NanoEncoder

    return digest_of([NanoEncoder(spec.encoder.weights).digest, spec.scores.model_dump(mode="json")])


def reference_bank(spec: JobSpec) -> NDArray[np.float32]:
    """Return the style embeddings `[images, width]` of training images drawn evenly from all styles, for CSLS.

    Images that cannot be read are left out; held-out subjects are never in it.
    """
    from workers.encoders.load import NanoEncoder

    gallery = gallery_of(spec)
    rng = np.random.default_rng(spec.seed)
    styles = [style for style in gallery.styles() if len(gallery.styled(style, "train"))]
    pictures = []
    for position in range(spec.scores.bank if styles else 0):
        choices = gallery.styled(styles[position % len(styles)], "train")
        ref = choices[int(rng.integers(len(choices)))]
        try:
            pictures.append(gallery.load(ref).pixels)
        except LookupError:
            continue
    encoder = NanoEncoder(spec.encoder.weights)
    if not pictures:
        pictures = [np.full((32, 32, 3), 255, np.uint8)]
    bank = encoder.embed(pictures)[0]
    missing = max(0, spec.scores.neighbours - len(bank))
    return np.concatenate([bank, np.repeat(bank[:1], missing, axis=0)]) if missing else bank
