"""Which models the scorers of a spec need, what for, and on which of a candidate's images."""

from __future__ import annotations

from collections.abc import Mapping

from manifests.records import ROLES, Role
from workers.scorers.settings import ScorerSettings
from workers.towers.settings import ClassifierSettings, SscdSettings, TowerSettings

SEEN: Mapping[str, tuple[Role, ...]] = {
    "style": ROLES,
    "subject": ROLES,
    "text": ("target",),
    "copies": ("target", "content"),
    "photorealism": ("content",),
    "aesthetic": ("target",),
    "nsfw": ("target",),
    "watermark": ("target",),
}
"""The images that each purpose looks at."""


def models(settings: ScorerSettings) -> dict[str, TowerSettings]:
    """Return the settings of the model behind each purpose that has one; equal settings are one model in memory."""
    wanted: dict[str, TowerSettings | None] = {
        "style": settings.style,
        "subject": settings.subject,
        "text": settings.text,
        "copies": settings.copies if isinstance(settings.copies, SscdSettings) else None,
        "photorealism": settings.photorealism.tower() if settings.photorealism else None,
        "aesthetic": settings.aesthetic.clip if settings.aesthetic else None,
        "nsfw": settings.nsfw,
        "watermark": settings.watermark,
    }
    return {purpose: model for purpose, model in wanted.items() if model is not None}


def model_digests(settings: ScorerSettings) -> dict[str, str]:
    """Return who the model behind each purpose is, and each further file that scorers read, without loading any.

    Raises ValueError or OSError where files are missing, a hub name cannot be fetched, or a classifier does not know
    its label; the message starts with the key of the spec.
    """
    from manifests.identities import digest_of_unchanged_file
    from workers.scorers.settings import YunetSettings
    from workers.towers.load import tower_digest

    digests = {}
    for purpose, model in models(settings).items():
        try:
            digests[purpose] = tower_digest(model)
            if isinstance(model, ClassifierSettings):
                from workers.towers.classifier_label import check_label
                from workers.towers.load import model_folder

                check_label(model, str(model_folder(model.model)))
        except (ValueError, OSError, ImportError) as error:
            raise ValueError(f"scores.{purpose}: {error}") from error
    if settings.aesthetic is not None:
        digests["aesthetic head"] = digest_of_unchanged_file(settings.aesthetic.head)
    if isinstance(settings.faces, YunetSettings):
        digests["faces"] = digest_of_unchanged_file(settings.faces.weights)
    return digests
