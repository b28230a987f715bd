"""The report of a run: one file, whatever was recorded."""

from __future__ import annotations

import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from uso.training.watch.recorder import Recorder
from uso.training.watch.report import write_report

RECIPE = {"steps": 100, "train": ["lora"], "watch": {"heldout": {"samples": 64, "times": [0.1, 0.9]}}}
FACTS = {"name": "nano", "recipe": RECIPE, "data": [{"store": "runs/demo", "version": 12, "samples": 3441}]}


def record(out: Path, heldout: dict[int, float], facts: dict[str, object] | None = None) -> Path:
    recorder = Recorder(out, facts or FACTS, None)
    for step in range(1, 101):
        recorder.scalars(step, {"train/loss": 1 / step + 0.1, "train/learning_rate": 1e-4, "train/mfu": 0.4})
    for step, loss in heldout.items():
        recorder.scalars(step, {"heldout/loss": loss, "heldout/loss@0.10": loss / 2, "heldout/loss@0.90": 2 * loss})
    recorder.close()
    return out


class Page(HTMLParser):
    """The text and the tags of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href") and value]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_change_of_the_held_out_loss_is_told_in_words(tmp_path: Path) -> None:
    page = Page(write_report(record(tmp_path, {0: 0.8, 50: 0.25, 100: 0.3})))
    assert "Held-out loss fell by 62.5%, from 0.8000 at step 0 to 0.3000 at step 100." in page.text
    assert "The lowest was 0.2500 at step 50; the last one is 20.0% above it." in page.text
    assert "0.4000 → 0.1500 (−62.5%)" in page.text
    assert "runs/demo" in page.text
    assert "samples: 64" in page.text


def test_a_single_measurement_is_enough(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, FACTS, None)
    recorder.scalars(0, {"heldout/loss": 0.8})
    recorder.close()
    assert "Held-out loss was measured once: 0.8000 at step 0." in Page(write_report(tmp_path)).text


def test_without_held_out_metrics_it_says_so(tmp_path: Path) -> None:
    page = Page(write_report(record(tmp_path, {})))
    assert "This run measured no held-out loss." in page.text
    assert "Training loss" in page.text


def test_before_the_first_line_there_is_a_report(tmp_path: Path) -> None:
    Recorder(tmp_path, {}, None).close()
    assert "This run measured no held-out loss." in Page(write_report(tmp_path)).text


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name the folder of a run"):
        write_report(tmp_path)


def test_values_that_are_no_numbers_are_told(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, FACTS, None)
    for step, loss in enumerate([0.5, math.nan, math.inf, 0.4]):
        recorder.scalars(step, {"train/loss": loss, "train/gradient_norm": math.nan})
    recorder.close()
    page = Page(write_report(tmp_path))
    assert "2 values of train/loss were not finite numbers, the first at step 1." in page.text
    assert "4 values of train/gradient_norm were not finite numbers" in page.text


def test_nothing_from_a_run_can_become_markup(tmp_path: Path) -> None:
    evil = "</title></script><script>alert(1)</script><img src=x onerror=alert(1)>"
    facts: dict[str, object] = {
        "name": evil,
        "recipe": {"steps": 5, "where": evil},
        "data": [{"store": evil, "where": evil, "digest": evil, "version": evil}],
        "versions": {evil: evil},
    }
    for folder in ("run", "other"):
        recorder = Recorder(tmp_path / folder, {**facts, "name": f"{evil}{folder}"}, None)
        recorder.scalars(1, {f"train/{evil}": 1.0, f"reward/{evil}": math.nan, "heldout/loss": 1.0})
        recorder.close()
    page = Page(write_report(tmp_path / "run", [tmp_path / "other"]))
    assert page.tags.count("script") == 0
    assert page.tags.count("img") == 0
    assert page.text.count("alert(1)") > 6


def test_the_page_needs_nothing_but_itself(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, FACTS, None)
    for step in range(10, 210, 10):
        recorder.scalars(step, {"train/loss": 1 / step})
        recorder.image(step, "heldout", Image.new("RGBA", (64, 32), (step, 0, 0, 128)))
    recorder.close()
    page = Page(write_report(tmp_path))
    pictures = [link for link in page.links if link.startswith("data:image/webp;base64,")]
    files = [link for link in page.links if link.startswith("samples/")]
    rest = [link for link in page.links if link not in pictures + files and not link.startswith("#")]
    assert len(pictures) == len(files) == 12
    assert files[0] == "samples/heldout-00000200.png"
    assert files[-1] == "samples/heldout-00000010.png"
    assert all((tmp_path / file).is_file() for file in files)
    assert rest == []
    assert not re.search(r"@import|url\(", (tmp_path / "report.html").read_text())


def test_metrics_that_no_panel_knows_are_drawn_too(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, FACTS, None)
    for step in range(50):
        recorder.scalars(step, {"train/new_figure": step, "reward/lambda": 0.1, "reward/style": 0.5})
    recorder.close()
    text = Page(write_report(tmp_path)).text
    assert "train/new_figure" in text
    assert "reward/lambda" in text
    assert "Style and content" in text


def test_runs_are_drawn_beside_each_other_and_told_apart(tmp_path: Path) -> None:
    record(tmp_path / "a", {0: 0.8, 100: 0.3})
    record(tmp_path / "b", {0: 0.8, 100: 0.2}, {**FACTS, "data": [{"store": "elsewhere", "version": 1}]})
    text = Page(write_report(tmp_path / "a", [tmp_path / "b"])).text
    assert str(tmp_path / "a") in text
    assert str(tmp_path / "b") in text
    assert "Held-out losses can only be held against each other" in text


def test_a_run_that_is_being_written_can_be_reported(tmp_path: Path) -> None:
    record(tmp_path, {0: 0.8})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 101, "time": 3, "train/lo')
    assert "of 100 steps" in Page(write_report(tmp_path)).text


def test_time_between_a_stop_and_the_next_start_does_not_count(tmp_path: Path) -> None:
    record(tmp_path, {})
    lines = [{"step": 10, "time": 1060.0}, {"step": 20, "time": 1120.0}, {"step": 30, "time": 9060.0}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    facts = json.loads((tmp_path / "run.json").read_text())
    facts["starts"] = [{"step": 0, "time": 1000.0}, {"step": 20, "time": 9000.0}]
    (tmp_path / "run.json").write_text(json.dumps(facts))
    text = Page(write_report(tmp_path)).text
    assert "3 minof training" in text
    assert "resumed at step 20" in text


names = st.sampled_from(["train/loss", "heldout/loss", "heldout/loss@0.50", "reward/style", "train/mfu", "x"])
values = st.one_of(st.floats(), st.floats(0, 1))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 200), names, values), max_size=60))
def test_any_metrics_give_a_report(tmp_path: Path, metrics: list[tuple[int, str, float]]) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = [
        {"step": step, "time": 0.0, name: value if math.isfinite(value) else None} for step, name, value in metrics
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    page = write_report(tmp_path).read_text()
    points = " ".join(re.findall(r'points="([^"]*)"', page))
    assert re.fullmatch(r"[-0-9., ]*", points)
