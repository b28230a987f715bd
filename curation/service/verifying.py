"""Verifications that run beside the service: one at a time, asked for its progress."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from manifests.store import Store
from manifests.verify import verify


@dataclass
class Task:
    """One verification."""

    done: int = 0
    total: int = 0
    state: str = "running"
    findings: list[dict[str, Any]] = field(default_factory=list)
    error: str | None = None


class Verifications:
    """Starts a verification where none runs, and tells of the last one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self.last: Task | None = None

    def start(self, *, sample: float) -> Task:
        """Start one, or return the one that runs."""
        with self._lock:
            if self.last is not None and self.last.state == "running":
                return self.last
            task = self.last = Task()
        threading.Thread(target=self._run, args=(task, sample), name="verify", daemon=True).start()
        return task

    def _run(self, task: Task, sample: float) -> None:
        def progress(done: int, total: int) -> None:
            task.done, task.total = done, total

        try:
            verdict = verify(self._store, sample=sample, progress=progress)
            task.findings = [{"kind": str(one.kind), "place": one.place, "text": one.text} for one in verdict.findings]
            task.state = "sound" if verdict.sound else "found"
        except (OSError, ValueError) as error:
            task.state, task.error = "failed", str(error)
