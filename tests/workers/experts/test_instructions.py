"""Instructions: drawn by the seed alone, all kinds of moves in use, and a bank of one's own checked word for word."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.experts.editing.instructions import read_instructions

BANK = {"preserve": ["keep"], "shift": ["do: {move}"], "moves": {"pose": ["turn"]}, "stylize": ["draw {subject}"]}


@settings(deadline=None)
@given(seed=st.integers(0, 2**63 - 1), subject=st.text(max_size=30))
def test_every_seed_gives_a_whole_sentence_and_always_the_same(seed: int, subject: str) -> None:
    bank = read_instructions("v1")
    shifted = bank.destylizing("shifted", seed)
    assert shifted == bank.destylizing("shifted", seed)
    assert "{" not in shifted.text
    assert bank.destylizing("preserved", seed).move is None
    assert subject in bank.stylizing(subject, seed).text


def test_all_kinds_of_moves_are_asked_for_equally_often() -> None:
    bank = read_instructions("v1")
    kinds = Counter(bank.destylizing("shifted", seed).move for seed in range(2000))
    assert set(kinds) == {"pose", "view", "place", "scale", "scene"}
    assert min(kinds.values()) > 330
    texts = {bank.destylizing("shifted", seed).text for seed in range(2000)}
    assert len(texts) == len(bank.shift) * sum(map(len, bank.moves.values()))


def test_a_bank_of_ones_own_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "bank.yaml"
    path.write_text(yaml.safe_dump(BANK))
    first = read_instructions(str(path))
    assert first.destylizing("shifted", 1).text == "do: turn"
    path.write_text(yaml.safe_dump({**BANK, "preserve": ["keep all of it"]}))
    assert read_instructions(str(path)).digest != first.digest


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"shift": ["no move"]}, "lacks {move}"),
        ({"stylize": ["draw it"]}, "lacks {subject}"),
        ({"preserve": ["keep {subject}"]}, "has another field than those allowed: none"),
        ({"shift": ["{move} of {subject}"]}, "has another field"),
        ({"moves": {"pose": []}}, "moves.pose has no sentence"),
        ({"moves": {}}, "moves"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_bank_that_cannot_be_used_says_where(tmp_path: Path, change: dict[str, object], complaint: str) -> None:
    path = tmp_path / "bank.yaml"
    path.write_text(yaml.safe_dump({**BANK, **change}))
    with pytest.raises(ValueError, match=complaint):
        read_instructions(str(path))
