"""A training run from its recipe to its export: set up or resumed, stepped, measured, saved, ended in order."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from filelock import FileLock, Timeout
from torch import Tensor

from uso.training.build import build_objective, with_fresh_text
from uso.training.catalog import Catalog
from uso.training.consumed import RECORD, record_samples
from uso.training.continuity import pinned, require_same, stream_digest
from uso.training.distributed import World
from uso.training.flow_objective import FlowObjective
from uso.training.heldout import HeldoutLoss, heldout_samples
from uso.training.loader import Batch, LoaderSettings, Sample, TripletLoader
from uso.training.objective import Objective
from uso.training.optimizer import Ema
from uso.training.order import Position
from uso.training.outcome import OUTCOME, Ending, Outcome, write_outcome
from uso.training.parallel import whole
from uso.training.recipe import Recipe
from uso.training.recipe_data import catalog_of, heldout_catalog_of, loader_settings_of
from uso.training.reward.watchdog import Watchdog
from uso.training.state import (
    EMA,
    WEIGHTS,
    RunState,
    checkpoints,
    load_optimizer,
    load_state,
    optimizer_tensors,
    save_checkpoint,
)
from uso.training.step import Stepper
from uso.training.stop import StopSignal
from uso.training.style_reward import StyleReward
from uso.training.tally import Tally
from uso.training.versions import versions
from uso.training.watch.jsonl import cut_lines
from uso.training.watch.recorder import Recorder
from uso.training.watch.report import write_report

RECIPE, SKIPPED = "recipe.yaml", "skipped.jsonl"

_MEASURED = 16
"""Samples that an export may measure on where no pictures are drawn."""


class RunBusyError(ValueError):
    """Another process is training in the run's folder."""


@dataclass(frozen=True)
class Progress:
    """Where a run stands, for whoever shows it."""

    step: int
    steps: int
    values: Mapping[str, float]


def train(
    recipe: Recipe,
    out: Path,
    world: World,
    *,
    resume: Path | None = None,
    show: Callable[[Progress], None] | None = None,
) -> Outcome:
    """Train until the recipe's last step; every process of the run calls this.

    `resume` is a checkpoint to go on from; the run then ends with the weights, to the bit, that it would have had
    without the interruption. Raises ValueError on a recipe, data or checkpoint that do not fit together, before
    anything is trained.
    """
    if recipe.parallel.threads is not None:
        torch.set_num_threads(recipe.parallel.threads)
    with StopSignal() as stop, _alone(out, world):
        run = Run(recipe, out, world, resume, show)
        try:
            return run.go(stop)
        finally:
            run.close()


@contextmanager
def _alone(out: Path, world: World) -> Iterator[None]:
    """Hold the run's folder for this run, on its first process; the lock falls with the process, however that ends.

    Raises RunBusyError on all processes where another run holds it.
    """
    lock = FileLock(out / ".lock")
    held = True
    if world.leads:
        out.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            held = False
    if world.any(not held):
        raise RunBusyError(
            f"--out {out}: another process is training there; wait for it to end, or name another folder"
        )
    try:
        yield
    finally:
        lock.release()


def newest_checkpoint(out: Path) -> Path | None:
    """Return the newest whole checkpoint of a run."""
    found = checkpoints(out)
    return found[-1][1] if found else None


