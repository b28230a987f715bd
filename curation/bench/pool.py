"""Actors that each keep something loaded and are handed work one piece at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

Piece = TypeVar("Piece")
Done = TypeVar("Done")

_RETRIES = 3
_AHEAD = 2
"""Pieces that an actor has in hand, so that it never waits for the driver."""


class Pool(Generic[Piece, Done]):
    """A fixed number of actors on Ray, each of which calls `make` once, and what it returns for every piece.

    An actor that dies is started again, and its pieces are handed out again.

    An exception in either is raised where results are taken, with its own type and message. Leaving the context ends
    the actors. Raises ValueError where the cluster has not what they ask for.
    """

    def __init__(self, make: Callable[[], Callable[[Piece], Done]], *, workers: int, cpus: float, gpus: float) -> None:
        import ray

        class Actor:
            """Keeps what `make` returned; made at the first piece, so that its errors come as a piece's do."""

            def __init__(self) -> None:
                self._work: Callable[[Piece], Done] | None = None

            def run(self, piece: Piece) -> Done:
                self._work = self._work or make()
                return self._work(piece)

        _check_fits(workers, cpus, gpus, ray.cluster_resources())
        remote: Any = ray.remote(num_cpus=cpus, num_gpus=gpus, max_restarts=_RETRIES, max_task_retries=_RETRIES)(Actor)
        self._actors: list[Any] = [remote.remote() for _ in range(workers)]

    def __enter__(self) -> Pool[Piece, Done]:
        return self

    def __exit__(self, *_: object) -> None:
        import ray

        for actor in self._actors:
            ray.kill(actor)

    def map(self, pieces: Iterable[Piece]) -> Iterator[Done]:
        """Yield what became of each piece, as it is done and in no order."""
        import ray
        from ray.exceptions import RayTaskError

        waiting = iter(pieces)
        running: dict[Any, Any] = {}

        def feed(actor: Any) -> None:
            for piece in waiting:
                running[actor.run.remote(piece)] = actor
                return

        for _ in range(_AHEAD):
            for actor in self._actors:
                feed(actor)
        while running:
            (reference, *_), _ = ray.wait(list(running), num_returns=1)
            actor = running.pop(reference)
            feed(actor)
            try:
                yield ray.get(reference)
            except RayTaskError as error:
                raise (error.cause or error) from None


def _check_fits(workers: int, cpus: float, gpus: float, there: dict[str, float]) -> None:
    for kind, each in (("CPU", cpus), ("GPU", gpus)):
        has = there.get(kind, 0.0)
        if workers * each > has + 1e-9:
            raise ValueError(
                f"{workers} workers with {each:g} {kind}s each are asked for, the cluster has {has:g}; "
                f"lower --workers or --{kind.lower()}s"
            )
