"""Audits at scale: a generated store of any number of candidates, and how long each question takes beside plain DuckDB.

    python benchmarks/audit_scale.py make --rows 10000000 --out /tmp/large
    python benchmarks/audit_scale.py ask --store /tmp/large

The tables are those of a store, with its schemas, log and commits; shards and pictures are left out, and commits carry
no Merkle root, since no question here reads them. One commit has `--commit` candidates. Ids are hashes, as they are in
a store. A subject has targets in several styles, a target several candidates; the content reference of each is an image
of its own. A hundredth of the targets are near-duplicates (a few bits of the hash differ). Two jobs, the second with
shifted scores.

Each question is asked in a process of its own, with two threads, and its peak memory is that of the whole process; the
first round makes the index of ids. "Plain" asks the same in one statement of DuckDB over the same Parquet files, as
somebody without this module would.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import yaml
from deltalake import CommitProperties, DeltaTable, write_deltalake

from manifests.arrow_schema import arrow_schema, to_table
from manifests.chain import DIGEST, GENESIS, PREVIOUS, ROOT, SHARDS
from manifests.identities import digest_of
from manifests.merkle import link
from manifests.records import Job
from manifests.tables import TABLES

RULES = [{"column": "style_leak", "min": None, "max": 0.55, "when": None}]
START = datetime(2026, 1, 1, tzinfo=UTC)

ASSETS = """
    SELECT md5('{role}' || i) AS ref_id, md5('{role}a' || i) || md5('{role}b' || i) AS asset_id, '{role}' AS role,
        'archive' AS source, '{role}/' || i AS locator, 'f' || (i % 4096) AS fingerprint,
        'subject-' || (i % 40000) AS subject, 'family-' || (i % 40) AS family, 'none' AS treatment,
        'family-' || (i % 40) AS style, 'train' AS split,
        ['MIT', 'CC-BY-4.0', 'CC-BY-SA-4.0', 'Apache-2.0'][1 + i % 4] AS licence, 'author ' || (i % 900) AS author,
        'https://example.org/' || (i % 900) AS attribution_url, 'pack-' || (i % 24) || '@1.0' AS package,
        NULL AS transform, 512 AS width, 512 AS height, 90000 AS bytes, {hash} AS perceptual_hash, NULL AS refused,
        NULL AS detail
    FROM range({first}, {last}) numbers(i)"""

HASH = """CASE WHEN i % 100 = 1
    THEN substr(md5('p' || (i - 1)) || md5('q' || (i - 1)), 1, 63) || substr('0123456789abcdef', 1 + i % 16, 1)
    ELSE md5('p' || i) || md5('q' || i) END"""

TRIPLETS = """
    SELECT md5('c' || i) AS candidate_id, leak <= 0.55 AS accepted,
        CASE WHEN leak <= 0.55 THEN [] ELSE ['style_leak>0.55'] END AS reasons, [] AS errors,
        ['preserved', 'shifted'][1 + i % 2] AS layout, i % {copies} AS index, 'train' AS split, '' AS prompt,
        md5('targeta' || t) || md5('targetb' || t) AS target_id,
        md5('contenta' || i) || md5('contentb' || i) AS content_id,
        md5('stylea' || s) || md5('styleb' || s) AS style_id, md5('target' || t) AS target_ref,
        md5('content' || i) AS content_ref, md5('style' || s) AS style_ref, 'subject-' || (t % 40000) AS subject,
        'family-' || (t % 40) AS style, 'subject-' || (s % 40000) AS style_subject, NULL AS transform,
        list_sort(list_distinct(['MIT', 'CC-BY-4.0', 'CC-BY-SA-4.0', 'Apache-2.0'][1 + t % 4:1 + t % 4]
            || ['MIT', 'CC-BY-4.0', 'CC-BY-SA-4.0', 'Apache-2.0'][1 + i % 4:1 + i % 4])) AS licences,
        {scores}, leak AS style_leak, [] AS skipped, '{generation}' AS generation_digest, 'scorers' AS scoring_digest,
        '{policy}' AS policy_digest, 'stylizer' AS stylize_expert, 'destylizer' AS destylize_expert, i AS stylize_seed,
        i AS destylize_seed, 0.2 AS stylize_seconds, 0.3 AS destylize_seconds, 0.1 AS score_seconds,
        CASE WHEN leak <= 0.55 THEN '{shard}' END AS shard, CASE WHEN leak <= 0.55 THEN i * 1000 END AS "offset",
        '{follows}' AS follows
    FROM (SELECT i, i // {copies} AS t, hash(i) % {styles} AS s, round(random() * 0.7 + {shift}, 4) AS leak
        FROM range({first}, {last}) numbers(i))"""

_SCORES = ("style_similarity", "style_similarity_csls", "subject_consistency", "destylization", "layout_distance")
_SCORES += ("copy_paste", "palette_leak")


def make(out: Path, rows: int, commit: int, copies: int) -> None:
    """Write a store of so many candidates, half as many content images, and a target for every few of them."""
    shutil.rmtree(out, ignore_errors=True)
    connection = duckdb.connect()
    connection.execute("SET threads = 2")
    connection.execute("SELECT setseed(0.5)").fetchall()
    targets, styles = rows // copies, max(1, rows // 10)
    for role, count in (("target", targets), ("style", styles), ("content", rows)):
        for first in range(0, count, 500_000):
            known = {"first": first, "last": min(count, first + 500_000), "hash": HASH if role == "target" else "NULL"}
            _append(out, "assets", connection, ASSETS.format(role=role, **known), {})
    previous, half = GENESIS, rows // 2
    for first in range(0, rows, commit):
        last, late = min(rows, first + commit), first >= half
        shard, root = f"{digest_of([first, rows])}.tar", digest_of([first])
        described = [{"name": shard, "split": "train", "samples": 0, "bytes": 0, "sha256": "0" * 64}]
        sql = TRIPLETS.format(
            scores=", ".join(f"round(random(), 4) AS {name}" for name in _SCORES),
            generation="generation",
            policy=digest_of(RULES),
            shard=shard,
            follows=previous,
            shift=0.15 if late else 0.0,
            **{"first": first, "last": last, "copies": copies, "styles": styles},
        )
        digest = link(previous, root)
        facts = {ROOT: root, PREVIOUS: previous, DIGEST: digest, SHARDS: json.dumps(described)}
        _append(out, "triplets", connection, sql, facts)
        previous = digest
    _add_jobs(out, half // commit)


def _append(out: Path, name: str, connection: Any, sql: str, metadata: dict[str, str]) -> None:
    schema = arrow_schema(TABLES[name])
    rows = connection.sql(sql).to_arrow_table()
    for field in schema:
        if field.name not in rows.column_names:
            rows = rows.append_column(field.name, pa.nulls(rows.num_rows, field.type))
    _write(out, name, rows.select(schema.names).cast(schema), metadata)


def _write(out: Path, name: str, rows: pa.Table, metadata: dict[str, str]) -> None:
    said = CommitProperties(custom_metadata=metadata)
    write_deltalake(str(out / "tables" / name), rows, mode="append", commit_properties=said)


def _add_jobs(out: Path, before: int) -> None:
    """Record two jobs: the first up to the commit at which the scores shift, the second from there on."""
    history = reversed(DeltaTable(str(out / "tables" / "triplets")).history())
    times = [datetime.fromtimestamp(one["timestamp"] / 1000, UTC) for one in history]
    change = times[min(before, len(times) - 1)]
    spec = yaml.safe_dump({"name": "large", "targets": {"per_subject": 64}, "policy": {"rules": RULES}})
    jobs = [
        Job(
            job_id=name,
            spec=spec,
            spec_digest="spec",
            generation_digest="generation",
            status="finished",
            started=started,
            finished=finished,
            versions="{}",
            counts="{}",
        )
        for name, started, finished in (
            ("first", times[0] - timedelta(seconds=1), change - timedelta(milliseconds=1)),
            ("second", change, times[-1] + timedelta(seconds=1)),
        )
    ]
    _write(out, "jobs", to_table(Job, jobs), {})


def _ledger(store: str) -> Any:
    from manifests.audit.ledger import Ledger

    return Ledger(store)


def ask_explain(store: str) -> Any:
    from manifests.audit.explain import explain

    return explain(_ledger(store), _candidate()).kind


def ask_lineage(store: str) -> Any:
    from manifests.audit.lineage import find_nodes, lineage

    ledger = _ledger(store)
    return len(lineage(ledger, find_nodes(ledger, _candidate())[0]).nodes)


def ask_descendants(store: str) -> Any:
    from manifests.audit.lineage import descendants, find_nodes

    ledger = _ledger(store)
    return len(descendants(ledger, find_nodes(ledger, _target())[0]).nodes)


def ask_licences(store: str) -> Any:
    from manifests.audit.licences import licences

    return [(one.licence, one.triplets) for one in licences(_ledger(store)).shares]


def ask_balance(store: str) -> Any:
    from manifests.audit.balance import balance

    found = balance(_ledger(store))
    return found.near_duplicate_clusters, [one.score for one in found.drift if one.verdict == "large"]


def ask_diff(store: str) -> Any:
    from manifests.audit.diff import report

    ledger = _ledger(store)
    from manifests.audit.ledger import Ledger

    return report(Ledger(store, ledger.version - 1), ledger).came


def _plain(store: str) -> Any:
    connection = duckdb.connect()
    for setting in ("threads = 2", "memory_limit = '1200MB'", "enable_progress_bar = false"):
        connection.execute(f"SET {setting}")
    for name in ("triplets", "assets"):
        files = DeltaTable(f"{store}/tables/{name}").file_uris()
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet({files})")
    return connection


def plain_explain(store: str) -> Any:
    return len(_plain(store).execute(f"SELECT * FROM triplets WHERE candidate_id = '{_candidate()}'").fetchall())


def plain_lineage(store: str) -> Any:
    return len(
        _plain(store)
        .execute(
            "SELECT a.* FROM assets a JOIN triplets t ON a.ref_id IN (t.target_ref, t.content_ref, t.style_ref) "
            f"WHERE t.candidate_id = '{_candidate()}'"
        )
        .fetchall()
    )


def plain_descendants(store: str) -> Any:
    return len(
        _plain(store)
        .execute(
            "SELECT t.candidate_id, t.shard FROM triplets t JOIN assets a "
            "ON a.ref_id IN (t.target_ref, t.content_ref, t.style_ref) "
            f"WHERE a.asset_id = '{_target()}'"
        )
        .fetchall()
    )


def plain_licences(store: str) -> Any:
    return (
        _plain(store)
        .execute(
            "SELECT a.licence, a.author, a.package, count(*) FROM assets a WHERE a.ref_id IN (SELECT "
            "unnest([target_ref, content_ref, style_ref]) FROM triplets WHERE accepted) GROUP BY ALL"
        )
        .fetchall()[:1]
    )


def _candidate() -> str:
    import hashlib

    return hashlib.md5(b"c777").hexdigest()


def _target() -> str:
    import hashlib

    return hashlib.md5(b"targeta77").hexdigest() + hashlib.md5(b"targetb77").hexdigest()


QUESTIONS: dict[str, Callable[[str], Any]] = {
    name: globals()[name]
    for name in (
        "ask_explain",
        "ask_lineage",
        "ask_descendants",
        "ask_licences",
        "ask_balance",
        "ask_diff",
        "plain_explain",
        "plain_lineage",
        "plain_descendants",
        "plain_licences",
    )
}


def _timed(name: str, store: str, pipe: Any) -> None:
    from manifests.audit import balance, diff, explain, licences, lineage  # noqa: F401 - imports are not what is timed

    duckdb.connect().execute("SELECT 1")
    started, used = time.perf_counter(), time.process_time()
    answer = QUESTIONS[name](store)
    facts = (time.perf_counter() - started, time.process_time() - used)
    pipe.send((*facts, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, answer))


def ask(store: str, rounds: int, only: list[str]) -> None:
    """Ask every question in a process of its own, and print seconds, processor time and peak memory."""
    print(f"{'question':20} {'seconds':>8} {'CPU s':>8} {'peak MB':>8}  answer")
    spawn = multiprocessing.get_context("spawn")
    for name in QUESTIONS:
        if only and name not in only:
            continue
        for _ in range(rounds):
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=_timed, args=(name, store, theirs))
            process.start()
            theirs.close()
            try:
                seconds, used, peak, answer = ours.recv()
                print(f"{name:20} {seconds:8.2f} {used:8.2f} {peak:8.0f}  {str(answer)[:90]}", flush=True)
            except EOFError:
                print(f"{name:20} did not end", flush=True)
            process.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("make", help="write a store")
    making.add_argument("--rows", type=int, default=1_000_000)
    making.add_argument("--commit", type=int, default=10_000, help="candidates in a commit")
    making.add_argument("--copies", type=int, default=4, help="candidates of a target")
    making.add_argument("--out", type=Path, required=True)
    asking = commands.add_parser("ask", help="ask a store")
    asking.add_argument("--store", required=True)
    asking.add_argument("--rounds", type=int, default=2)
    asking.add_argument("--only", nargs="*", default=[])
    given = parser.parse_args()
    if given.command == "make":
        make(given.out, given.rows, given.commit, given.copies)
    else:
        ask(given.store, given.rounds, given.only)


if __name__ == "__main__":
    main()
