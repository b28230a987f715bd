"""Balance: spread, caps, drift between jobs, and near-duplicates of a store."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import yaml
from scipy.stats import ks_2samp

from manifests.arrow_schema import to_table
from manifests.audit.balance import Balance, balance
from manifests.audit.drift import distance, stability_index
from manifests.audit.ledger import Ledger
from manifests.records import Job
from manifests.store import Store
from tests.manifests.audit.histories import accepted, candidate, commit_rows, image

JOBS = ("first", "second")


def job(name: str, started: datetime) -> Job:
    spec = {"name": name, "targets": {"per_subject": 2}, "policy": {"rules": []}}
    return Job(
        job_id=name,
        spec=yaml.safe_dump(spec),
        spec_digest=name,
        generation_digest="generation",
        status="finished",
        started=started,
        finished=datetime.now(UTC) + timedelta(milliseconds=2),
        versions="{}",
        counts="{}",
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Balance:
    """A store of two jobs: `palette_leak` is higher in the second, two of the targets look alike."""
    store, rng = Store(tmp_path_factory.mktemp("store")), np.random.default_rng(0)
    targets = [image("target", number, perceptual_hash=f"{number:02x}" + "ab" * 31) for number in range(3)]
    targets[2] = targets[2].model_copy(update={"perceptual_hash": "55" * 32})
    others = {role: image(role, 0) for role in ("content", "style")}
    for number, name in enumerate(JOBS):
        started = datetime.now(UTC)
        rows = []
        for place in range(200):
            row = candidate(f"{name}{place}", {"target": targets[0 if place < 150 else 1 + place % 2], **others})
            row |= {"generation_digest": "generation", "subject": "cat" if place < 150 else f"dog {place % 2}"}
            row |= {"palette_leak": float(rng.normal(number * 3)), "copy_paste": float(rng.normal())}
            rows.append(accepted(row) if place % 4 else row | {"reasons": ["duplicate_of:x"]})
        commit_rows(store, rows, [*targets, *others.values()])
        store.jobs.append(to_table(Job, [job(name, started)]))
        time.sleep(0.01)
    return balance(Ledger(store.root))


def test_the_spread_is_counted(found: Balance) -> None:
    subject = next(spread for spread in found.spreads if spread.column == "subject")
    assert found.accepted == 300
    assert subject.values == 3
    assert subject.largest[0][0] == "cat"
    assert subject.largest[0][1] == 224
    assert 1 < subject.effective < 3
    assert any("74.7% of the accepted triplets have the subject cat" in finding for finding in found.findings)


def test_caps_are_told(found: Balance) -> None:
    known = {cap.what: cap.hit for cap in found.caps}
    assert known["candidates rejected for duplicate_of"] == 100


def test_a_score_that_moved_between_jobs_is_found(found: Balance) -> None:
    moved = {one.score: one.verdict for one in found.drift}
    assert moved["palette_leak"] == "large"
    assert moved["copy_paste"] == "stable"
    assert next(one.before for one in found.drift) == "first"
    assert sum("palette_leak drifted" in finding for finding in found.findings) == 1


def test_targets_that_look_alike_are_found(found: Balance) -> None:
    assert found.near_duplicate_clusters == 1
    assert found.near_duplicate_targets == 2
    (cluster,) = found.clusters
    assert cluster.triplets == sum(count for _, count, _ in _target_counts(found)[:2])
    assert len(cluster.members) == 2


def _target_counts(found: Balance) -> list[tuple[str, int, float]]:
    counts = next(spread.largest for spread in found.spreads if spread.column == "target")
    alike = {member["target_ref"][:12] for cluster in found.clusters for member in cluster.members}
    return sorted(counts, key=lambda one: one[0].split()[0] not in alike)


def test_the_distance_is_that_of_kolmogorov_and_smirnov() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.integers(0, 64, 500), rng.integers(8, 64, 300)
    ours = distance(np.bincount(first, minlength=64), np.bincount(second, minlength=64))
    assert ours == pytest.approx(ks_2samp(first, second).statistic)


def test_the_stability_index_of_one_distribution_is_small_and_of_two_large() -> None:
    rng = np.random.default_rng(2)
    same = [np.bincount(rng.integers(0, 100, 5000), minlength=100) for _ in range(2)]
    other = np.bincount(rng.integers(50, 100, 5000), minlength=100)
    assert stability_index(*same) < 0.01
    assert stability_index(same[0], other) > 1
