"""Windows change nothing but memory: the same candidates in the same order, and the same shards."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from curation.candidates import Digests, IngestedTarget, in_shard_order, proposals
from curation.spec.model import JobSpec
from curation.windows import windows
from manifests.identities import digest_of
from manifests.images import ImageRef

DIGESTS = Digests("g", "s", "p")


def job(preserved: int, shifted: int, shard: int) -> JobSpec:
    layouts = {"preserved": preserved, "shifted": shifted}
    return JobSpec.model_validate(
        {"name": "w", "sources": [{"kind": "iconify"}], "layouts": layouts, "shards": {"candidates": shard}}
    )


def target(number: int, *, repeats: int | None = None, refused: bool = False) -> IngestedTarget:
    """Return a target; one that repeats another has the other's image, and is marked, as ingest marks it."""
    ref = ImageRef(
        source="s", locator=f"{number}.png", fingerprint="f", subject=f"s{number}", family="color", licence="MIT"
    )
    asset = None if refused else digest_of(number if repeats is None else repeats)
    why = "bad" if refused else None
    return IngestedTarget(ref, digest_of(["ref", number]), asset, why, why, asset if repeats is not None else None)


_TARGETS = st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=40).map(
    lambda kinds: [
        target(number, refused=refused, repeats=number - 1 if number and back == 0 else None)
        for number, (refused, back) in enumerate(kinds)
    ]
)


@settings(deadline=None)
@given(_TARGETS, st.integers(0, 3), st.integers(1, 3), st.integers(1, 16), st.integers(1, 64))
def test_windows_one_after_the_other_are_the_whole_in_its_order(
    targets: list[IngestedTarget], preserved: int, shifted: int, shard: int, most: int
) -> None:
    spec = job(preserved, shifted, shard)
    parts = [in_shard_order(proposals(part, spec, DIGESTS)) for part in windows(targets, spec, candidates=most)]
    ids = [one for part in parts for one in part["candidate_id"].to_pylist()]
    assert ids == in_shard_order(proposals(targets, spec, DIGESTS))["candidate_id"].to_pylist()


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 3), st.integers(1, 16), st.integers(1, 64))
def test_windows_fill_their_shards_and_keep_to_their_size(count: int, each: int, shard: int, most: int) -> None:
    spec = job(each, 0, shard)
    sizes = [len(part) * each for part in windows([target(number) for number in range(count)], spec, candidates=most)]
    assert sum(sizes) == count * each
    assert all(size % shard == 0 for size in sizes[:-1])
    assert all(size <= max(most, each * shard) for size in sizes)


def test_small_jobs_are_one_window() -> None:
    assert [len(part) for part in windows([target(number) for number in range(500)], job(1, 1, 512))] == [500]
