"""Files on a real S3 server are those of a folder: written whole or not at all, once where asked, and never half."""

from __future__ import annotations

import errno
import hashlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from manifests.files import NoSuchRootError, WritableFiles, open_writable
from manifests.files.s3_writing import PART
from tests.system.relay import Relay
from tests.system.seaweed import (
    READER,
    READER_SECRET,
    SECRET,
    STRANGER,
    STRANGER_SECRET,
    Seaweed,
    running_seaweed,
)

ROOT = "s3://data/sets/one"
NAMES = st.sampled_from(["shards/a.tar", "shards/b.tar", "shards/sub/c", "index.json", "ä b"])
DATA = st.binary(max_size=40)

Store = dict[str, bytes]
Step = tuple[str, Callable[[WritableFiles], object], Callable[[Store], object]]


@pytest.fixture(autouse=True)
def environment(seaweed: Seaweed, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REQUEST_CHECKSUM_CALCULATION"):
        monkeypatch.delenv(name, raising=False)
    set_environment(monkeypatch, seaweed.environment())


def set_environment(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def outcome(step: Callable[[Any], object], on: object) -> object:
    """Return what a step gives, or the kind of its error."""
    try:
        return step(on)
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "too short"


def read_range(name: str, offset: int, size: int) -> Callable[[Store], object]:
    def step(store: Store) -> object:
        if size == 0:
            return b""
        if name not in store:
            return "missing"
        data = store[name][offset : offset + size]
        return data if len(data) == size else "too short"

    return step


def claim(store: Store, name: str, data: bytes) -> bool:
    absent = name not in store
    store.setdefault(name, data)
    return absent


def drop(store: Store, name: str) -> None:
    store.pop(name, None)


steps = st.one_of(
    st.tuples(NAMES, DATA).map(lambda a: ("put", lambda f: f.put(*a), lambda s: s.update({a[0]: a[1]}))),
    st.tuples(NAMES, st.lists(DATA, max_size=4)).map(
        lambda a: (
            "put_stream",
            lambda f: f.put_stream(a[0], iter(a[1])),
            lambda s: s.update({a[0]: b"".join(a[1])}) or sum(map(len, a[1])),
        )
    ),
    st.tuples(NAMES, DATA).map(lambda a: ("put_if_absent", lambda f: f.put_if_absent(*a), lambda s: claim(s, *a))),
    NAMES.map(lambda n: ("delete", lambda f: f.delete(n), lambda s: drop(s, n))),
    NAMES.map(lambda n: ("read", lambda f: f.read(n), lambda s: s.get(n, "missing"))),
    NAMES.map(lambda n: ("stat", lambda f: f.stat(n).size, lambda s: len(s[n]) if n in s else "missing")),
    st.tuples(NAMES, st.integers(0, 45), st.integers(1, 45)).map(
        lambda a: ("read_range", lambda f: f.read_range(*a), read_range(*a))
    ),
    st.sampled_from(["", "shards/", "shards/a", "in", "none/"]).map(
        lambda p: (
            "list",
            lambda f: sorted((found.name, found.size) for found in f.list(p)),
            lambda s: sorted((name, len(data)) for name, data in s.items() if name.startswith(p)),
        )
    ),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(steps, max_size=25))
def test_one_history_gives_one_outcome_on_disk_on_s3_and_in_a_dict(history: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        model: Store = {}
        remote = open_writable(f"s3://data/histories/{Path(folder).name}")
        for name, real, meant in history:
            expected = outcome(meant, model)
            assert outcome(real, open_writable(folder)) == expected, name
            assert outcome(real, remote) == expected, name


def test_a_cached_reader_sees_what_was_written_over(tmp_path: Path) -> None:
    for root in (tmp_path, ROOT):
        files = open_writable(root)
        files.put("over", b"first")
        assert files.read_range("over", 0, 5) == b"first"
        files.put("over", b"second")
        assert files.read_range("over", 0, 6) == b"second"
        etag = files.stat("over").etag
        files.put("over", b"third!")
        assert files.stat("over").etag != etag


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 3 * PART + 5])
def test_streams_of_any_size_come_back(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    chunks = [data[start : start + 1_000_003] for start in range(0, size, 1_000_003)]
    for root in (tmp_path, ROOT):
        files = open_writable(root)
        assert files.put_stream("stream", iter(chunks)) == size
        assert hashlib.sha256(files.read("stream")).digest() == hashlib.sha256(data).digest()


def test_a_stream_that_breaks_leaves_nothing(tmp_path: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield os.urandom(2 * PART)
        raise ValueError("no more")

    for root in (tmp_path, ROOT):
        files = open_writable(root)
        with pytest.raises(ValueError, match="no more"):
            files.put_stream("breaks", chunks())
        assert not list(files.list("breaks"))
        assert not list(files.unfinished())


@pytest.mark.parametrize("where", ["disk", "s3"])
def test_of_sixteen_writers_one_is_told_that_it_wrote(tmp_path: Path, where: str) -> None:
    files = open_writable(tmp_path if where == "disk" else ROOT)
    ready = threading.Barrier(16)

    def write(name: str, writer: int) -> bool:
        ready.wait()
        return files.put_if_absent(name, b"%d" % writer)

    for name in ("races/1", "races/2", "races/3"):
        with ThreadPoolExecutor(16) as pool:
            won = list(pool.map(write, [name] * 16, range(16)))
        assert won.count(True) == 1
        assert files.read(name) == b"%d" % won.index(True)


def test_a_listing_goes_over_pages(tmp_path: Path) -> None:
    for root in (tmp_path, ROOT):
        files = open_writable(root)
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(files.put, (f"many/{n}" for n in range(1100)), [b""] * 1100))
        assert {found.name for found in files.list("many/")} == {f"many/{n}" for n in range(1100)}


def test_files_travel_to_other_processes(tmp_path: Path) -> None:
    for root in (tmp_path, ROOT):
        files = open_writable(root)
        files.put("there", b"and back")
        assert pickle.loads(pickle.dumps(files)).read("there") == b"and back"
        assert SECRET.encode() not in pickle.dumps(files)


def test_a_link_opens_for_its_time_only() -> None:
    files = open_writable(ROOT)
    files.put("linked", b"for all")
    short, long = files.link("linked", 1), files.link("linked", 600)
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in long
    assert SECRET not in long
    time.sleep(2.1)
    assert urllib.request.urlopen(long).read() == b"for all"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(short)
    with pytest.raises(ValueError, match="1 to 604,800 seconds"):
        files.link("linked", 10**6)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"AWS_SECRET_ACCESS_KEY": f"not-the-{SECRET}"}, "SignatureDoesNotMatch: the secret key is wrong"),
        (
            {"AWS_ACCESS_KEY_ID": READER, "AWS_SECRET_ACCESS_KEY": READER_SECRET},
            r"refuses to take it \(AccessDenied: this user may not write it",
        ),
        (
            {"AWS_ACCESS_KEY_ID": STRANGER, "AWS_SECRET_ACCESS_KEY": STRANGER_SECRET},
            "AccessDenied: this user may not write it",
        ),
    ],
)
def test_a_writer_that_is_refused_says_why(
    changes: dict[str, str], fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_environment(monkeypatch, changes)
    files = open_writable(ROOT)
    writes: list[Callable[[], object]] = [
        lambda: files.put("refused", b"x"),
        lambda: files.put_if_absent("refused", b"x"),
        lambda: files.put_stream("refused", [b"x" * PART, b"y"]),
    ]
    for write in writes:
        with pytest.raises(OSError, match=fault) as caught:
            write()
        assert "\n" not in str(caught.value)
        assert not any(value in str(caught.value) for value in (SECRET, READER_SECRET, STRANGER_SECRET, READER))


def test_a_bucket_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """SeaweedFS makes a bucket for a writer who may; what others answer such a writer is answered here."""
    files = open_writable("s3://nowhere/set")
    with pytest.raises(NoSuchRootError, match="s3://nowhere: no such bucket"):
        list(files.list())
    with _answering(404, "NoSuchBucket") as endpoint:
        set_environment(monkeypatch, {"AWS_ENDPOINT_URL": endpoint})
        files = open_writable("s3://nowhere/set")
        with pytest.raises(NoSuchRootError, match="s3://nowhere: no such bucket"):
            files.put("any", b"x")


def test_a_reader_of_a_bucket_it_may_not_write_reads_and_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    open_writable(ROOT).put("given/one", b"1")
    set_environment(monkeypatch, {"AWS_ACCESS_KEY_ID": READER, "AWS_SECRET_ACCESS_KEY": READER_SECRET})
    files = open_writable(ROOT)
    assert [found.name for found in files.list("given/")] == ["given/one"]
    assert files.read("given/one") == b"1"
    with pytest.raises(PermissionError, match="this user may not delete it"):
        files.delete("given/one")


def test_connections_that_are_cut_while_writing_are_opened_again(
    seaweed: Seaweed, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = os.urandom(3 * PART)
    with closing(Relay(seaweed.port)) as relay:
        set_environment(monkeypatch, seaweed.environment(endpoint=relay.endpoint))
        files = open_writable(ROOT)
        relay.cut_requests(requests=2, after=100_000)
        files.put("cut/whole", data[:PART])
        assert relay.cut == 2
        relay.cut_requests(requests=3, after=1_000_000)
        files.put_stream("cut/stream", iter([data]))
        assert relay.cut == 5
    set_environment(monkeypatch, seaweed.environment())
    files = open_writable(ROOT)
    assert files.read("cut/whole") == data[:PART]
    assert files.read("cut/stream") == data
    assert not list(files.unfinished())


def test_an_answer_that_is_lost_does_not_make_a_writer_lose_to_itself(
    seaweed: Seaweed, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Relay(seaweed.port)) as relay:
        set_environment(monkeypatch, seaweed.environment(endpoint=relay.endpoint))
        files = open_writable(ROOT)
        files.put("lost/warm", b"a connection")
        relay.break_off(answers=1, after=0)
        assert files.put_if_absent("lost/claim", b"mine")
        assert relay.broken == 1
        assert not files.put_if_absent("lost/claim", b"mine")


def test_a_client_that_is_killed_leaves_an_upload_which_can_be_aborted() -> None:
    code = (
        "import os, sys, time; from manifests.files import open_writable\n"
        "def chunks():\n"
        "    for number in range(100):\n"
        "        yield os.urandom(8 << 20)\n"
        "        if number == 3: print('going', flush=True)\n"
        "        if number > 3: time.sleep(0.5)\n"
        "open_writable(sys.argv[1]).put_stream('killed', chunks())"
    )
    process = subprocess.Popen([sys.executable, "-c", code, ROOT], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "going\n"
    files = open_writable(ROOT)
    deadline = time.monotonic() + 30
    while not list(files.unfinished("killed")) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (left,) = files.unfinished("killed")
    assert left.name == "killed"
    assert not list(files.list("killed"))
    files.abandon(left)
    files.abandon(left)
    assert not list(files.unfinished())


def test_a_server_without_room_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_seaweed(tmp_path, volumes=1, volume_mb=1) as full:
        full.client().create_bucket(Bucket="data")
        set_environment(monkeypatch, {**full.environment(), "AWS_MAX_ATTEMPTS": "2"})
        files = open_writable("s3://data/set")
        with pytest.raises(ConnectionError, match=r"fails to take it \(500 InternalError\); .* is there no room left"):
            files.put_stream("large", (os.urandom(400_000) for _ in range(60)))
        assert not list(files.list())


def test_a_server_that_answers_507_is_out_of_room(monkeypatch: pytest.MonkeyPatch) -> None:
    with _answering(507, "InsufficientStorage") as endpoint:
        set_environment(monkeypatch, {"AWS_ENDPOINT_URL": endpoint})
        files = open_writable(ROOT)
        writes: list[Callable[[], object]] = [
            lambda: files.put("refused", b"x"),
            lambda: files.put_if_absent("refused", b"x"),
            lambda: files.put_stream("refused", [b"x" * PART, b"y"]),
        ]
        for write in writes:
            with pytest.raises(OSError, match=r"has no room left \(507 InsufficientStorage") as caught:
                write()
            assert caught.value.errno == errno.ENOSPC


def test_a_file_that_finds_no_room_on_disk_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk: the kernel refuses to write in the same place."""
    code = (
        "import resource, sys; from manifests.files import open_writable\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "files = open_writable(sys.argv[1]); files.put('fits', b'x' * 90_000)\n"
        "try:\n    files.put('shards/large', b'x' * 200_000)\n"
        "except OSError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert f"{tmp_path}/shards/large: cannot be written: File too large" in done.stdout
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["fits"]


def test_bytes_that_change_on_the_way_are_refused_by_the_server(seaweed: Seaweed) -> None:
    from botocore.exceptions import ClientError

    other = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="
    with pytest.raises(ClientError, match="BadDigest"):
        seaweed.client().put_object(Bucket="data", Key="damaged", Body=b"not abc", ChecksumSHA256=other)


def test_a_server_that_knows_no_checksum_header_is_written_to_without(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, {"AWS_REQUEST_CHECKSUM_CALCULATION": "when_required"})
    files = open_writable(ROOT)
    seen: list[set[str]] = []
    files.client().meta.events.register(  # type: ignore[attr-defined]
        "before-send.s3", lambda request, **_: seen.append({name.lower() for name in request.headers})
    )
    files.put("plain", b"x")
    files.put_stream("plain", [b"x" * PART, b"y"])
    assert files.put_if_absent("plain", b"x") is False
    assert not any("sha256" in name and "checksum" in name for names in seen for name in names)
    assert files.read("plain") == b"x" * PART + b"y"


@contextmanager
def _answering(status: int, code: str) -> Iterator[str]:
    """Run a server that answers every request so."""
    body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_DELETE = do_PUT  # noqa: N815

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
