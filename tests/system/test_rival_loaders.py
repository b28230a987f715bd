"""A run that goes on with other ranks and workers: the same global batches as without the break, and who else keeps it.

Every library is used as its documents advise for that (`benchmarks/loaders`). What is asserted of the others is what
was observed with the versions in `benchmarks/loaders/requirements.txt`; when one of them comes to do better, its test
fails, and what we say of ourselves has to be said anew.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

from loaders.convert import convert
from loaders.elastic import Leg, Verdict, chains, judge, stream

from tests.uso.training.stores import make_store

SAMPLES, BATCH, STOP, TOTAL = 250, 12, 7, 50
EPOCH = SAMPLES // BATCH
CHAINS = chains(TOTAL, STOP)
MODULES = {
    "webdataset": "webdataset",
    "wids": "wids",
    "mosaicml-streaming": "streaming",
    "litdata": "litdata",
    "megatron-energon": "megatron.energon",
}

Judge = Callable[[str, str], Verdict]


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    """Return what judges a library on a chain of legs, over 250 samples in ten shards."""
    folder = tmp_path_factory.mktemp("rivals")
    store = make_store(folder / "store", SAMPLES, shard=25).root

    @cache
    def whole(name: str) -> tuple[Path, list[list[str]]]:
        data = convert(name, store, folder, chunk_bytes=1 << 19)
        return data, stream(name, data, store, [Leg(1, 2, TOTAL)], folder, BATCH)

    def judged(name: str, chain: str) -> Verdict:
        if name in MODULES and not _installed(MODULES[name]):
            pytest.skip(f"{name} is not installed; see benchmarks/loaders/requirements.txt")
        data, batches = whole(name)
        return judge(name, data, store, CHAINS[chain], batches, SAMPLES, folder)

    return judged


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.parametrize("chain", list(CHAINS))
def test_ours_gives_the_same_batches_after_any_change_of_ranks_and_workers(verdict: Judge, chain: str) -> None:
    found = verdict("ours", chain)
    assert found.exact, found
    assert found.compared == TOTAL - STOP > EPOCH  # over the end of an epoch
    assert found.repeated == 0


@pytest.mark.parametrize("chain", ["1 x 2 -> 2 x 1", "1 x 2 -> 2 x 2", "1 x 2 -> 2 x 1 -> 1 x 3"])
def test_mosaicml_streaming_is_exact_while_the_ranks_divide_batch_and_epoch(verdict: Judge, chain: str) -> None:
    found = verdict("mosaicml-streaming", chain)
    assert found.exact, found


def test_mosaicml_streaming_has_another_epoch_with_ranks_that_do_not_divide_it(verdict: Judge) -> None:
    """Three ranks fill 250 samples up to 252, with samples that come twice: one more batch than one rank makes."""
    found = verdict("mosaicml-streaming", "1 x 2 -> 3 x 1")
    assert found.first_other == EPOCH, found


def test_megatron_energon_is_exact_while_ranks_times_workers_stay(verdict: Judge) -> None:
    found = verdict("megatron-energon", "1 x 2 -> 2 x 1")
    assert found.exact, found


def test_megatron_energon_takes_no_other_number_of_workers(verdict: Judge) -> None:
    assert verdict("megatron-energon", "1 x 2 -> 2 x 2").refusal


def test_litdata_keeps_the_epoch_but_not_the_next_one(verdict: Judge) -> None:
    found = verdict("litdata", "1 x 2 -> 2 x 1")
    assert found.first_other is not None, found
    assert STOP < found.first_other <= EPOCH, found


@pytest.mark.parametrize("name", ["webdataset", "wids"])
def test_a_loader_that_gives_each_rank_its_own_part_shuffles_anew(verdict: Judge, name: str) -> None:
    found = verdict(name, "1 x 2 -> 2 x 1")
    assert found.same < found.compared, found
    assert found.first_other == STOP, found