class Run:
    """The parts of a run on one process, put together and, on resumption, put where they were."""

    def __init__(
        self,
        recipe: Recipe,
        out: Path,
        world: World,
        resume: Path | None,
        show: Callable[[Progress], None] | None,
    ) -> None:
        state = load_state(resume) if resume is not None else None
        if state is not None:
            recipe = pinned(recipe, state.data)
        if world.size > recipe.batch.size:
            raise ValueError(f"batch.size: {recipe.batch.size} samples cannot be shared by {world.size} processes")
        self.out = out
        self.world = world
        self._show = show
        self.catalog = catalog_of(recipe, "train")
        self.stream = stream_digest(recipe, self.catalog)
        if state is not None:
            require_same(recipe, self.stream, state)
        self.asked = recipe
        recipe = with_fresh_text(recipe, out, world)
        self.recipe = recipe
        self.objective = build_objective(recipe, world)
        mean: dict[str, Tensor] | None = None
        if resume is not None:
            if recipe.ema is not None:
                self.objective.read(resume / EMA)
                mean = {name: parameter.detach().clone() for name, parameter in self.objective.parameters.items()}
            self.objective.read(resume / WEIGHTS)
        self.objective.parallelise(world)
        self.reward = _reward(recipe, self.objective, world, self.catalog)
        self.watchdog = _watchdog(recipe)
        self.stepper = Stepper(recipe, self.objective, world, self.reward)
        self.ema = Ema(self.objective.parameters, recipe.ema) if recipe.ema is not None else None
        if self.ema is not None and mean is not None:
            self.ema.load(mean)
        self.step = 0
        self.position = Position()
        if resume is not None and state is not None:
            self.step, self.position = state.step, state.position
            load_optimizer(resume, self.stepper.optimizer, self.objective.parameters)
            if self.watchdog is not None and state.watchdog:
                self.watchdog.restore(state.watchdog)
        settings = loader_settings_of(recipe)
        lookup = self.objective.lookup
        self.loader = TripletLoader(
            self.catalog, settings, rank=world.rank, world=world.size, lookup=lookup, always=self.objective.always_read
        )
        self._heldout_loss, self._rewarded, self._shown = self._heldout(settings)
        self.recorder: Recorder | None = None
        if world.leads:
            self._write_record(resumed=resume is not None)
            self.recorder = Recorder(out, self._facts(), self.step if resume is not None else None)
        world.barrier()

    def go(self, stop: StopSignal) -> Outcome:
        """Take steps until the last one, or until asked to stop."""
        recipe, watch = self.recipe, self.recipe.watch
        halved = recipe.parallel.halves(self.world.device) or recipe.model.dtype == "bfloat16"
        tally = Tally(self.world, self.objective, torch.bfloat16 if halved else torch.float32)
        if self.step == 0:
            self._measure()
        batches = self.loader.batches(self.position)
        saved = self.step
        ending: Ending = "finished"
        reason = ""
        while self.step < recipe.steps:
            before = time.perf_counter()
            batch = next(batches)
            waited = time.perf_counter() - before
            self._note_damaged(batch)
            examples = self.objective.prepare(batch.samples)
            stats = self.stepper.step(self.step, examples, batch.places, self._size(batch))
            if self.ema is not None:
                self.ema.update(self.step)
            self.step += 1
            self.position = batch.following
            tally.add(stats, examples, batch.size, waited, time.perf_counter() - before)
            if self.step % watch.every == 0 or self.step == recipe.steps:
                self._record(tally.take() | {"train/epoch": float(self.position.epoch)})
            reason = self._measure()
            if reason:
                ending = "stopped"
                break
            if self.step % recipe.checkpoints.every == 0 and self.step < recipe.steps:
                self.save()
                saved = self.step
            if self.world.any(stop.asked):
                ending = "interrupted"
                break
        if saved != self.step or not checkpoints(self.out):
            self.save()
        if ending != "finished":
            return self._ended(Outcome(ending, self.step, reason=reason))
        return self._ended(Outcome(ending, self.step, self._export()))

    def save(self) -> Path:
        """Write a checkpoint of the run as it stands; every rank must ask, the first one writes."""
        weights = self._whole(self.objective.parameters)
        ema = self._whole(self.ema.weights) if self.ema is not None else None
        optimizer = optimizer_tensors(self.stepper.optimizer, self.objective.parameters)
        path = self.out / "checkpoints"
        if self.world.leads:
            state = RunState(
                step=self.step,
                position=self.position,
                stream=self.stream,
                recipe=self.asked.model_dump(mode="json"),
                data=[source.described() for source in self.catalog.sources],
                versions=versions(),
                watchdog=self.watchdog.state() if self.watchdog is not None else {},
            )
            keep = self.recipe.checkpoints.keep
            path = save_checkpoint(self.out, state, self.objective.write, weights, ema, optimizer, keep)
        self.world.barrier()
        return path

    def close(self) -> None:
        """Close what is open, and write the report as things stand."""
        if self.recorder is not None:
            self.recorder.close()
            write_report(self.out)

    def _whole(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: whole(tensor).cpu() for name, tensor in tensors.items()}

    def _size(self, batch: Batch) -> int:
        """Return how many samples of the global batch are really there."""
        if self.recipe.data.on_error == "raise":
            return batch.size
        return max(1, round(self.world.sum([float(len(batch.samples))])[0]))

    def _heldout(self, settings: LoaderSettings) -> tuple[HeldoutLoss | None, list[Sample], list[Sample]]:
        """Return the held-out loss, samples to reward, samples to draw: of held-out subjects where there are any."""
        watch, catalog = self.recipe.watch, heldout_catalog_of(self.recipe)
        loss, rewarded, sharded = None, [], self.recipe.parallel.shards(self.world.size)
        if watch.heldout is not None and catalog is not None:
            spec = watch.heldout
            samples = heldout_samples(catalog, spec.samples, settings, self.world, self.objective.lookup)
            loss = HeldoutLoss(
                self.objective, samples, spec.times, self.recipe.batch.micro, self.world, sharded=sharded
            )
            if self.reward is not None:
                rewarded = heldout_samples(catalog, spec.samples, settings, self.world)
        count = watch.grids.samples if watch.grids is not None else _MEASURED
        shown = heldout_samples(catalog or self.catalog, count, settings, World(device=self.world.device))
        return loss, rewarded, shown

    def _measure(self) -> str:
        """Measure held-out samples and draw some where the recipe asks for it at this step, with the running mean.

        Returns why the watch-dog wants the run to stop, if it does.
        """
        watch, last = self.recipe.watch, self.step == self.recipe.steps
        due = [spec is not None and (last or self.step % spec.every == 0) for spec in (watch.heldout, watch.grids)]
        values: dict[str, float] = {}
        with self.ema.in_place() if self.ema is not None and any(due) else nullcontext():
            if due[0] and self._heldout_loss is not None:
                values = self._heldout_loss.measure()
                if self.reward is not None and (last or self.step >= self.reward.settings.start):
                    values |= self.reward.measure(self._rewarded)
                self._record(values)
            # Weights in shards are gathered by all ranks; whole ones the first rank has too.
            draws = self.world.leads or self.recipe.parallel.shards(self.world.size)
            if due[1] and watch.grids is not None and self.step and draws:
                picture = self.objective.draw(self._shown, watch.grids)
                if self.recorder is not None:
                    self.recorder.image(self.step, "heldout", picture)
        if self.recorder is not None and any(due):
            write_report(self.out)
        return self._judge(values)

    def _judge(self, values: Mapping[str, float]) -> str:
        if self.watchdog is None or self.reward is None or "reward/style" not in values:
            return ""
        decision = self.watchdog.observe(self.step, values["reward/style"], values["reward/content"])
        self.reward.factor = self.watchdog.factor
        return decision.explanation if decision.verdict == "stop" else ""

    def _record(self, values: Mapping[str, float]) -> None:
        if self.recorder is not None:
            self.recorder.scalars(self.step, values)
        if self._show is not None and self.world.leads:
            self._show(Progress(self.step, self.recipe.steps, values))

    def _export(self) -> tuple[Path, ...]:
        weights = self._whole(self.ema.weights if self.ema is not None else self.objective.parameters)
        written: list[Path] = []
        if self.world.leads:
            written = self.objective.export(self.out, weights, self._shown)
        self.world.barrier()
        return tuple(written)

    def _ended(self, outcome: Outcome) -> Outcome:
        if self.world.leads:
            write_outcome(self.out, outcome)
        return outcome

    def _note_damaged(self, batch: Batch) -> None:
        if batch.damaged:
            lines = [
                json.dumps(
                    {"step": self.step + 1, "rank": self.world.rank, "sample": error.sample, "fault": error.fault}
                )
                for error in batch.damaged
            ]
            with (self.out / SKIPPED).open("a") as file:
                file.write("".join(f"{line}\n" for line in lines))

    def _write_record(self, *, resumed: bool) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        (self.out / OUTCOME).unlink(missing_ok=True)
        (self.out / RECIPE).write_text(yaml.safe_dump(self.asked.model_dump(mode="json"), sort_keys=False))
        cut_lines(self.out / SKIPPED, self.step if resumed else None)
        if not resumed:
            record_samples(self.catalog, self.loader.order, self.out / RECORD)

    def _facts(self) -> dict[str, object]:
        return {
            "name": self.recipe.name,
            "recipe": self.asked.model_dump(mode="json"),
            "data": [source.described() for source in self.catalog.sources],
            "samples": len(self.catalog),
            "trained_parameters": sum(parameter.numel() for parameter in self.objective.parameters.values()),
            "processes": self.world.size,
            "device": str(self.world.device),
            "versions": versions(),
        }


def _reward(recipe: Recipe, objective: Objective, world: World, catalog: Catalog) -> StyleReward | None:
    if recipe.reward is None or not isinstance(objective, FlowObjective):
        return None
    return StyleReward(recipe.reward, objective, world, {bucket.target for bucket in catalog.buckets})


def _watchdog(recipe: Recipe) -> Watchdog | None:
    if recipe.reward is None or recipe.reward.watchdog is None:
        return None
    return Watchdog(recipe.reward.watchdog)
