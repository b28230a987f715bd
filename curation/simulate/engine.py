"""A discrete-event model of the candidate graph on Ray Data.

Modelled, as in `curation.graph.streaming` and Ray Data 2.60: tasks of a fixed number of rows that leave each stage in
order; pools of workers between two bounds, each with one task running and one waiting; cores that the stages without a
GPU share, once more of their workers work than there are cores; a driver that hands out one task after the other;
queues that hold back the stage before them when the object store would fill; the start of workers and of their models;
nodes that are lost with what runs on them, and replaced.

Not modelled: the network, other jobs on the machines, workers that Ray takes away again when there is little to do,
finished rows that a lost node still held.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from curation.simulate.model import StageModel, Work, placed
from curation.simulate.outcome import Outcome, StageOutcome
from curation.simulate.timeline import Timeline

_IN_FLIGHT = 2
"""Tasks that a worker has at most: one that runs, one that waits (Ray Data's default)."""

_SCALE_UP = 1.75
"""Tasks in flight for each worker from which a pool grows (Ray Data's default)."""

_QUEUE_SHARE = 0.5
"""Share of the object store that rows between stages may fill."""

_FINISH, _READY, _LOSS = 0, 1, 2
_EVERY = 4096


@dataclass(slots=True, eq=False)
class _Worker:
    stage: int
    node: int
    task: int = -1
    started: float = 0.0
    there: bool = False
    since: float = 0.0
    life: int = 0


@dataclass(slots=True)
class _State:
    model: StageModel
    task: int
    tasks: int
    inputs: int
    """Tasks of the stage before that make one of this."""
    queue: float
    """Rows that may wait behind this stage before it is held back."""
    workers: list[_Worker] = field(default_factory=list)
    idle: list[_Worker] = field(default_factory=list)
    waiting: deque[tuple[float, int]] = field(default_factory=deque)
    again: list[int] = field(default_factory=list)
    ahead: set[int] = field(default_factory=set)
    taken: int = 0
    released: int = 0
    flying: int = 0
    there: int = 0
    coming: int = 0
    repeated: int = 0
    busy: float = 0.0
    present: float = 0.0


def simulate(work: Work, progress: Callable[[int, int], None] = lambda _done, _total: None) -> Outcome:
    """Return what comes of running `work`; `progress` is told the rows packed and the rows of all, now and then.

    Raises DoesNotFitError where the machines are too small for the fewest workers.
    """
    return _Run(work, progress).outcome()


class _Run:
    def __init__(self, work: Work, progress: Callable[[int, int], None]) -> None:
        self._work = work
        self._progress = progress
        self._rng = random.Random(work.seed)
        self._places, nodes = placed(work)
        store = work.machines.nodes * work.machines.object_store_gb * 1e9 * _QUEUE_SHARE
        queue = store / work.row_bytes / len(work.stages)
        self._stages: list[_State] = []
        earlier = 1
        for place, model in enumerate(work.stages):
            task = work.task_rows(model.name)
            following = work.stages[min(place + 1, len(work.stages) - 1)].name
            least = 2.0 * max(task, work.task_rows(following))
            inputs = task // earlier if place else 1
            self._stages.append(_State(model, task, -(-work.rows // task), inputs, max(queue, least)))
            earlier = task
        self._events: list[tuple[float, int, int, object, int]] = []
        self._number = 0
        self._now = work.overheads.begin
        self._driver_free = self._now
        self._driver_busy = 0.0
        self._first_shard = 0.0
        self._losses = 0
        self._cores = work.machines.nodes * work.machines.cpus
        self._on_cores = 0
        self._timeline = Timeline(2 * len(work.stages))
        for place, held in enumerate(nodes):
            for node in held:
                self._launch(place, node, self._now)
        if work.machines.losses_per_hour > 0:
            for node in range(work.machines.nodes):
                self._expect_loss(node)

    def outcome(self) -> Outcome:
        """Run until the last shard is packed."""
        last = self._stages[-1]
        handled = 0
        while last.released < last.tasks:
            self._now, _, kind, subject, life = heapq.heappop(self._events)
            if kind == _LOSS:
                self._lose(life)
            elif isinstance(subject, _Worker) and subject.life == life:
                if kind == _FINISH:
                    self._finish(subject)
                else:
                    self._ready(subject)
            handled += 1
            if handled % _EVERY == 0:
                self._progress(min(last.released * last.task, self._work.rows), self._work.rows)
        for place, stage in enumerate(self._stages):
            for worker in stage.workers:
                self._leave(place, worker)
        self._progress(self._work.rows, self._work.rows)
        return Outcome(
            self._work,
            self._now,
            self._first_shard,
            tuple(self._stage_outcome(stage) for stage in self._stages),
            min(1.0, self._driver_busy / max(1e-9, self._now - self._work.overheads.begin)),
            self._losses,
            self._timeline,
        )

    def _stage_outcome(self, stage: _State) -> StageOutcome:
        return StageOutcome(
            name=stage.model.name,
            workers=len(stage.workers),
            task_rows=stage.task,
            tasks=stage.tasks,
            repeated=stage.repeated,
            busy_seconds=stage.busy,
            worker_seconds=stage.present,
            gpu=stage.model.resources.gpus > 0,
        )

    def _at(self, time: float, kind: int, subject: object, life: int) -> None:
        self._number += 1
        heapq.heappush(self._events, (time, self._number, kind, subject, life))

    def _launch(self, place: int, node: int, when: float) -> None:
        stage = self._stages[place]
        worker = _Worker(place, node)
        stage.workers.append(worker)
        stage.coming += 1
        self._at(when + self._start_seconds(stage), _READY, worker, worker.life)

    def _start_seconds(self, stage: _State) -> float:
        return self._work.overheads.launch + stage.model.pace.start

    def _ready(self, worker: _Worker) -> None:
        stage = self._stages[worker.stage]
        worker.there, worker.since = True, self._now
        stage.there += 1
        stage.coming -= 1
        self._next(stage, worker)
        self._fill_from(worker.stage)

    def _finish(self, worker: _Worker) -> None:
        place, stage = worker.stage, self._stages[worker.stage]
        stage.busy += self._now - worker.started
        self._timeline.add(2 * place, worker.started, self._now)
        self._on_cores -= stage.model.resources.gpus == 0
        task, worker.task = worker.task, -1
        stage.flying -= 1
        if task == stage.released:
            stage.released += 1
            while stage.released in stage.ahead:
                stage.ahead.remove(stage.released)
                stage.released += 1
        else:
            stage.ahead.add(task)
        if place == len(self._stages) - 1 and not self._first_shard:
            self._first_shard = self._now
        self._next(stage, worker)
        if place + 1 < len(self._stages):
            self._fill(place + 1)
        self._fill_from(place)

    def _fill_from(self, place: int) -> None:
        """Hand out tasks of a stage, and of those before it as far as that makes room for them."""
        self._fill(place)
        while place > 0:
            place -= 1
            if not self._fill(place):
                return

    def _fill(self, place: int) -> bool:
        """Hand out tasks of a stage as far as there are tasks, room behind it, and workers."""
        stage = self._stages[place]
        some = False
        while stage.flying < _IN_FLIGHT * stage.there:
            if stage.again:
                task = heapq.heappop(stage.again)
            elif self._has_task(place) and self._has_room(place):
                task = stage.taken
                stage.taken += 1
            else:
                return some
            some = True
            stage.flying += 1
            self._driver_free = max(self._now, self._driver_free) + self._work.overheads.dispatch
            self._driver_busy += self._work.overheads.dispatch
            if stage.idle:
                self._start(stage, stage.idle.pop(), task, self._driver_free)
            else:
                stage.waiting.append((self._driver_free, task))
        if stage.there and stage.coming == 0 and stage.flying >= _SCALE_UP * stage.there and self._has_task(place):
            self._grow(place)
        return some

    def _has_task(self, place: int) -> bool:
        stage = self._stages[place]
        if stage.taken >= stage.tasks or place == 0:
            return stage.taken < stage.tasks
        before = self._stages[place - 1]
        return before.released == before.tasks or (stage.taken + 1) * stage.inputs <= before.released

    def _has_room(self, place: int) -> bool:
        if place + 1 == len(self._stages):
            return True
        stage, after = self._stages[place], self._stages[place + 1]
        return stage.taken * stage.task - after.taken * after.task < stage.queue

    def _grow(self, place: int) -> None:
        stage = self._stages[place]
        most = stage.model.resources.workers[1]
        more = max(1, math.ceil(stage.there * (_IN_FLIGHT / _SCALE_UP - 1)))
        for _ in range(min(more, most - len(stage.workers))):
            node = self._places.take(stage.model.resources)
            if node is None:
                return
            self._launch(place, node, self._now)

    def _next(self, stage: _State, worker: _Worker) -> None:
        if stage.waiting:
            ready, task = stage.waiting.popleft()
            self._start(stage, worker, task, max(self._now, ready))
        else:
            stage.idle.append(worker)

    def _start(self, stage: _State, worker: _Worker, task: int, when: float) -> None:
        rows = min(stage.task, self._work.rows - task * stage.task)
        seconds = self._work.task_seconds(stage.model, rows)
        if self._work.spread:
            seconds *= max(0.0, self._rng.gauss(1.0, self._work.spread))
        if stage.model.resources.gpus == 0:
            self._on_cores += 1
            seconds *= max(1.0, self._on_cores / self._cores)
        worker.task, worker.started = task, when
        self._at(when + seconds, _FINISH, worker, worker.life)

    def _expect_loss(self, node: int) -> None:
        wait = self._rng.expovariate(self._work.machines.losses_per_hour / 3600)
        self._at(self._now + wait, _LOSS, None, node)

    def _lose(self, node: int) -> None:
        """Take a node away: what ran on it is done again; its workers start again on its replacement."""
        self._losses += 1
        for place, stage in enumerate(self._stages):
            for worker in [one for one in stage.workers if one.node == node]:
                if worker.there:
                    self._leave(place, worker)
                    stage.there -= 1
                    stage.coming += 1
                if worker in stage.idle:
                    stage.idle.remove(worker)
                if worker.task >= 0:
                    heapq.heappush(stage.again, worker.task)
                    stage.flying -= 1
                    stage.repeated += 1
                    self._on_cores -= stage.model.resources.gpus == 0
                    worker.task = -1
                worker.life += 1
                worker.there = False
                again = self._now + self._work.machines.replace_seconds + self._start_seconds(stage)
                self._at(again, _READY, worker, worker.life)
        for place in range(len(self._stages)):
            self._fill(place)
        self._expect_loss(node)

    def _leave(self, place: int, worker: _Worker) -> None:
        """Account for the time in which a worker was there."""
        stage = self._stages[place]
        if worker.there:
            stage.present += self._now - worker.since
            self._timeline.add(2 * place + 1, worker.since, self._now)
        if worker.task >= 0 and worker.started < self._now:
            stage.busy += self._now - worker.started
            self._timeline.add(2 * place, worker.started, self._now)
