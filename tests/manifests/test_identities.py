"""Identities do not depend on order, time or place."""

from hypothesis import given
from hypothesis import strategies as st

from manifests.identities import asset_id, candidate_id, digest_of, seed_of, shard_name
from manifests.images import CALIBRATION_FOLD, HELDOUT_FOLD, ImageRef, fold_of, split_of


@given(st.dictionaries(st.text(), st.integers()))
def test_digest_ignores_the_order_of_keys(values: dict[str, int]) -> None:
    assert digest_of(values) == digest_of(dict(reversed(values.items())))


def test_every_part_of_a_candidate_changes_its_id() -> None:
    base = candidate_id("t", "shifted", 0, "g")
    others = {
        candidate_id("u", "shifted", 0, "g"),
        candidate_id("t", "preserved", 0, "g"),
        candidate_id("t", "shifted", 1, "g"),
        candidate_id("t", "shifted", 0, "h"),
    }
    assert len(others | {base}) == 5
    assert len(base) == 32


@given(st.text(), st.text())
def test_seeds_fit_into_63_bits_and_differ_by_role(candidate: str, role: str) -> None:
    seed = seed_of(candidate, role)
    assert 0 <= seed < 2**63
    assert seed != seed_of(candidate, role + "x")


@given(st.lists(st.text(alphabet="0123456789abcdef", min_size=4, max_size=8), min_size=1, unique=True), st.randoms())
def test_a_shard_is_named_after_its_candidates_in_any_order(ids: list[str], random: object) -> None:
    shuffled = ids.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert shard_name(ids) == shard_name(shuffled)


def test_asset_id_is_sha256() -> None:
    assert asset_id(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@given(st.text())
def test_a_subject_is_held_out_exactly_in_the_heldout_fold(subject: str) -> None:
    assert (split_of(subject) == "heldout") == (fold_of(subject) == HELDOUT_FOLD)
    assert 0 <= fold_of(subject) <= 9
    assert CALIBRATION_FOLD != HELDOUT_FOLD


def test_a_style_is_family_and_treatment() -> None:
    ref = ImageRef(source="s", locator="l", fingerprint="f", subject="cat", family="color")
    assert ref.style == "color"
    assert ref.treated("oil").style == "color+oil"
