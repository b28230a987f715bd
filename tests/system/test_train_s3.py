"""Training from a store on a real S3 server: the same weights as from a folder."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.system.seaweed import Seaweed, running_seaweed
from tests.uso.conftest import build_pipeline
from tests.uso.training.conftest import tiny_file
from tests.uso.training.stores import make_store
from uso.training.chain import Order, run_order
from uso.training.distributed import World


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    with running_seaweed(tmp_path_factory.mktemp("weed")) as running:
        yield running


def test_a_store_on_s3_trains_the_same_weights_as_a_local_one(
    server: Seaweed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(tmp_path / "store", 20)
    server.client().create_bucket(Bucket="train")
    server.upload(store.root, "train", "curated")
    recipe = tiny_file(tmp_path, build_pipeline(tmp_path / "pipeline"))
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    for name, root in (("local", str(store.root)), ("s3", "s3://train/curated")):
        assert run_order(Order(recipe, tmp_path / name, (root,)), World()).ending == "finished"
    ours, theirs = (load_file(tmp_path / name / "dit_lora.safetensors") for name in ("local", "s3"))
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    recorded = (tmp_path / "s3/run.json").read_text() + (tmp_path / "s3/report.html").read_text()
    assert "s3://train/curated" in recorded
    assert all(value not in recorded for name, value in server.environment().items() if "SECRET" in name)


def test_a_server_that_goes_away_stops_the_run_and_blames_no_sample(
    server: Seaweed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from uso.training.loader import LoaderSettings, TripletLoader
    from uso.training.sources import Shapes, StoreSource, resolve

    store = make_store(tmp_path / "store", 20)
    server.client().create_bucket(Bucket="away")
    server.upload(store.root, "away", "curated")
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    catalog = resolve([StoreSource("s3://away/curated")], Shapes(64, 64))
    batches = TripletLoader(catalog, LoaderSettings(batch=2, ahead=1, on_error="skip")).batches()
    next(batches)
    server.process.kill()
    server.process.wait()
    with pytest.raises(OSError, match="s3://away/curated"):
        list(islice(batches, 20))
