"""Samples of a rank's slices, read and decoded ahead of time by a pool of threads.

Threads, not processes: reading and image codecs let go of Python's lock, nothing is copied between processes, and a
fresh loader is ready at once, at any position. Members are read at their offsets, so no shard is ever read through.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from manifests.identities import asset_id
from manifests.records import Role
from manifests.snapshot import Snapshot
from uso.images import Size, fit_content, fit_target
from uso.training.catalog import Bucket, Catalog, Entry
from uso.training.draws import Draws
from uso.training.order import Order, Position, slice_of

Pixels = NDArray[np.uint8]
"""An sRGB image `[height, width, 3]`."""

Verify = Literal["first", "always", "never"]
OnError = Literal["raise", "skip"]

Encoded = Mapping[str, Tensor]
"""Outputs of frozen encoders for one image."""


class DamagedSampleError(ValueError):
    """A sample that is missing, or whose bytes are not what the manifest says."""

    def __init__(self, entry: Entry, root: str, fault: str) -> None:
        super().__init__(
            f"sample {entry.id} in {root}/shards/{entry.shard}: {fault}; run `triptych store verify`, fetch the shard "
            "again, or train with `data.on_error: skip`"
        )
        self.sample = entry.id
        self.fault = fault


@dataclass(frozen=True)
class LoaderSettings:
    """How samples are ordered and read.

    `batch` is the number of samples of a global batch, `window` that of the block shuffle. `workers` threads read
    `ahead` batches before they are asked for. `verify` holds bytes against the manifest's sha256 when a sample is
    first read by the process, always, or never.
    """

    seed: int = 0
    batch: int = 16
    window: int = 4096
    workers: int = 2
    ahead: int = 4
    verify: Verify = "first"
    on_error: OnError = "raise"

    def __post_init__(self) -> None:
        if min(self.batch, self.window, self.workers, self.ahead) < 1:
            raise ValueError("batch, window, workers and ahead must be at least 1")


@dataclass(frozen=True)
class Sample:
    """One sample: its images by role, the target and content cut to the bucket, and its draws.

    An image whose encoding was looked up is in `encoded`, not in `images`: it was not read.
    """

    entry: Entry
    draws: Draws
    prompt: str
    images: dict[Role, Pixels]
    encoded: dict[Role, Encoded]

    @property
    def id(self) -> str:
        """Return the candidate id."""
        return self.entry.id

    @property
    def bucket(self) -> Bucket:
        """Return the shape that it is trained in."""
        return self.entry.bucket


@dataclass(frozen=True)
class Batch:
    """A rank's slice of one global batch.

    `places` are those of its samples in the global batch, `size` the number of samples of that, `following` the
    position after it, and `damaged` what was left out of the slice with `on_error: skip`.
    """

    samples: Sequence[Sample]
    places: Sequence[int]
    size: int
    position: Position
    following: Position
    damaged: Sequence[DamagedSampleError] = field(default=())

    @property
    def ids(self) -> list[str]:
        """Return the candidate ids."""
        return [sample.id for sample in self.samples]

    def stack(self, role: Role) -> Tensor:
        """Return the images of a role, uint8 `[n, 3, height, width]`. Raises ValueError when their sizes differ."""
        images = np.stack([sample.images[role] for sample in self.samples])
        return torch.from_numpy(images).permute(0, 3, 1, 2)


Lookup = Callable[[Entry, Role], Encoded | None]
"""Returns what is at hand of an image's encoding, so that the image need not be read."""


class SampleReader:
    """Reads samples of a catalog by row. Safe to be called from many threads.

    An image that `lookup` knows the encoding of is not read, unless its role is among `always`.
    """

    def __init__(
        self,
        catalog: Catalog,
        settings: LoaderSettings,
        lookup: Lookup | None = None,
        always: Collection[Role] = (),
    ) -> None:
        self.catalog = catalog
        self.settings = settings
        self._lookup = lookup
        self._always = frozenset(always)
        self._verified = np.zeros(len(catalog), dtype=bool)

    def read(self, row: int, number: int) -> Sample:
        """Return the sample at a row, in its `number`-th pass. Raises DamagedSampleError."""
        entry = self.catalog.entry(row)
        roles = self.catalog.slots.roles
        found = {role: self._lookup(entry, role) for role in roles} if self._lookup else {}
        encoded = {role: tensors for role, tensors in found.items() if tensors is not None}
        wanted = [role for role in roles if role not in encoded or role in self._always]
        snapshot = self.catalog.sources[entry.source].snapshot
        try:
            members = self._members(snapshot, entry, wanted)
            if self.settings.verify == "always" or (self.settings.verify == "first" and not self._verified[row]):
                for role in wanted:
                    if asset_id(members[role]) != entry.assets[role]:
                        raise ValueError(f"the bytes of its {role} image are not the manifest's (another sha256)")
                self._verified[row] = not encoded
            images = {role: self._cut(decode(members[role]), entry, role) for role in wanted}
        except (ConnectionError, PermissionError):
            raise  # the store is away, which is no fault of the sample
        except (OSError, ValueError) as error:
            raise DamagedSampleError(entry, snapshot.root, str(error)) from error
        prompt = members["txt"].decode() if self.catalog.prompt is None else self.catalog.prompt.format(**entry.fields)
        return Sample(entry, Draws(self.settings.seed, number, entry.id), prompt, images, encoded)

    def _cut(self, image: Pixels, entry: Entry, role: Role) -> Pixels:
        if role == self.catalog.slots.target:
            return cut_target(image, entry.bucket.target)
        if role in (self.catalog.slots.content, self.catalog.slots.second) and entry.bucket.content is not None:
            return cut_content(image, entry.bucket.content)
        return image

    def _members(self, snapshot: Snapshot, entry: Entry, roles: Sequence[Role]) -> dict[str, bytes]:
        """Return the bytes of a sample's members in one read: they lie side by side in the tar."""
        index = snapshot.shard_index(entry.shard)
        places = {name.partition(".")[0]: place for name, place in index.members(entry.id).items()}
        names = [*roles, *(["txt"] if self.catalog.prompt is None else [])]
        lost = [name for name in names if name not in places]
        if lost:
            raise ValueError(f"its {lost[0]} is not in the shard's index")
        if not names:
            return {}
        start = min(places[name].offset for name in names)
        end = max(places[name].offset + places[name].size for name in names)
        data = snapshot.files.read_range(f"shards/{entry.shard}", start, end - start)
        return {name: data[places[name].offset - start :][: places[name].size] for name in names}


