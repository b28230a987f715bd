"""Logs: JSON lines that say what they are about, and never a secret."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import logs
from curation.logs import LogSettings, hide_secrets


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in logs.PACKAGES]
    before = [(logger, logger.handlers, logger.level) for logger in loggers]
    monkeypatch.setattr(logs, "_current", None)
    yield
    for logger, handlers, level in before:
        logger.handlers = handlers
        logger.setLevel(level)


def test_a_json_line_names_job_stage_and_candidates_and_the_error() -> None:
    stream = io.StringIO()
    LogSettings("info", "json", job="j1").apply(stream)
    try:
        raise OSError("disk full")
    except OSError:
        about = {"stage": "score", "candidates": [f"c{n}" for n in range(30)]}
        logging.getLogger("workers.scorers").exception("cannot score\nthis", extra=about)
    logging.getLogger("curation.job").debug("not shown")
    (line,) = stream.getvalue().splitlines()
    found = json.loads(line)
    assert (found["job"], found["stage"], found["level"]) == ("j1", "score", "error")
    assert found["candidates"][:2] == ["c0", "c1"]
    assert found["candidates"][-1] == "and 10 more"
    assert found["message"] == "cannot score\nthis"
    assert found["error"].endswith("OSError: disk full")


def test_text_lines_say_what_they_are_about_and_other_libraries_are_left_alone() -> None:
    stream = io.StringIO()
    LogSettings("info", "text", job="j1").apply(stream)
    logging.getLogger("curation.graph").info("ready", extra={"stage": "load"})
    logging.getLogger("ray.data").error("not ours")
    assert stream.getvalue().rstrip().endswith("curation.graph: ready [job=j1 stage=load]")
    assert "not ours" not in stream.getvalue()


_WORD = st.text("abcdefghijklmnopqrstuvwxyzABCDEFG0123456789+/", min_size=8, max_size=40)


@settings(deadline=None)
@given(_WORD.map(lambda word: f"Zq9{word}"))
def test_secrets_are_hidden_wherever_they_stand(secret: str) -> None:
    environment = {"AWS_SECRET_ACCESS_KEY": secret, "HOME": "/home/someone"}
    for text in (f"denied for {secret}!", f"header {{'a': '{secret}'}}"):
        assert secret not in hide_secrets(text, environment)
    for text in (
        f"s3://user:{secret}@host/bucket",
        f"Authorization: Bearer {secret}",
        f"GET https://host/a?X-Amz-Signature={secret}&x=1",
        f'{{"api_key": "{secret}"}}',
        f"aws_secret_access_key={secret}",
        f"password: {secret}, retry",
    ):
        assert secret not in hide_secrets(text, {})


@settings(deadline=None)
@given(st.lists(st.sampled_from(["shard 3 of 9", "tokens 512", "key k1 missing", "s3://bucket/key", "took 3.5 s"])))
def test_ordinary_messages_stay_as_they_are(parts: list[str]) -> None:
    text = "; ".join(parts)
    assert hide_secrets(text, {"PATH": "/usr/bin", "LOGNAME": "somebody"}) == text
