"""A watch over reward learning: the style may rise, but not at the cost of the content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from uso.training.reward.settings import WatchdogSettings

Verdict = Literal["go on", "lower", "stop"]


@dataclass(frozen=True)
class Decision:
    """What is to be done after an observation, what the reward's weight is to be multiplied by, and why."""

    verdict: Verdict
    factor: float
    explanation: str = ""


@dataclass(frozen=True)
class Level:
    """Mean style reward and mean content similarity over a window that ended at a step."""

    step: int
    style: float
    content: float


class Watchdog:
    """Judges a reward by means over windows of observations: of a held-out set, or of training steps.

    It remembers the window with the best content so far, the first one included. When a later window has a higher style
    reward but a content similarity that is lower by more than `content_drop`, the reward is being hacked: the decision
    is to stop, or to lower the weight and look again after a whole new window.
    """

    def __init__(self, settings: WatchdogSettings) -> None:
        self.settings = settings
        self.factor = 1.0
        self._recent: list[Level] = []
        self._best: Level | None = None
        self._last_step: int | None = None

    def observe(self, step: int, style: float, content: float) -> Decision:
        """Take the style reward and the content similarity of a step, and decide.

        Raises ValueError when the step was seen before.
        """
        if self._last_step is not None and step <= self._last_step:
            raise ValueError(f"step {step} was observed after step {self._last_step}; steps must rise")
        self._last_step = step
        self._recent = [*self._recent, Level(step, style, content)][-self.settings.window :]
        if len(self._recent) < self.settings.window:
            return Decision("go on", self.factor)
        now = Level(step, _mean([level.style for level in self._recent]), _mean([one.content for one in self._recent]))
        if self._best is None or now.content > self._best.content:
            self._best = now
        drop = self._best.content - now.content
        if drop <= self.settings.content_drop or now.style <= self._best.style:
            return Decision("go on", self.factor)
        found = (
            f"the style reward rose from {self._best.style:.4f} to {now.style:.4f} between steps {self._best.step} "
            f"and {step}, while content similarity fell from {self._best.content:.4f} to {now.content:.4f}, by more "
            f"than the {self.settings.content_drop:g} that reward.watchdog.content_drop allows (means over "
            f"{self.settings.window} observations): the network is learning to please the scorer"
        )
        if self.settings.action == "stop":
            advice = (
                "Take an earlier checkpoint, and resume it with a smaller reward.weight or reward.margin, a higher "
                "reward.t_end, or reward.watchdog.action: lower"
            )
            return Decision("stop", self.factor, f"Stopped at step {step}: {found}. {advice}.")
        self.factor *= self.settings.factor
        self._recent = []
        return Decision("lower", self.factor, f"Reward weight lowered to {self.factor:g} of its own: {found}.")

    def state(self) -> dict[str, Any]:
        """Return all that it remembers, as plain JSON."""
        return {
            "factor": self.factor,
            "last_step": self._last_step,
            "recent": [[level.step, level.style, level.content] for level in self._recent],
            "best": None if self._best is None else [self._best.step, self._best.style, self._best.content],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` returned; from there on it decides as the other would have."""
        self.factor = state["factor"]
        self._last_step = state["last_step"]
        self._recent = [Level(*level) for level in state["recent"]]
        self._best = None if state["best"] is None else Level(*state["best"])


def _mean(numbers: list[float]) -> float:
    return sum(numbers) / len(numbers)
