"""Faults at random, for as long as one likes: a driver that is started again whenever it ends works through jobs."""

from __future__ import annotations

import contextlib
import random
import time
from collections import Counter
from pathlib import Path

from manifests.store import Store
from tests.system.faults import Driver, Site, assert_recovered
from tests.system.test_faults import LIMIT, spec_in

_PAUSE = (2.0, 12.0)
_AWAY = (1.0, 20.0)


def soak(site: Site, folder: Path, *, minutes: float, seed: int) -> None:
    """Let two drivers work on one store while faults happen; when it is whole, check it and begin the next one.

    Raises AssertionError on a candidate that is missing or doubled, a damaged shard, an orphan, and where nothing was
    finished at all.
    """
    draw, injected = random.Random(seed), Counter[str]()
    began = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {what}", flush=True)

    site.said = say
    say(f"seed {seed}, {minutes:g} minutes")
    stores, spec = 0, spec_in(folder)
    expected: set[str] | None = None
    while time.monotonic() - began < 60 * minutes or not stores:
        root = f"s3://data/soak-{seed}-{stores}"
        calm = stores == 0
        _worked_through(site, spec, root, draw, injected, calm=calm)
        ids = Store(root).committed_candidates()
        expected = expected or ids
        assert len(expected) == 2 * LIMIT
        assert_recovered(root, expected)
        stores += 1
        say(f"store {stores} is whole: {len(ids)} candidates, each once; every shard verifies; nothing is left over")
    say(f"{stores} stores; injected: {dict(injected.most_common()) or 'nothing'}")
    site.said = lambda _what: None


def _worked_through(
    site: Site, spec: Path, root: str, draw: random.Random, injected: Counter[str], *, calm: bool
) -> None:
    """Run drivers on a store until one ends well with nothing left to do; the first store is left in peace."""
    drivers = [site.start_job(spec, root, LIMIT) for _ in range(1 if calm else 2)]
    while True:
        time.sleep(1 if calm else draw.uniform(*_PAUSE))
        if any(driver.process.poll() == 0 for driver in drivers):
            break
        if not calm:
            injected[_fault(site, drivers, draw)] += 1
        for number, driver in enumerate(drivers):
            if not driver.running and driver.process.returncode != 0:
                site.said(f"driver {number} ended with {driver.process.returncode} and is started again")
                _complain_of_surprises(driver)
                drivers[number] = site.start_job(spec, root, LIMIT)
    for driver in drivers:
        with contextlib.suppress(AssertionError):
            driver.end(300)
    assert site.start_job(spec, root, LIMIT).end(300), "the job run once more finds nothing to do"


def _fault(site: Site, drivers: list[Driver], draw: random.Random) -> str:
    kinds = ["worker", "worker", "driver", "store", "node", "node"]
    kind = draw.choice(kinds)
    if kind == "worker" and not site.kill_worker(draw):
        return "nothing to kill"
    if kind == "driver":
        draw.choice(drivers).kill()
        site.said("a driver was killed")
    if kind == "store":
        site.kill_store()
        time.sleep(draw.uniform(*_AWAY))
        site.start_store()
    if kind == "node":
        if len(site.nodes) > 1 and draw.random() < 0.5:
            site.lose_node(draw.randrange(len(site.nodes)))
        elif len(site.nodes) < 3:
            site.add_node()
        else:
            site.lose_node(draw.randrange(len(site.nodes)))
    return kind


def _complain_of_surprises(driver: Driver) -> None:
    """Raise AssertionError where a job ended by a mistake of its own: a traceback is none of the ends it may have."""
    assert "Traceback" not in driver.text(), driver.text()[-4000:]
