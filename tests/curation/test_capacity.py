"""A job that a cluster has no room for is told so by the key of the spec that asks for too much."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.capacity import bundles, demand, shortage
from curation.spec.model import JobSpec
from curation.spec.stages import StagesSpec

GB = 1024**3
CPU_NODE = {"CPU": 8.0, "memory": 16.0 * GB, "object_store_memory": 4.0 * GB, "node:192.0.2.7": 1.0}
GPU_NODE = {**CPU_NODE, "GPU": 2.0, "accelerator_type:A100": 1.0}


def job(**stages: Any) -> JobSpec:
    return JobSpec.model_validate({"name": "small", "sources": [{"kind": "iconify"}], "stages": stages})


def test_a_job_that_fits_lacks_nothing() -> None:
    spec = job(destylize={"gpus": 0.5, "workers": [4, 8], "resources": {"accelerator_type:A100": 0.01}})
    assert shortage(spec, [CPU_NODE, GPU_NODE]) is None
    assert demand(spec) == (0.25 * 8, 2.0)


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ({"score": {"cpus": 64}}, ["stages.score.cpus: a worker holds 64 CPUs", "more than 8 CPUs"]),
        ({"destylize": {"gpus": 4}}, ["stages.destylize.gpus", "more than 2 GPUs"]),
        ({"score": {"memory_mb": 20_000}}, ["stages.score.memory_mb", "20,000 MB of memory", "16,384 MB"]),
        (
            {"destylize": {"resources": {"accelerator_type:H100": 0.01}}},
            ["stages.destylize.resources.accelerator_type:H100", "its nodes offer: accelerator_type:A100"],
        ),
        (
            {"destylize": {"gpus": 1, "workers": [3, 3]}},
            ["stages: ", "3 GPUs, the cluster has 2 GPUs", "stages.*.gpus"],
        ),
        ({"score": {"cpus": 6, "workers": [3, 3]}}, ["stages.*.cpus", "stages.*.workers"]),
        ({"ingest": {"cpus": 6, "workers": [3, 3]}}, ["stages.ingest: its workers", "18 CPUs", "stages.ingest.cpus"]),
        ({"score": {"memory_mb": 9000, "workers": [4, 4]}}, ["36,000 MB of memory", "stages.*.memory_mb"]),
    ],
)
def test_what_is_lacking_is_named_with_the_key_that_asks_for_it(stages: dict[str, Any], said: list[str]) -> None:
    lacking = shortage(job(**stages), [CPU_NODE, GPU_NODE])
    assert lacking is not None
    for part in said:
        assert part in lacking


def test_a_worker_needs_all_that_it_holds_on_one_node() -> None:
    nodes = [{**CPU_NODE, "GPU": 1.0}, {**CPU_NODE, "disk": 1.0}]
    lacking = shortage(job(score={"gpus": 1, "resources": {"disk": 1}}), nodes)
    assert lacking is not None
    assert lacking.startswith("stages.score: no node has all that a worker holds at once")


STAGE = st.fixed_dictionaries(
    {"cpus": st.sampled_from([0.1, 0.25, 1, 3])},
    optional={
        "gpus": st.sampled_from([0.25, 0.5, 1, 2]),
        "memory_mb": st.integers(1, 4096),
        "resources": st.dictionaries(st.sampled_from(["disk", "accelerator_type:A100"]), st.sampled_from([0.01, 1])),
        "workers": st.integers(1, 4).map(lambda most: [most, most]),
    },
)
STAGES = st.dictionaries(st.sampled_from(sorted(set(StagesSpec.model_fields) - {"caption", "judge"})), STAGE)
NODE = st.fixed_dictionaries(
    {"CPU": st.integers(0, 8).map(float)},
    optional={"GPU": st.integers(0, 4).map(float), "memory": st.floats(0, 8 * GB), "disk": st.just(2.0)},
)


@given(STAGES, st.lists(NODE, max_size=4))
def test_a_node_as_large_as_all_workers_always_has_room_and_more_nodes_never_leave_less(
    stages: dict[str, Any], nodes: list[dict[str, float]]
) -> None:
    spec = job(**stages)
    large = dict.fromkeys(("CPU", "GPU", "memory", "disk", "accelerator_type:A100"), 1e12)
    assert shortage(spec, [*nodes, large]) is None
    if shortage(spec, nodes) is None:
        assert shortage(spec, [*nodes, CPU_NODE]) is None
        assert len(bundles(spec)) == sum(stage.workers[0] for stage in spec.pools().values())
