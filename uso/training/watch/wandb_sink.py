"""Weights & Biases, for those who ask for it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from PIL import Image

from manifests.identities import digest_of
from uso.training.watch.run_file import RunFacts

_PROJECT = "triptych"


def wandb_wanted(environment: Mapping[str, str]) -> bool:
    """Tell whether W&B is asked for, by WANDB_PROJECT or WANDB_MODE, and installed. Without both nothing is sent."""
    asked = bool(environment.get("WANDB_PROJECT") or environment.get("WANDB_MODE"))
    if not asked or environment.get("WANDB_MODE") == "disabled":
        return False
    if find_spec("wandb") is None:
        logging.getLogger(__name__).warning("W&B is asked for, but not installed: pip install wandb")
        return False
    return True


class WandbSink:
    """Sends scalars and pictures to one W&B run, which a resumed run goes on with.

    Values stand over `step` rather than over W&B's own counter, so that steps made again after a crash fall on the same
    places. Neither code nor a diff of the working tree nor the terminal's text is uploaded.
    """

    def __init__(self, out: Path, run: RunFacts, environment: Mapping[str, str]) -> None:
        wandb: Any = import_module("wandb")
        self._wandb = wandb
        name = str(run.facts.get("name", out.name))
        self._run: Any = wandb.init(
            project=environment.get("WANDB_PROJECT") or _PROJECT,
            name=name,
            id=f"{name}-{digest_of([str(out.resolve()), run.starts[0].time])[:12]}",
            resume="allow",
            dir=str(out),
            config=dict(run.facts),
            settings=wandb.Settings(disable_git=True, save_code=False, console="off"),
        )
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def scalars(self, step: int, time: float, values: Mapping[str, float]) -> None:  # noqa: ARG002
        """Send values; W&B notes the time itself."""
        self._run.log({**values, "step": step})

    def image(self, step: int, name: str, picture: Image.Image) -> None:
        """Send a picture."""
        self._run.log({name: self._wandb.Image(picture), "step": step})

    def close(self) -> None:
        """Send what is left."""
        self._run.finish()
