"""The watch-dog stops what trades content for style, lets everything else pass, and survives a resume."""

from __future__ import annotations

import json
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uso.training.reward.settings import WatchdogSettings
from uso.training.reward.watchdog import Decision, Watchdog

UNIT = st.floats(-1, 1)
CURVES = st.lists(st.tuples(UNIT, UNIT), min_size=1, max_size=40)
ANY_SETTINGS = st.builds(
    WatchdogSettings,
    window=st.integers(1, 6),
    content_drop=st.floats(0.01, 0.5),
    action=st.sampled_from(["stop", "lower"]),
    factor=st.floats(0, 0.9),
)


def watch(dog: Watchdog, curve: list[tuple[float, float]], start: int = 0) -> list[Decision]:
    return [dog.observe(start + step, style, content) for step, (style, content) in enumerate(curve)]


@given(settings=ANY_SETTINGS, styles=st.lists(UNIT, min_size=1, max_size=40), content=UNIT)
def test_style_may_rise_as_it_likes_while_content_stays(
    settings: WatchdogSettings, styles: list[float], content: float
) -> None:
    shaken = [content + 0.9 * settings.content_drop * (number % 2) for number in range(len(styles))]
    decisions = watch(Watchdog(settings), list(zip(sorted(styles), shaken, strict=True)))
    assert {decision.verdict for decision in decisions} == {"go on"}


@given(settings=ANY_SETTINGS, contents=st.lists(UNIT, min_size=1, max_size=40), style=UNIT)
def test_content_that_falls_without_style_rising_is_another_matter(
    settings: WatchdogSettings, contents: list[float], style: float
) -> None:
    falling = [(style - 0.01 * number, content) for number, content in enumerate(contents)]
    assert {decision.verdict for decision in watch(Watchdog(settings), falling)} == {"go on"}


@given(
    window=st.integers(1, 6),
    drop=st.floats(0.01, 0.3),
    beyond=st.floats(0.01, 0.5),
    rise=st.floats(0.01, 0.5),
    quiet=st.integers(0, 10),
)
def test_style_bought_with_content_stops_the_run_within_a_window(
    window: int, drop: float, beyond: float, rise: float, quiet: int
) -> None:
    dog = Watchdog(WatchdogSettings(window=window, content_drop=drop))
    before = watch(dog, [(0.2, 0.7)] * (window + quiet))
    assert {decision.verdict for decision in before} == {"go on"}
    after = watch(dog, [(0.2 + rise, 0.7 - drop - beyond)] * window, start=len(before))
    stopped = next(decision for decision in after if decision.verdict == "stop")
    for words in (
        "Stopped at step",
        "style reward rose from 0.2000",
        "fell from 0.7000",
        "reward.watchdog.content_drop",
    ):
        assert words in stopped.explanation


@given(settings=ANY_SETTINGS, curve=CURVES)
def test_a_decision_names_a_window_that_breaks_the_rule(
    settings: WatchdogSettings, curve: list[tuple[float, float]]
) -> None:
    dog = Watchdog(settings)
    best = -2.0
    fresh = 0
    for number, decision in enumerate(watch(dog, curve)):
        fresh += 1
        if fresh < settings.window:
            assert decision.verdict == "go on"
            continue
        mean = sum(content for _, content in curve[number + 1 - settings.window : number + 1]) / settings.window
        best = max(best, mean)
        if decision.verdict != "go on":
            assert best - mean > settings.content_drop - 1e-9
            assert decision.verdict == settings.action
            assert decision.explanation
        if decision.verdict == "lower":
            fresh = 0


def test_lowering_gives_each_weight_a_window_of_its_own() -> None:
    dog = Watchdog(WatchdogSettings(window=3, content_drop=0.1, action="lower", factor=0.5))
    watch(dog, [(0.1, 0.9)] * 3)
    decisions = watch(dog, [(0.5, 0.2)] * 8, start=3)
    lowered = [number for number, decision in enumerate(decisions) if decision.verdict == "lower"]
    assert lowered[1] - lowered[0] == 3
    assert list(accumulate([0.5] * len(lowered), lambda left, right: left * right)) == [
        decisions[number].factor for number in lowered
    ]
    assert "lowered to 0.5" in decisions[lowered[0]].explanation
    assert decisions[-1].factor == dog.factor


@given(settings=ANY_SETTINGS, curve=CURVES, cut=st.integers(0, 40))
def test_a_resumed_watch_decides_as_one_that_was_never_interrupted(
    settings: WatchdogSettings, curve: list[tuple[float, float]], cut: int
) -> None:
    cut = min(cut, len(curve))
    whole = watch(Watchdog(settings), curve)
    first, second = Watchdog(settings), Watchdog(settings)
    begun = watch(first, curve[:cut])
    second.restore(json.loads(json.dumps(first.state())))
    assert begun + watch(second, curve[cut:], start=cut) == whole


def test_a_step_is_observed_once() -> None:
    dog = Watchdog(WatchdogSettings())
    dog.observe(5, 0.1, 0.1)
    with pytest.raises(ValueError, match="steps must rise"):
        dog.observe(5, 0.1, 0.1)
