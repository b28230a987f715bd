"""Ablations of USO at nano size: curates their data, trains every variant with every seed, measures, writes the tables.

    python benchmarks/ablations jobs/nano/ablations/data.yaml
    python benchmarks/ablations jobs/nano/ablations/method.yaml --out runs/ablations --beside 2

What is done already is kept: the same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import yaml
from page import name_of, page
from training import train_all
from variants import by_retrieval, read_study, trainings

from curation.spec.load import load_spec
from uso.bench.results import read_results

MARK, END = "<!-- tables: {} -->", "<!-- end -->"


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="A study in YAML; `jobs/nano/ablations/` has them.")
    parser.add_argument("--data", type=Path, default=Path("jobs/nano/ablations/store.yaml"), help="Spec of the store.")
    parser.add_argument("--out", type=Path, default=Path("runs/ablations"))
    parser.add_argument("--beside", type=int, default=2, help="Trainings at a time, one thread each.")
    parser.add_argument("--page", type=Path, default=Path("docs/ablations.md"), help="Page whose tables are replaced.")
    given = parser.parse_args()
    study = read_study(given.study)
    triptych, store = Path(sys.executable).with_name("triptych"), given.out / "store"
    limit = ["--limit", str(study.targets)]
    subprocess.run([str(triptych), "curate", "run", str(given.data), "--store", str(store), *limit], check=True)
    planned = trainings(study, given.out, by_retrieval(load_spec(given.data)))
    train_all([training for steps in planned.values() for training in steps], store, triptych, given.beside)
    systems = {name_of(*key): str(steps[-1].out) for key, steps in planned.items()}
    systems_file = given.out / study.name / "systems.yaml"
    systems_file.write_text(yaml.safe_dump(systems, sort_keys=False))
    bench, drawn = given.out / "bench", given.out / study.name / "drawn"
    size = ["--contents", str(study.contents), "--styles", str(study.styles), "--named", "0"]
    subprocess.run(
        [str(triptych), "bench", "build", "nano", *size, "--subject-prompt", "none", "--out", str(bench)], check=True
    )
    sampler = ["--size", "96", "--steps", str(study.sampling_steps), "--shift", "true", "--id-shift", "o"]
    sampler += ["--cfg-scale", "2", "--batch", "16", "--workers", str(given.beside), "--out", str(drawn)]
    subprocess.run([str(triptych), "bench", "run", str(bench), "--systems", str(systems_file), *sampler], check=True)
    tables = page(study, read_results(drawn), f"python benchmarks/ablations {given.study}")
    print(tables)
    mark = MARK.format(study.name)
    before, found, rest = given.page.read_text().partition(mark)
    if found:
        given.page.write_text(f"{before}{mark}\n\n{tables}\n{END}{rest.partition(END)[2]}")
        print(f"Tables of {given.page} replaced; pictures in {drawn / 'report.html'}.")


if __name__ == "__main__":
    main()
