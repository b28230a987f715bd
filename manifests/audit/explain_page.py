"""The story of a candidate or image as a page with its pictures, in one file that needs no other."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, select_autoescape

from manifests.audit.explain import CandidateStory, Story
from manifests.audit.explain_text import told
from manifests.audit.ledger import Ledger
from manifests.audit.pictures import Picture, pictures_of

_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=select_autoescape(default_for_string=True, default=True)
)


def page_of(ledger: Ledger, story: Story) -> str:
    """Return a story as HTML. Pictures come out of the shards; a picture that cannot be read is said to be missing."""
    pictures: list[Picture] = []
    missing = ""
    try:
        pictures = story_pictures(ledger, story)
    except (OSError, ValueError) as error:
        missing = str(error)
    title = story.candidate_id if isinstance(story, CandidateStory) else story.asset_id or "a refused image"
    return _ENVIRONMENT.get_template("explain.html.j2").render(
        title=title, story=story, sections=told(story), pictures=pictures, missing=missing
    )


def story_pictures(ledger: Ledger, story: Story) -> list[Picture]:
    """Return the pictures of a story that the store still has."""
    if isinstance(story, CandidateStory):
        return pictures_of(ledger, story.candidate_id, story.shard)
    if story.shown_in is None:
        return []
    found = pictures_of(ledger, story.shown_in["candidate_id"], story.shown_in["shard"])
    return [picture for picture in found if picture.role == story.shown_in["role"]]
