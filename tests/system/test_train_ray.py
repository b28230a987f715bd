"""Training on a real Ray: two workers of Ray Train make what one process makes."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from curation.training import RayWorkers, train_on_ray
from tests.uso.conftest import build_pipeline
from tests.uso.training.conftest import tiny_file
from tests.uso.training.stores import make_store
from uso.training.chain import Order, run_order
from uso.training.distributed import World


@pytest.fixture(scope="module")
def order(tmp_path_factory: pytest.TempPathFactory) -> Order:
    folder = tmp_path_factory.mktemp("ray-train")
    store = make_store(folder / "store", 20)
    return Order(tiny_file(folder, build_pipeline(folder / "pipeline")), folder / "ray", (str(store.root),))


def test_two_workers_train_what_one_process_trains(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    outcome = train_on_ray(order, RayWorkers(2))
    assert outcome.ending == "finished"
    assert outcome.step == 4
    alone = Order(order.recipe, order.out.parent / "alone", order.stores)
    run_order(alone, World())
    ours, theirs = (load_file(out / "dit_lora.safetensors") for out in (order.out, alone.out))
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], atol=2e-5, rtol=2e-3)


def test_what_fails_on_a_worker_is_told(order: Order) -> None:
    broken = Order(order.recipe, order.out.parent / "broken", order.stores, ("batch.size=1",))
    with pytest.raises(RuntimeError, match=r"batch\.size"):
        train_on_ray(broken, RayWorkers(2))
