"""Which images of a data set are, or nearly are, images that models will be evaluated on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from curation.gallery import fit
from curation.graph.encoding import decode_stored
from curation.ingest.decode import decode
from curation.ingest.limits import Limits
from curation.ingest.refusal import Refused
from curation.scoring import evaluation_files
from curation.scoring_error import ScoringError
from manifests.audit.ledger import AuditError, Ledger
from manifests.audit.pictures import pictures_of
from manifests.records import ROLES, Role
from workers.scorers.base import Pixels
from workers.scorers.copy_paste import hash_bits
from workers.towers.base import Tower, Vectors

BITS = 24
"""Differing bits of the 256-bit perceptual hash up to which two images count as the same one."""

COSINE = 0.97
"""Cosine of all of a tower's vectors from which two images do."""

_BATCH = 128
_SIDE = 256

Progress = Callable[[int, int], None]
Evidence = Literal["copy", "mirrored copy", "embedding"]


@dataclass(frozen=True)
class Pair:
    """An image of the data set and the evaluation image that it is nearest to."""

    asset_id: str
    role: Role
    candidate_id: str
    """One of the triplets that have the image."""
    triplets: int
    """How many have it."""
    evaluation: str
    evidence: Evidence
    bits: int
    cosine: float | None


@dataclass(frozen=True)
class Contaminated:
    """What was compared, and the pairs that were found, nearest first."""

    root: str
    version: int
    images: int
    evaluation_images: int
    unreadable: Sequence[str]
    """Evaluation images that cannot be read, with the cause: nothing was compared with them."""
    pairs: Sequence[Pair]
    candidates: Sequence[str]
    """Accepted candidates of which an image was found, sorted."""
    bits: int
    cosine: float | None

    @property
    def findings(self) -> bool:
        """Tell whether anything was found, or could not be looked at."""
        return bool(self.pairs or self.unreadable)


@dataclass(frozen=True)
class _Evaluation:
    names: list[str]
    hashes: NDArray[np.bool_]
    mirrored: NDArray[np.bool_]
    vectors: Mapping[str, Vectors]


def contamination(
    ledger: Ledger,
    folders: Sequence[Path],
    *,
    roles: Sequence[Role] = ROLES,
    bits: int = BITS,
    cosine: float | None = COSINE,
    tower: Tower | None = None,
    progress: Progress = lambda _done, _all: None,
) -> Contaminated:
    """Compare the images of all accepted triplets with those in some folders.

    An image is found where its 256-bit perceptual hash (Zauner 2010, section 3.2.2) is within `bits` of that of an
    evaluation image or of its mirror image; or, where a `tower` is given, where the vectors of all its heads (style
    and subject, of the nano encoder) have the `cosine` at least. Each image is read once. Raises AuditError for a
    folder without images, and where a shard cannot be read.
    """
    try:
        files = evaluation_files(folders)
    except ScoringError as error:
        raise AuditError(str(error)) from None
    evaluation, unreadable = _evaluated(files, tower)
    found: dict[str, Pair] = {}
    users = _users(ledger, roles)
    done = 0
    for part in _read(ledger, users):
        pixels = [image for _, image in part]
        vectors = _vectors(tower, pixels)
        for at, (asset, image) in enumerate(part):
            mine = {head: each[at] for head, each in vectors.items()}
            near = _nearest(image, mine, evaluation, bits, cosine)
            if near is not None:
                candidate, role, count = users[asset]
                found[asset] = Pair(asset, role, candidate, count, *near)
        done += len(part)
        progress(done, len(users))
    pairs = sorted(found.values(), key=lambda pair: (pair.evidence == "embedding", pair.bits, pair.asset_id))
    return Contaminated(
        root=ledger.root,
        version=ledger.version,
        images=len(users),
        evaluation_images=len(evaluation.names),
        unreadable=unreadable,
        pairs=pairs,
        candidates=_candidates(ledger, [pair.asset_id for pair in pairs], roles),
        bits=bits,
        cosine=cosine if tower is not None else None,
    )


def _evaluated(files: Mapping[str, Path], tower: Tower | None) -> tuple[_Evaluation, list[str]]:
    names, images, unreadable = [], [], []
    for name, path in files.items():
        try:
            images.append(fit(decode(path.read_bytes(), Limits()).pixels, _SIDE))
            names.append(name)
        except (Refused, OSError) as error:
            unreadable.append(f"{name}: {error}")
    hashes = [hash_bits(image) for image in images]
    mirrored = [hash_bits(np.ascontiguousarray(image[:, ::-1])) for image in images]
    none = np.zeros((0, 256), np.bool_)
    return (
        _Evaluation(
            names,
            np.stack(hashes) if hashes else none,
            np.stack(mirrored) if mirrored else none,
            _vectors(tower, images),
        ),
        unreadable,
    )


