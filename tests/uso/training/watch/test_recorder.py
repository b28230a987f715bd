"""A run's record: each step once after any crash, no credentials, curves where TensorBoard and W&B look for them."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from uso.training.watch.jsonl import MetricLines, read_lines
from uso.training.watch.recorder import Recorder
from uso.training.watch.run_file import read_run
from uso.training.watch.samples import sample_files
from uso.training.watch.wandb_sink import wandb_wanted

FACTS = {"name": "nano", "recipe": {"steps": 40}}


@pytest.fixture(autouse=True)
def _no_wandb(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_PROJECT", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)


def train(out: Path, resume: int | None, until: int, every: int = 2) -> None:
    """Record what a run from `resume` to `until` records."""
    recorder = Recorder(out, FACTS, resume)
    for step in range((resume or 0) + 1, until + 1):
        if step % every == 0:
            recorder.scalars(step, {"train/loss": 1 / step})
        if step % 10 == 0:
            recorder.scalars(step, {"heldout/loss": 2 / step})
            recorder.image(step, "heldout", Image.new("RGB", (8, 8), (step, 0, 0)))
    recorder.close()


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def test_a_resumed_run_has_each_step_once(tmp_path: Path) -> None:
    train(tmp_path / "crashed", None, 28)
    train(tmp_path / "crashed", 15, 40)
    train(tmp_path / "whole", None, 40)
    crashed, whole = lines(tmp_path / "crashed"), lines(tmp_path / "whole")
    assert [{**line, "time": 0} for line in crashed] == [{**line, "time": 0} for line in whole]
    assert [start.step for start in read_run(tmp_path / "crashed").starts] == [0, 15]


def test_a_run_begun_anew_in_the_same_folder_starts_with_empty_curves(tmp_path: Path) -> None:
    train(tmp_path, None, 20)
    train(tmp_path, None, 4)
    assert [line["step"] for line in lines(tmp_path)] == [2, 4]
    assert sample_files(tmp_path) == {}
    assert len(read_run(tmp_path).starts) == 1


@settings(max_examples=40, deadline=None)
@given(torn=st.integers(0, 200), resume=st.integers(0, 8))
def test_a_file_torn_anywhere_is_mended(tmp_path_factory: pytest.TempPathFactory, torn: int, resume: int) -> None:
    path = tmp_path_factory.mktemp("run") / "metrics.jsonl"
    first = MetricLines(path, None)
    for step in range(1, 9):
        first.scalars(step, 0.0, {"loss": step / 8})
    first.close()
    whole = path.read_bytes()
    path.write_bytes(whole[: max(0, len(whole) - torn)])
    survived = [line["step"] for line in read_lines(path)]
    second = MetricLines(path, resume)
    second.scalars(resume + 1, 0.0, {"loss": 0.0})
    second.close()
    steps = [json.loads(line)["step"] for line in path.read_text().splitlines()]
    assert steps == [*(step for step in survived if step <= resume), resume + 1]


def test_a_line_can_be_read_as_soon_as_it_is_recorded(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, FACTS, None)
    recorder.scalars(1, {"train/loss": 0.5})
    assert lines(tmp_path)[0]["train/loss"] == 0.5
    recorder.close()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_written_as_valid_json(tmp_path: Path, value: float) -> None:
    recorder = Recorder(tmp_path, FACTS, None)
    recorder.scalars(1, {"train/loss": value})
    recorder.close()

    def refuse(constant: str) -> float:
        raise AssertionError(f"{constant} is not JSON")

    assert json.loads((tmp_path / "metrics.jsonl").read_text(), parse_constant=refuse)["train/loss"] is None


def test_metrics_and_pictures_cannot_take_the_names_of_something_else(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, FACTS, None)
    with pytest.raises(ValueError, match="another name"):
        recorder.scalars(1, {"step": 3.0})
    with pytest.raises(ValueError, match="picture"):
        recorder.image(1, "../outside", Image.new("RGB", (8, 8)))
    recorder.close()


def test_pictures_past_the_step_of_resumption_are_removed_and_drawn_again(tmp_path: Path) -> None:
    train(tmp_path, None, 30)
    (tmp_path / "samples" / "mine.png").write_bytes(b"not ours")
    train(tmp_path, 15, 20)
    assert [file.step for file in sample_files(tmp_path)["heldout"]] == [10, 20]
    assert (tmp_path / "samples" / "mine.png").exists()


@pytest.mark.parametrize(
    ("given_root", "kept"),
    [
        ("s3://AKIA:secret@bucket/prefix", "s3://bucket/prefix"),
        ("s3://AKIA:se/cret+x@bucket/prefix", "s3://bucket/prefix"),
        ("https://token@host:8080/store", "https://host:8080/store"),
        ("https://user:p@ss@host/store", "https://host/store"),
        ("s3://bucket/prefix@7", "s3://bucket/prefix@7"),
        ("http://host:9000/bucket@7", "http://host:9000/bucket@7"),
        ("runs/me@home", "runs/me@home"),
    ],
)
def test_credentials_in_addresses_are_never_written(tmp_path: Path, given_root: str, kept: str) -> None:
    facts = {"data": [{"store": given_root}], "recipe": {"data": {"stores": ({"path": given_root},)}}}
    Recorder(tmp_path, facts, None).close()
    found = read_run(tmp_path).facts
    assert found == {"data": [{"store": kept}], "recipe": {"data": {"stores": [{"path": kept}]}}}


def test_tensorboard_shows_each_step_once_and_the_pictures(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(tmp_path, None, 28)
    train(tmp_path, 15, 40)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    shown = [(event.step, event.value) for event in events.Scalars("train/loss")]
    assert [step for step, _ in shown] == list(range(2, 41, 2))
    assert [value for _, value in shown] == pytest.approx([1 / step for step, _ in shown])
    assert [image.step for image in events.Images("heldout")] == [10, 20, 30, 40]


class FakeRun:
    """Keeps what a W&B run is given."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.logged: list[dict[str, Any]] = []
        self.finished = False

    def define_metric(self, *_names: str, **_options: str) -> None:
        pass

    def log(self, values: dict[str, Any]) -> None:
        self.logged.append(values)

    def finish(self) -> None:
        self.finished = True


