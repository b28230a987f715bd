"""The Merkle root covers every leaf and its place; the chain covers every commit before."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from manifests.merkle import leaf_of, link, root_of

leaves = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=20)


@given(leaves, st.data())
def test_changing_any_leaf_changes_the_root(hashes: list[bytes], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(hashes) - 1))
    changed = hashes.copy()
    changed[place] = hashlib.sha256(changed[place]).digest()
    assert root_of(hashes) != root_of(changed)


def test_roots_match_rfc_6962() -> None:
    """Vectors of RFC 6962 test trees: empty, one and three leaves, computed by its definition."""
    a, b, c = (hashlib.sha256(b"\x00" + x).digest() for x in (b"", b"\x00", b"\x10"))

    def node(left: bytes, right: bytes) -> bytes:
        return hashlib.sha256(b"\x01" + left + right).digest()

    assert root_of([]) == hashlib.sha256(b"").hexdigest()
    assert root_of([a]) == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert root_of([a, b]) == "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
    assert root_of([a, b, c]) == node(node(a, b), c).hex()
    assert root_of([a, b, c]) == "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"


def test_leaves_ignore_the_order_of_columns() -> None:
    assert leaf_of({"a": 1, "b": None}) == leaf_of({"b": None, "a": 1})


def test_a_link_covers_what_came_before() -> None:
    assert link("a", "r") != link("b", "r")
    assert link("a", "r") != link("a", "s")