class TripletLoader:
    """An endless stream of a rank's batches from any position on.

    Two loaders with the same catalog and settings agree on every global batch, whatever their rank, world size,
    number of workers, or where they began.
    """

    def __init__(
        self,
        catalog: Catalog,
        settings: LoaderSettings,
        *,
        rank: int = 0,
        world: int = 1,
        lookup: Lookup | None = None,
        always: Collection[Role] = (),
    ) -> None:
        if not 0 <= rank < world:
            raise ValueError(f"rank {rank} is not one of {world}")
        self.settings = settings
        self.rank, self.world = rank, world
        self.order = Order(catalog.sizes(), seed=settings.seed, batch=settings.batch, window=settings.window)
        self._reader = SampleReader(catalog, settings, lookup, always)

    def batches(self, start: Position = Position()) -> Iterator[Batch]:  # noqa: B008 - immutable
        """Yield this rank's slices from `start` on, without end. Raises DamagedSampleError unless told to skip."""
        with ThreadPoolExecutor(self.settings.workers, thread_name_prefix="loader") as pool:
            waiting: deque[_Ordered] = deque()
            position = self.order.settle(start)
            try:
                while True:
                    while len(waiting) < self.settings.ahead:
                        waiting.append(self._ask(pool, position))
                        position = waiting[-1].following
                    yield self._collect(waiting.popleft())
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _ask(self, pool: ThreadPoolExecutor, position: Position) -> _Ordered:
        plan = self.order.at(position)
        mine = slice_of(plan, self.rank, self.world)
        places = list(zip(plan.rows[mine].tolist(), plan.passes[mine].tolist(), strict=True))
        # A part for each thread, rather than a task for each sample: threads then seldom wait for Python's lock.
        size = max(1, -(-len(places) // self.settings.workers))
        parts = [pool.submit(self._read, places[start : start + size]) for start in range(0, len(places), size)]
        return _Ordered(position, self.order.after(position), len(plan.rows), mine.start, parts)

    def _read(self, places: Sequence[tuple[int, int]]) -> list[Sample | DamagedSampleError]:
        found: list[Sample | DamagedSampleError] = []
        for row, number in places:
            try:
                found.append(self._reader.read(row, number))
            except DamagedSampleError as error:
                if self.settings.on_error == "raise":
                    raise
                found.append(error)
        return found

    def _collect(self, ordered: _Ordered) -> Batch:
        found = [sample for part in ordered.parts for sample in part.result()]
        samples = {place: one for place, one in enumerate(found, start=ordered.first) if isinstance(one, Sample)}
        damaged = [one for one in found if isinstance(one, DamagedSampleError)]
        return Batch(list(samples.values()), list(samples), ordered.size, ordered.position, ordered.following, damaged)


@dataclass(frozen=True)
class _Ordered:
    """A slice that is being read, in parts: where its global batch lies, and at which place of it the slice begins."""

    position: Position
    following: Position
    size: int
    first: int
    parts: Sequence[Future[list[Sample | DamagedSampleError]]]


def decode(data: bytes) -> Pixels:
    """Return an encoded image as RGB pixels. Raises ValueError when it cannot be decoded."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    if pixels is None:
        raise ValueError("an image cannot be decoded")
    return np.asarray(pixels, dtype=np.uint8)


def cut_target(image: Pixels, size: Size) -> Pixels:
    """Return an image scaled until it covers a size, and its centre cut to it."""
    if image.shape[1::-1] == size:
        return image
    return np.array(fit_target(Image.fromarray(image), size))


def cut_content(image: Pixels, size: Size) -> Pixels:
    """Return a content reference of a size that `content_sizes` gave, by upstream's rule."""
    if image.shape[1::-1] == size:
        return image
    return np.array(fit_content(Image.fromarray(image), max(size)))
