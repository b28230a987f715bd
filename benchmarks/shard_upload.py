"""Shards written to S3 as a job writes them, against a plain boto3 multipart upload of the same bytes.

A real SeaweedFS runs on this machine, so client and server share its cores. The two take turns, and each round goes the
other way round. Ours makes the tar, hashes every member, every part and the whole, sends each part with its SHA-256,
and writes the index beside it; the plain upload sends bytes that are ready in memory. Reproduce with

    .venv/bin/python benchmarks/shard_upload.py --megabytes 256 --rounds 7
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--megabytes", type=int, default=256)
    parser.add_argument("--image-kb", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    from tests.system.seaweed import running_seaweed

    with tempfile.TemporaryDirectory(prefix="triptych-upload-") as folder, running_seaweed(Path(folder)) as server:
        os.environ.update(server.environment())
        server.client().create_bucket(Bucket="bench")
        print(json.dumps(measure(options.megabytes, options.image_kb, options.rounds), indent=1))


def measure(megabytes: int, image_kb: int, rounds: int) -> dict[str, object]:
    """Return megabytes a second of both ways, and the median of the rounds' ratios."""
    from boto3.s3.transfer import TransferConfig

    from manifests.files import open_writable
    from manifests.files.s3_writing import PART, WritableS3Files
    from manifests.identities import digest_of
    from manifests.records import ROLES
    from manifests.shards import Sample, write_shard

    count = megabytes * 2**20 // (3 * image_kb * 1024)
    record = {"scores": dict.fromkeys("abcdefgh", 0.5)}
    samples = [
        Sample(digest_of(n), {role: os.urandom(image_kb * 1024) for role in ROLES}, "a prompt", record)
        for n in range(count)
    ]
    files = open_writable("s3://bench/store")
    assert isinstance(files, WritableS3Files)
    shard = write_shard(files, samples, split="train")
    data = files.read(f"shards/{shard.name}")
    client = files.client()
    settings = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=4)

    def ours() -> None:
        write_shard(files, samples, split="train")

    def plain() -> None:
        client.upload_fileobj(io.BytesIO(data), "bench", "plain/same.tar", Config=settings)

    ways: dict[str, Callable[[], None]] = {"ours": ours, "plain": plain}
    plain()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in sorted(ways, reverse=bool(number % 2)):
            start = time.perf_counter()
            ways[name]()
            seconds[name].append(time.perf_counter() - start)
    ratios = [b / a for a, b in zip(seconds["ours"], seconds["plain"], strict=True)]
    return {
        "shard_mb": round(len(data) / 1e6, 1),
        "samples": count,
        "ours_mb_s": round(len(data) / 1e6 / statistics.median(seconds["ours"]), 1),
        "plain_mb_s": round(len(data) / 1e6 / statistics.median(seconds["plain"]), 1),
        "ratio_median": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "load": os.getloadavg()[0],
    }


if __name__ == "__main__":
    main()
