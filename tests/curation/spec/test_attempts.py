"""What a spec may say of further attempts, and how it is told what is wrong."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from curation.spec.attempts import AttemptsSpec, RouteSpec
from manifests.yaml_file import YamlError
from tests.system.jobs import small_spec


def test_the_last_route_is_kept_to() -> None:
    spec = AttemptsSpec(most=4, routes=(RouteSpec(name="again"), RouteSpec(name="other", prompt="{subject}")))
    assert [spec.route(attempt).name for attempt in (1, 2, 3)] == ["again", "other", "other"]


def test_a_route_takes_failures_that_it_can_help() -> None:
    route = RouteSpec(name="again")
    assert route.takes(("style_leak>0.5",))
    assert not route.takes(())
    assert not route.takes(("style_leak>0.5", "ingest:too_small"))
    assert not route.takes(("duplicate_of:abc",))
    assert not route.takes(("nsfw>0.5", "style_leak>0.5"))
    assert not route.takes(("contamination>0.9",))
    only = RouteSpec(name="again", reasons=("destylize_failed:", "layout_distance"))
    assert only.takes(("layout_distance<0.4", "style_leak>0.5"))
    assert not only.takes(("style_leak>0.5",))


def test_its_name_and_what_leads_to_it_are_no_part_of_a_route() -> None:
    assert RouteSpec(name="a", reasons=("x",)).digest == RouteSpec(name="b").digest
    assert RouteSpec(name="a", prompt="{subject}").digest != RouteSpec(name="a").digest


@pytest.mark.parametrize(
    ("attempts", "said"),
    [
        ({"most": 0}, "most"),
        ({"most": 2, "routes": [{"name": "a"}, {"name": "b"}]}, "never taken"),
        ({"most": 3, "routes": [{"name": "a"}, {"name": "a"}]}, "two routes are named"),
        ({"most": 2, "routes": [{"name": "a", "prompt": "{style}"}]}, "only field is"),
        ({"most": 2, "routes": [{"name": "a", "seeds": 3}]}, "seeds"),
    ],
)
def test_what_cannot_be_meant_is_refused(attempts: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        AttemptsSpec.model_validate(attempts)


def test_a_route_to_an_expert_that_there_is_not_is_refused(tmp_path: object) -> None:
    routes = [{"name": "other", "destylize": "kontext"}]
    with pytest.raises(YamlError, match=r"attempts\.routes\[0\]\.destylize.*'kontext'"):
        small_spec(tmp_path, attempts={"most": 2, "routes": routes})  # type: ignore[arg-type]
