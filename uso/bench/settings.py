"""How the pictures of a bench are drawn: one for all systems that are compared."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from uso.images import CONTENT_LONG_SIDE, SIDE_STEP, Size, content_sizes, floor_side
from uso.position_ids import IdShift
from uso.sampler import SampleSettings
from uso.schedule import ScheduleShift
from uso.tasks import DEFAULT_SIDE, Task

DtypeName = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class DrawSettings:
    """Size in pixels, sampler and numbers; the defaults are upstream's.

    `side` is that of square pictures, and the long side of those that keep a layout; `content_side` the long side that
    content references are brought to. `id_shift` takes the place of what each network was trained with. `cfg_scale` is
    that of classifier-free guidance against no prompt and no references. `batch` pictures are drawn at once: all that
    is here decides a picture to the last bit, so all of it is in the picture's name.
    """

    side: int = DEFAULT_SIDE
    content_side: int = CONTENT_LONG_SIDE
    steps: int = 25
    guidance: float = 4.0
    shift: ScheduleShift = "upstream"
    id_shift: IdShift | None = None
    batch: int = 1
    dtype: DtypeName = "float32"
    cfg_scale: float = 1.0

    def __post_init__(self) -> None:
        if min(self.side, self.content_side) < SIDE_STEP:
            raise ValueError(f"size and content size must be at least {SIDE_STEP} px")
        if self.steps < 1 or self.batch < 1:
            raise ValueError("steps and batch must be at least 1")

    def told(self) -> dict[str, Any]:
        """Return the settings as JSON."""
        return asdict(self)

    def sampler(self, own: IdShift) -> SampleSettings:
        """Return what the sampler needs of them, for a network that was trained with an `own` shift of position ids."""
        shift = self.id_shift or own
        return SampleSettings(self.steps, self.guidance, self.shift, shift, self.batch, self.cfg_scale)

    def target_size(self, task: Task, content: Size | None) -> Size:
        """Return width and height of a picture: the content's aspect where its layout is kept, else a square."""
        if task is Task.LAYOUT_PRESERVED and content is not None:
            return content_sizes(*content, self.side)[1]
        return floor_side(self.side), floor_side(self.side)
