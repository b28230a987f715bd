"""What is measured of a picture: the columns of the results, what they mean, and which way is good."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from uso.tasks import Task

TaskKey = Literal["subject", "style", "joint", "preserved", "shifted"]

TASKS: dict[TaskKey, tuple[Task, ...]] = {
    "subject": (Task.SUBJECT,),
    "style": (Task.STYLE,),
    "joint": (Task.LAYOUT_PRESERVED, Task.LAYOUT_SHIFTED),
    "preserved": (Task.LAYOUT_PRESERVED,),
    "shifted": (Task.LAYOUT_SHIFTED,),
}
"""Tasks as tables group them; the joint one is both its layouts together."""

TASK_TITLES: dict[TaskKey, str] = {
    "subject": "subject-driven",
    "style": "style-driven",
    "joint": "style + subject",
    "preserved": "style + subject, layout preserved",
    "shifted": "style + subject, layout shifted",
}

Role = Literal["subject", "style", "text", "extra"]


@dataclass(frozen=True)
class Column:
    """One figure of a picture: its key in the results, its title, which way is good, and what it means.

    `good` is None where that depends on the task. `role` says what it speaks for.
    """

    key: str
    title: str
    good: Literal["high", "low"] | None
    role: Role
    meaning: str


COLUMNS: tuple[Column, ...] = (
    Column("clip_i", "CLIP-I", "high", "subject", "CLIP cosine of the picture and the images of its subject"),
    Column("dino", "DINO", "high", "subject", "DINO cosine of the picture and the images of its subject"),
    Column(
        "nano_subject",
        "subject (nano)",
        "high",
        "subject",
        "nano subject cosine of the picture and images of its subject",
    ),
    Column("csd", "CSD", "high", "style", "CSD cosine of the picture and the style reference"),
    Column("nano_style", "style (nano)", "high", "style", "nano style cosine of the picture and the style reference"),
    Column("clip_t", "CLIP-T", "high", "text", "CLIP cosine of the picture and its prompt; none for the empty prompt"),
    Column(
        "copy_paste",
        "copy-paste rate",
        "low",
        "extra",
        "share of pictures that are nearly a copy of the content reference",
    ),
    Column(
        "style_copy",
        "style-copy rate",
        "low",
        "extra",
        "share of pictures that are nearly a copy of the style reference",
    ),
    Column(
        "style_leak",
        "style leak",
        "low",
        "extra",
        "subject cosine of the picture and the style reference: what it shows",
    ),
    Column(
        "palette_leak",
        "palette leak",
        "low",
        "extra",
        "how much nearer to the style reference's palette than the truth (or, unknown, the content) is; Lab units",
    ),
    Column(
        "layout_shift",
        "layout shift",
        None,
        "extra",
        "how far the subject moved from the content: small where preserved, large where shifted; 0 to 1",
    ),
)

COLUMN = {column.key: column for column in COLUMNS}


def good_in(column: Column, task: TaskKey) -> Literal["high", "low"] | None:
    """Return which way is good in a task: a layout is to be kept, or is to be left."""
    if column.key == "layout_shift":
        kinds: dict[TaskKey, Literal["high", "low"]] = {"preserved": "low", "shifted": "high"}
        return kinds.get(task)
    return column.good
