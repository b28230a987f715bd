"""What is compared: checkpoints in USO's formats, and baselines that draw nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from manifests.identities import digest_of, digest_of_unchanged_file
from uso.encoders import split_source, tokenizer_source
from uso.nano.vision import is_nano, nano_weights
from uso.pipeline_folder import files_read
from uso.position_ids import IdShift

Baseline = Literal["copy-content", "copy-style", "truth"]

BASELINES: tuple[Baseline, ...] = ("copy-content", "copy-style", "truth")


@dataclass(frozen=True)
class Checkpoint:
    """Where the parts of a network and its encoders lie: files for weights, folders or hub names for encoders.

    `styles_as_contents`: style images stand behind the content reference and are encoded as it is, for a network that
    was trained so, without a projector. `id_shift` is where position ids of content references start.
    """

    base: str
    t5: str
    clip: str
    vae: str
    lora: str | None = None
    projector: str | None = None
    vision: str = "google/siglip-so400m-patch14-384"
    style_layers: tuple[int, int, int] = (-2, -11, -20)
    text_length: int = 512
    styles_as_contents: bool = False
    id_shift: IdShift = "d"

    @property
    def is_base(self) -> bool:
        """Return whether nothing of USO is in it."""
        return self.lora is None and self.projector is None

    @property
    def reads_styles(self) -> bool:
        """Return whether it can be shown style images; without a projector there is no way in for them."""
        return self.projector is not None


@dataclass(frozen=True)
class System:
    """One thing that is compared, by the name that tables call it: a checkpoint, or a baseline."""

    name: str
    baseline: Baseline | None = None
    checkpoint: Checkpoint | None = None

    def __post_init__(self) -> None:
        if (self.baseline is None) == (self.checkpoint is None):
            raise ValueError(f"system {self.name}: is either a checkpoint or a baseline")

    @cached_property
    def files(self) -> dict[str, str]:
        """Return what it is made of: sha256 of each file by part, `hub:NAME` for what comes from the hub.

        Raises ValueError naming the part that is not there.
        """
        return {} if self.checkpoint is None else _files(self.checkpoint, self.name)

    @cached_property
    def digest(self) -> str:
        """Return who it is: a digest of its files and of the settings of its parts, wherever they lie."""
        if self.checkpoint is None:
            return digest_of(["baseline", self.baseline])
        mine = self.checkpoint
        parts = (mine.style_layers, mine.text_length, mine.styles_as_contents, mine.id_shift)
        return digest_of([parts, self.files])

    def told(self) -> dict[str, Any]:
        """Return the system as JSON, for the record."""
        checkpoint = None if self.checkpoint is None else asdict(self.checkpoint)
        return {
            "name": self.name,
            "digest": self.digest,
            "baseline": self.baseline,
            "is_base": self.checkpoint is not None and self.checkpoint.is_base,
            "checkpoint": checkpoint,
            "files": self.files,
        }


def _files(checkpoint: Checkpoint, name: str) -> dict[str, str]:
    weights = {"base": checkpoint.base, "lora": checkpoint.lora, "projector": checkpoint.projector}
    found: dict[str, str] = {}
    for part, source in weights.items():
        if source is not None:
            found |= _hashed(part, Path(source), name)
    encoders = {"t5": checkpoint.t5, "clip": checkpoint.clip, "vae": checkpoint.vae}
    for part, source in encoders.items():
        found |= _encoder(part, source, name)
        if part != "vae" and Path(source).is_dir():
            found |= _hashed(f"{part}-tokenizer", Path(tokenizer_source(source)[0]), name)
    if checkpoint.reads_styles:
        found |= _encoder("vision", checkpoint.vision, name)
    return found


def _encoder(part: str, source: str, name: str) -> dict[str, str]:
    if is_nano(source):
        return _hashed(part, nano_weights(source), name)
    folder, inside = split_source(source)
    if Path(folder).is_dir():
        return _hashed(part, Path(folder) / inside, name)
    return {part: f"hub:{source}"}


def _hashed(part: str, place: Path, name: str) -> dict[str, str]:
    files = files_read(part, place)
    if not files:
        raise ValueError(f"system {name}: {part} {place} is not there, or holds no weights")
    return {named: digest_of_unchanged_file(path) for named, path in files.items()}
