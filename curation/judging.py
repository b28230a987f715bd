"""The judge of a job: built from its spec, and examined before any candidate is made."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from curation.cluster import ClusterError
from curation.gallery import Gallery
from curation.spec.judge import JudgeSpec, OpenAIJudgeSpec
from manifests.identities import seed_of
from manifests.images import ImageRef
from manifests.records import Judgement
from workers.experts.base import Pixels
from workers.judges.base import Answer, Judge
from workers.judges.canaries import Canary, canaries

_PASSING = ("judge_failed:timeout", "judge_failed:connection", "judge_failed:http_", "judge_failed:protocol")
_IMAGES = 12


class JudgeError(ClusterError):
    """The judge does not answer at all; the message says what to change in the spec."""


def build_judge(spec: JudgeSpec, *, device: str, workers: int = 1) -> Judge:
    """Return the judge of a worker; a budget is shared out among `workers`. Models are loaded when first asked."""
    if isinstance(spec, OpenAIJudgeSpec):
        from workers.judges.openai_judge import OpenAIJudge

        return OpenAIJudge(spec.settings(), share=1 / workers)
    from workers.judges.transformers_judge import TransformersJudge

    return TransformersJudge(spec.settings(), device=device)


def examine(judge: Judge, images: Sequence[Pixels], count: int) -> list[Judgement]:
    """Send canaries, and return what the judge made of them. Raises JudgeError where it answers none at all."""
    sent = canaries(images, count)
    if not sent:
        return []
    answers = judge.judge([canary.request for canary in sent])
    refused = [answer for answer in answers if (answer.failure or "").startswith(_PASSING)]
    if len(refused) == len(answers):
        raise JudgeError(
            f"judge: {judge.title} answers none of {len(answers)} requests "
            f"({refused[0].failure}: {refused[0].detail}); check judge.base_url, judge.model, judge.api_key_env"
        )
    return [
        describe(judge, canary.request.key, answer, canary=canary) for canary, answer in zip(sent, answers, strict=True)
    ]


def describe(
    judge: Judge, key: str, answer: Answer, *, assets: tuple[str, str, str] | None = None, canary: Canary | None = None
) -> Judgement:
    """Return the manifest's row on an answer; `assets` are the ids of target, style and content as shown."""
    target, style, content = assets or (None, None, None)
    verdict = answer.verdict
    return Judgement(
        candidate_id=key,
        judge_digest=judge.digest,
        judge=judge.title,
        prompt_version=judge.prompt.version,
        prompt_digest=judge.prompt.digest,
        target_id=target,
        style_id=style,
        content_id=content,
        answers=list(answer.texts),
        style_match=verdict.style_match if verdict else None,
        style_only=verdict.style_only if verdict else None,
        subject_match=verdict.subject_match if verdict else None,
        realism=verdict.realism if verdict else None,
        layout=verdict.layout if verdict else None,
        verdict=verdict.model_dump_json() if verdict else None,
        failure=answer.failure,
        detail=answer.detail,
        requests=answer.requests,
        tokens_in=answer.tokens_in,
        tokens_out=answer.tokens_out,
        seconds=round(answer.seconds, 6),
        canary=canary.kind if canary else None,
        hit=canary.hit(answer) if canary else None,
        judged=datetime.now(UTC),
    )


def canary_images(gallery: Gallery, refs: Sequence[ImageRef]) -> list[Pixels]:
    """Return images of different subjects among a job's targets, the same ones in every run; what fails is left out."""
    by_subject = {ref.subject: ref for ref in reversed(refs)}
    images: list[Pixels] = []
    for subject in sorted(by_subject, key=lambda name: seed_of(name, "canary")):
        try:
            images.append(gallery.load(by_subject[subject]).pixels)
        except LookupError:
            continue
        if len(images) == _IMAGES:
            break
    return images
