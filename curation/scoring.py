"""Who measures the scores of a job: the models behind them, their digest, and what candidates are compared with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from curation.bank import draw_bank, load_bank
from curation.gallery import Gallery, fit
from curation.ingest.decode import decode
from curation.ingest.refusal import Refused
from curation.scoring_error import ScoringError
from curation.sources.image_names import IMAGE_EXTENSIONS
from curation.spec.model import JobSpec
from manifests.identities import digest_of, digest_of_unchanged_file
from workers.scorers.base import Pixels
from workers.scorers.purposes import model_digests
from workers.scorers.purposes import models as models_of
from workers.scorers.references import Evaluation, References
from workers.scorers.settings import ScorerSettings
from workers.towers.base import Tower
from workers.towers.settings import NanoSettings

_VERSION = 1
"""Raise this when a score of other models than the plain ones changes its meaning."""


def scorer_settings(spec: JobSpec) -> ScorerSettings:
    """Return what the scorers are told, the nano encoder's weights being those of `encoder.weights`."""
    plain = NanoSettings(weights=spec.encoder.weights)
    towers = {
        key: plain if value == NanoSettings() else value
        for key, value in {"style": spec.scores.style, "subject": spec.scores.subject}.items()
    }
    settings = {name: getattr(spec.scores, name) for name in ScorerSettings.model_fields}
    return ScorerSettings.model_validate(settings | towers)


def scoring_models(spec: JobSpec) -> dict[str, str]:
    """Return the digest of each model and file that scores are measured by, without loading any.

    Raises ScoringError naming the key of the spec whose files are missing, or cannot be fetched.
    """
    try:
        return model_digests(scorer_settings(spec))
    except ValueError as error:
        raise ScoringError(str(error)) from error


def scoring_digest(spec: JobSpec) -> str:
    """Return the digest of everything that decides scores: models, parameters, reference bank, evaluation images.

    A spec that names no models has the digest that it had before there were others. Raises ScoringError.
    """
    models, scores = scoring_models(spec), spec.scores
    if scores.plain:
        return digest_of([models["style"], {"bank": scores.bank, "neighbours": scores.neighbours}])
    parameters: dict[str, Any] = {
        "neighbours": scores.neighbours,
        "copies": scores.copies.kind,
        "faces": scores.faces.model_dump(mode="json", exclude={"weights"}) if scores.faces else None,
        "photorealism": None,
    }
    if scores.photorealism is not None:
        parameters["photorealism"] = [scores.photorealism.photographs, scores.photorealism.artworks]
    if isinstance(scores.bank, Path):
        load_bank(scores.bank, models["style"], kind=scores.style.kind)
        parameters["bank"] = digest_of_unchanged_file(scores.bank)
    else:
        parameters["bank"] = scores.bank
    images = {name: digest_of_unchanged_file(path) for name, path in _evaluation_files(spec).items()}
    return digest_of({"version": _VERSION, "models": models, "parameters": parameters, "evaluation": images})


def build_style_tower(spec: JobSpec, *, device: str = "cpu") -> Tower:
    """Return the tower of the style scores, loaded. Raises ScoringError where it does not load."""
    return _tower(scorer_settings(spec), "style", device)


def references(spec: JobSpec, gallery: Gallery, *, device: str = "cpu") -> References:
    """Return what every worker that scores compares with. Raises ScoringError."""
    settings, models = scorer_settings(spec), scoring_models(spec)
    if isinstance(spec.scores.bank, Path):
        bank = load_bank(spec.scores.bank, models["style"], kind=settings.style.kind)
    else:
        bank = draw_bank(spec, gallery, _tower(settings, "style", device), images=spec.scores.bank)
    files = _evaluation_files(spec)
    evaluation = None
    if files:
        evaluation = _evaluation(spec, files, _tower(settings, "subject", device))
    return References(bank, evaluation, models)


def evaluation_files(folders: Sequence[Path]) -> dict[str, Path]:
    """Return the evaluation images by name: folder, and path in it. Raises ScoringError for a folder without images."""
    files: dict[str, Path] = {}
    for folder in folders:
        inside = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_EXTENSIONS)
        if not inside:
            raise ScoringError(f"{folder} has no images; name a folder of evaluation images")
        files |= {f"{folder.resolve().name}/{path.relative_to(folder).as_posix()}": path for path in inside}
    return files


def _evaluation_files(spec: JobSpec) -> dict[str, Path]:
    try:
        return evaluation_files(spec.scores.evaluation)
    except ScoringError as error:
        raise ScoringError(f"scores.evaluation: {error}") from None


def _tower(settings: ScorerSettings, purpose: str, device: str) -> Tower:
    from workers.towers.load import build_tower

    try:
        return build_tower(models_of(settings)[purpose], device=device)
    except (ValueError, OSError, ImportError) as error:
        raise ScoringError(f"scores.{purpose}: {error}") from error


def _evaluation(spec: JobSpec, files: dict[str, Path], tower: Tower) -> Evaluation:
    images = list(_decoded(spec, files))
    head = "subject" if "subject" in tower.heads else None
    return Evaluation.of(list(files), images, tower.embed(images, head))


def _decoded(spec: JobSpec, files: dict[str, Path]) -> Iterator[Pixels]:
    for name, path in files.items():
        try:
            yield fit(decode(path.read_bytes(), spec.limits).pixels, spec.image.size)
        except (Refused, OSError) as error:
            raise ScoringError(f"scores.evaluation: {name} cannot be read, so nothing is compared with it: {error}; "
                               "mend the file or take it out of the folder") from error  # fmt: skip
