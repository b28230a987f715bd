"""Whether a cluster can give what a job holds, told before the job starts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from curation.spec.model import JobSpec
from curation.spec.stages import StageSpec

Node = Mapping[str, float]
"""What a node has by the names of `ray.nodes()`: CPU, GPU, memory in bytes, and whatever else it was started with."""

_MB = 1024 * 1024
_KEYS = {"CPU": "cpus", "GPU": "gpus", "memory": "memory_mb"}
_TOLERANCE = 1e-6
_OWN = ("node:", "object_store_memory")
_SHOWN = 12


def needs(stage: StageSpec) -> dict[str, float]:
    """Return what one worker of a stage holds, by Ray's names."""
    held = {"CPU": stage.cpus, "GPU": stage.gpus, "memory": float((stage.memory_mb or 0) * _MB), **stage.resources}
    return {kind: amount for kind, amount in held.items() if amount > 0}


def bundles(spec: JobSpec) -> list[dict[str, float]]:
    """Return what each of the job's workers holds, at their fewest: one mapping a worker."""
    return [needs(stage) for stage in spec.pools().values() for _ in range(stage.workers[0])]


def demand(spec: JobSpec) -> tuple[float, float]:
    """Return the CPUs and GPUs that the stages of the candidate graph hold while it runs, at their fewest workers."""
    held = _sum(bundles(spec))
    return held["CPU"], held["GPU"]


def shortage(spec: JobSpec, nodes: Sequence[Node]) -> str | None:
    """Return what the nodes cannot give, and the key of the spec that asks for it; None where the job fits.

    One worker has to fit on one node, and the workers of all stages of the candidate graph, at their fewest, on all
    nodes together. The ingest graph runs before, and by itself.
    """
    for name, stage in {"ingest": spec.stages.ingest, **spec.pools()}.items():
        alone = _alone(name, stage, nodes)
        if alone:
            return alone
    ingest = {"ingest": spec.stages.ingest}
    return _together(spec.pools(), nodes, where="stages.*", who="the workers of all stages together") or _together(
        ingest, nodes, where="stages.ingest", who="its workers"
    )


def _alone(name: str, stage: StageSpec, nodes: Sequence[Node]) -> str | None:
    held = needs(stage)
    for kind, amount in held.items():
        most = max((node.get(kind, 0.0) for node in nodes), default=0.0)
        if amount > most + _TOLERANCE:
            return (
                f"stages.{name}.{_key(kind)}: a worker holds {_said(kind, amount)}, and no node has more than "
                f"{_said(kind, most)}; {_offered(kind, nodes)}"
            )
    if not any(_fits(held, node) for node in nodes):
        said = ", ".join(_said(kind, amount) for kind, amount in held.items())
        return f"stages.{name}: no node has all that a worker holds at once: {said}; lower one of them"
    return None


def _together(stages: Mapping[str, StageSpec], nodes: Sequence[Node], *, where: str, who: str) -> str | None:
    there = _sum(nodes)
    for kind, amount in _sum([held for stage in stages.values() for held in [needs(stage)] * stage.workers[0]]).items():
        if amount > there[kind] + _TOLERANCE:
            return (
                f"{where.removesuffix('.*')}: {who} hold {_said(kind, amount)}, the cluster has "
                f"{_said(kind, there[kind])}; lower {where}.{_key(kind)} or {where}.workers"
            )
    return None


def _fits(held: Mapping[str, float], node: Node) -> bool:
    return all(amount <= node.get(kind, 0.0) + _TOLERANCE for kind, amount in held.items())


def _sum(parts: Sequence[Mapping[str, float]]) -> defaultdict[str, float]:
    total: defaultdict[str, float] = defaultdict(float)
    for part in parts:
        for kind, amount in part.items():
            total[kind] += amount
    return total


def _key(kind: str) -> str:
    return _KEYS.get(kind, f"resources.{kind}")


def _said(kind: str, amount: float) -> str:
    if kind == "memory":
        return f"{amount / _MB:,.0f} MB of memory"
    return f"{amount:g} {kind}s" if kind in ("CPU", "GPU") else f"{amount:g} {kind}"


def _offered(kind: str, nodes: Sequence[Node]) -> str:
    if kind in _KEYS:
        return f"lower it, or add nodes that have {_said(kind, 0).partition(' ')[2]}"
    names = sorted({name for node in nodes for name in node if name not in _KEYS and not name.startswith(_OWN)})
    more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"its nodes offer: {', '.join(names[:_SHOWN])}{more}" if names else "its nodes offer nothing of that kind"
