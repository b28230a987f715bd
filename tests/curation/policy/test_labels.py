"""Several annotators: each by a name of its own, and the majority where they differ."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.policy.labels import majority, read_annotators, to_labelled


def write(path: Path, **verdicts: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(["candidate_id,verdict", *(f"{key},{said}" for key, said in verdicts.items())]))
    return path


def test_annotators_have_the_names_of_their_files_in_full_where_those_are_alike(tmp_path: Path) -> None:
    paths = [write(tmp_path / "a" / "bob.csv", x="good"), write(tmp_path / "b" / "bob.csv", x="bad")]
    paths += [write(tmp_path / "ann.csv", x="1"), write(tmp_path / "judge.csv", x="0")]
    found = read_annotators(paths)
    assert list(found) == [str(paths[0]), str(paths[1]), "ann", str(paths[3])]
    assert [verdicts["x"] for verdicts in found.values()] == [True, False, True, False]


@given(st.lists(st.dictionaries(st.sampled_from("abcd"), st.booleans()), max_size=5))
def test_most_annotators_win_and_ties_say_nothing(annotators: list[dict[str, bool]]) -> None:
    found = majority(annotators)
    for key in "abcd":
        said = [verdicts[key] for verdicts in annotators if key in verdicts]
        if said.count(True) == said.count(False):
            assert key not in found
        else:
            assert found[key] == (said.count(True) > said.count(False))


def test_parts_of_a_verdict_are_columns_too() -> None:
    judged = {"judge_style_match": 3, "judge_layout": "shifted", "layout": "shifted", "style_leak": 0.5}
    unjudged = {"judge_style_match": None, "judge_layout": None, "layout": "shifted", "style_leak": 0.25}
    data = to_labelled([(judged, True), (unjudged, False)])
    assert set(data.scores) == {"style_leak", "judge.style_match", "judge.layout_match"}
    assert data.scores["judge.style_match"].tolist() == pytest.approx([3, float("nan")], nan_ok=True)
    assert data.scores["judge.layout_match"].tolist() == pytest.approx([1, float("nan")], nan_ok=True)