def _vectors(tower: Tower | None, images: Sequence[Pixels]) -> dict[str, Vectors]:
    return tower.embed_all(images) if tower is not None and images else {}


def _users(ledger: Ledger, roles: Sequence[Role]) -> dict[str, tuple[str, Role, int]]:
    """Return each distinct image of the accepted triplets with one triplet that has it, its role, and how many do."""
    parts = " UNION ALL ".join(
        f"SELECT {role}_id AS asset, '{role}' AS role, candidate_id FROM ({ledger.triplets.select()}) WHERE accepted"
        for role in roles
    )
    rows = ledger.rows(
        "SELECT asset, min(role) AS role, min_by(candidate_id, role || candidate_id) AS candidate, count(*) AS n "
        f"FROM ({parts}) GROUP BY asset ORDER BY asset"
    )
    return {row["asset"]: (row["candidate"], row["role"], row["n"]) for row in rows}


def _read(ledger: Ledger, users: Mapping[str, tuple[str, Role, int]]) -> Iterator[list[tuple[str, Pixels]]]:
    """Yield the images in batches, read out of the shards that hold them, shard by shard."""
    ids = sorted({candidate for candidate, _, _ in users.values()})
    rows = ledger.rows(
        f"SELECT candidate_id, shard FROM ({ledger.triplets.select()}) WHERE candidate_id IN (SELECT unnest($ids))",
        {"ids": ids},
    )
    shard_of = {row["candidate_id"]: row["shard"] for row in rows}
    batch: list[tuple[str, Pixels]] = []
    ordered = sorted(users.items(), key=lambda item: (shard_of[item[1][0]], item[1][0], item[1][1]))
    for asset, (candidate, role, _) in ordered:
        batch.append((asset, picture(ledger, shard_of[candidate], candidate, role)))
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def picture(ledger: Ledger, shard: str, candidate: str, role: Role) -> Pixels:
    """Return one image of an accepted candidate. Raises AuditError where its shard cannot be read."""
    try:
        found = pictures_of(ledger, candidate, shard, [role])
    except (OSError, ValueError) as error:
        raise AuditError(f"{ledger.root}: {error}") from None
    if not found:
        raise AuditError(f"{ledger.root}: the {role} image of {candidate} is not in shard {shard}")
    return decode_stored(found[0].data)


def _nearest(
    image: Pixels, vectors: Mapping[str, Vectors], evaluation: _Evaluation, bits: int, cosine: float | None
) -> tuple[str, Evidence, int, float | None] | None:
    """Return the evaluation image that an image is the same as, how that is known, and how near it is."""
    if not evaluation.names:
        return None
    own = hash_bits(image)
    likeness: NDArray[np.float64] | None = None
    if vectors:
        cosines = [np.asarray(evaluation.vectors[head] @ vector, np.float64) for head, vector in vectors.items()]
        likeness = np.minimum.reduce(cosines)
    ways: list[tuple[Evidence, NDArray[np.bool_]]]
    ways = [("copy", evaluation.hashes), ("mirrored copy", evaluation.mirrored)]
    for evidence, hashes in ways:
        apart = np.count_nonzero(hashes != own, axis=1)
        best = int(apart.argmin())
        if apart[best] <= bits:
            near = None if likeness is None else round(float(likeness[best]), 4)
            return evaluation.names[best], evidence, int(apart[best]), near
    if likeness is not None and cosine is not None:
        best = int(likeness.argmax())
        if likeness[best] >= cosine:
            apart = int(np.count_nonzero(evaluation.hashes[best] != own))
            return evaluation.names[best], "embedding", apart, round(float(likeness[best]), 4)
    return None


def _candidates(ledger: Ledger, assets: Sequence[str], roles: Sequence[Role]) -> list[str]:
    if not assets:
        return []
    wanted = " OR ".join(f"{role}_id IN (SELECT unnest($ids))" for role in roles)
    rows = ledger.rows(
        f"SELECT candidate_id FROM ({ledger.triplets.select()}) WHERE accepted AND ({wanted}) ORDER BY 1",
        {"ids": list(assets)},
    )
    return [row["candidate_id"] for row in rows]