@pytest.fixture
def wandb_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[FakeRun]]:
    """A module in W&B's place, which sends nothing."""
    runs: list[FakeRun] = []

    def init(**settings: Any) -> FakeRun:
        runs.append(FakeRun(**settings))
        return runs[-1]

    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "wandb.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path / "path")
    import wandb  # type: ignore[import-not-found, unused-ignore]

    monkeypatch.setattr(wandb, "init", init, raising=False)
    monkeypatch.setattr(wandb, "Settings", SimpleNamespace, raising=False)
    monkeypatch.setattr(wandb, "Image", lambda picture: picture, raising=False)
    yield runs
    sys.modules.pop("wandb", None)


def test_wandb_goes_on_with_the_same_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wandb_runs: list[FakeRun]
) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "styles")
    train(tmp_path / "run", None, 12)
    train(tmp_path / "run", 8, 20)
    first, second = wandb_runs
    assert first.settings["id"] == second.settings["id"]
    assert first.settings["project"] == "styles"
    assert first.settings["config"]["recipe"] == {"steps": 40}
    assert {"train/loss": 1 / 12, "step": 12} in first.logged
    assert [values["step"] for values in second.logged if "heldout" in values] == [10, 20]
    assert first.finished
    assert second.finished


def test_nothing_is_sent_unless_wandb_is_asked_for(tmp_path: Path, wandb_runs: list[FakeRun]) -> None:
    train(tmp_path / "run", None, 4)
    assert wandb_runs == []
    assert not wandb_wanted({"WANDB_API_KEY": "x"})
    assert not wandb_wanted({"WANDB_MODE": "disabled", "WANDB_PROJECT": "styles"})
    assert wandb_wanted({"WANDB_MODE": "offline"})


def test_a_missing_wandb_is_told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("uso.training.watch.wandb_sink.find_spec", lambda _name: None)
    assert not wandb_wanted({"WANDB_PROJECT": "styles"})
    assert "pip install wandb" in caplog.text
