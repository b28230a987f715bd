"""What an expert behind an endpoint promises: images or reasons, nothing trusted or bought twice, no secret told."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from manifests.files.local_writing import WritableLocalFiles
from manifests.records import Layout
from tests.system.edits_endpoint import (
    Asked,
    EditsEndpoint,
    Said,
    handing,
    inverted,
    png,
    pointing,
    refusing,
    running_edits,
)
from tests.workers.experts.shapes import SUBJECTS, Shapes
from workers.endpoints.bought import Bought
from workers.endpoints.client import Client
from workers.experts.base import ExpertFailure, ExpertImage, ExpertRequest
from workers.experts.http.decode import decode_answer
from workers.experts.http.expert import HttpExpert
from workers.experts.http.identity import expert_digest
from workers.experts.http.settings import HttpSettings

NOISE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
KEY = "sk-very-secret-0123456789"


@pytest.fixture(scope="module")
def server() -> Iterator[EditsEndpoint]:
    with running_edits() as endpoint:
        yield endpoint


@pytest.fixture(autouse=True)
def _as_new(server: EditsEndpoint) -> None:
    server.reply = inverted
    server.asked.clear()
    server.files.clear()
    server.busiest = 0


def settings(server: EditsEndpoint, **changes: Any) -> HttpSettings:
    keys = {"base_url": server.url, "model": "image-1", "timeout": 20, "retries": 2, "concurrency": 4, **changes}
    return HttpSettings.model_validate(keys)


def expert(server: EditsEndpoint, **changes: Any) -> HttpExpert:
    return HttpExpert(settings(server, **changes), "destylize", Shapes())


def asked(number: int, layout: Layout = "preserved", width: int = 128) -> ExpertRequest:
    gallery = Shapes()
    (ref,) = gallery.of_subject(SUBJECTS[number % len(SUBJECTS)], "ink")
    pixels = np.ascontiguousarray(gallery.load(ref).pixels[:, :width])
    return ExpertRequest(f"candidate-{number}", pixels, ref, layout, "", number)


def outcome(made: ExpertImage | ExpertFailure) -> str:
    return made.reason if isinstance(made, ExpertFailure) else ""


def test_every_row_gets_the_image_of_its_own_request(server: EditsEndpoint) -> None:
    requests = [asked(n, "shifted" if n % 2 else "preserved") for n in range(12)]
    made = expert(server).generate(requests)
    for request, one in zip(requests, made, strict=True):
        assert isinstance(one, ExpertImage), one
        assert np.array_equal(one.pixels, 255 - request.target)
        assert one.ref.source == "generated"
        assert one.transform is not None
        assert ("move" in one.transform) == (request.layout == "shifted")
    assert 2 <= server.busiest <= 4
    assert {one.fields["model"] for one in server.asked} == {"image-1"}
    assert len({one.fields["prompt"] for one in server.asked}) > 3


def test_stylizing_names_another_subject(server: EditsEndpoint) -> None:
    stylizer = HttpExpert(settings(server), "stylize", Shapes())
    (made,) = stylizer.generate([asked(3)])
    assert isinstance(made, ExpertImage)
    assert made.ref.subject != SUBJECTS[3]
    assert made.ref.style == "ink"
    assert made.ref.spoken in server.asked[0].fields["prompt"]


def test_what_may_pass_is_tried_again(server: EditsEndpoint) -> None:
    server.in_turn(
        refusing(429, headers=(("Retry-After", "0.01"),)),
        refusing(500),
        handing(b"", cut=True),
    )
    assert [outcome(one) for one in expert(server, retries=4).generate([asked(1)])] == [""]
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    ("said", "changes", "reason"),
    [
        (refusing(400, "your request was rejected by the safety system"), {}, "http_400"),
        (refusing(401, f"wrong key {KEY}"), {}, "http_401"),
        (refusing(503), {"retries": 0}, "http_503"),
        (Said(cut=True), {"retries": 0}, "connection"),
        (Said(b"{}", wait=3), {"timeout": 0.3, "retries": 0}, "timeout"),
        (Said(b'{"data": ['), {}, "protocol"),
        (Said(b'{"data": []}'), {}, "protocol"),
        (Said(b'{"data": [{"revised_prompt": "x"}]}'), {}, "protocol"),
        (Said(b'{"data": [{"b64_json": "?!"}]}'), {}, "not_an_image"),
        (handing(b"<html>sorry</html>"), {}, "not_an_image"),
        (handing(png(Image.fromarray(NOISE))[:900]), {}, "not_an_image"),
        (Said(b"x" * 3_000_000), {"max_mb": 1}, "too_large"),
        (handing(png(Image.new("L", (300, 8)))), {"max_side": 256}, "too_large"),
        (Said(b'{"data": [{"b64', promised=5000), {}, "cut_off"),
        (pointing("http://169.254.169.254/latest/meta-data"), {}, "url_refused"),
        (pointing("file:///etc/passwd"), {}, "url_refused"),
    ],
)
def test_what_is_no_image_is_a_reason_of_its_row_and_of_no_other(
    server: EditsEndpoint, said: Said, changes: dict[str, Any], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDIT_KEY", KEY)
    bad = asked(1).target

    def reply(one: Asked) -> Said:
        return said if np.array_equal(np.asarray(one.picture), bad) else inverted(one)

    server.reply = reply
    made = expert(server, api_key_env="EDIT_KEY", **changes).generate([asked(n) for n in range(3)])
    assert [outcome(one) for one in made] == ["", reason, ""]
    assert isinstance(made[1], ExpertFailure)
    assert KEY not in made[1].detail
    assert server.asked[0].key == f"Bearer {KEY}"


def test_an_image_may_lie_at_an_address_of_the_endpoint_and_no_redirect_is_followed(server: EditsEndpoint) -> None:
    picture = png(Image.new("RGB", (128, 128), (9, 8, 7)))
    server.files["/made.png"] = Said(picture)
    server.files["/away.png"] = Said(status=302, headers=(("Location", f"{server.root}/made.png"),))
    server.in_turn(pointing(f"{server.root}/made.png"), pointing(f"{server.root}/away.png"), pointing("http:///"))
    made = expert(server, concurrency=1, answer="url").generate([asked(n) for n in range(3)])
    assert [outcome(one) for one in made] == ["", "url_failed", "url_refused"]
    assert isinstance(made[0], ExpertImage)
    assert made[0].pixels[0, 0].tolist() == [9, 8, 7]
    assert server.asked[0].fields["response_format"] == "url"


def test_a_budget_is_not_overdrawn_and_what_is_left_says_so(server: EditsEndpoint) -> None:
    made = expert(server, budget={"cost": 0.2}, price=0.04, concurrency=1).generate([asked(n) for n in range(9)])
    assert [outcome(one) for one in made] == [""] * 5 + ["budget"] * 4
    half = HttpExpert(settings(server, budget={"requests": 6}, concurrency=1), "destylize", Shapes(), share=0.5)
    assert [outcome(one) for one in half.generate([asked(n) for n in range(5)])] == [""] * 3 + ["budget"] * 2


def test_what_was_bought_is_not_asked_for_again(server: EditsEndpoint, tmp_path: Path) -> None:
    bought = Bought(WritableLocalFiles(tmp_path))
    first = HttpExpert(settings(server), "destylize", Shapes(), bought=bought)
    before = first.generate([asked(n) for n in range(4)])
    assert len(server.asked) == 4
    server.reply = lambda _asked: refusing(500)
    again = HttpExpert(settings(server, base_url="http://127.0.0.1:9/v1"), "destylize", Shapes(), bought=bought)
    after = again.generate([asked(n) for n in range(4)])
    for one, two in zip(before, after, strict=True):
        assert isinstance(one, ExpertImage)
        assert isinstance(two, ExpertImage)
        assert np.array_equal(one.pixels, two.pixels)
    other = HttpExpert(settings(server, model="image-2", retries=0), "destylize", Shapes(), bought=bought)
    assert [outcome(one) for one in other.generate([asked(0)])] == ["http_500"]


def test_nothing_moves_where_the_endpoint_draws_in_another_shape(server: EditsEndpoint) -> None:
    wide = expert(server, size="96x64")
    (kept,), (shifted,) = wide.generate([asked(4, width=64)]), wide.generate([asked(4, "shifted", width=64)])
    assert server.asked[0].picture.size == (96, 64)
    assert isinstance(kept, ExpertImage)
    assert isinstance(shifted, ExpertImage)
    assert kept.pixels.shape == (128, 64, 3)
    assert shifted.pixels.shape[1] > shifted.pixels.shape[0]
    difference = np.abs(kept.pixels.astype(int) - (255 - asked(4, width=64).target)).mean()
    assert difference < 12


def test_an_endpoint_is_asked_for_its_models_before_any_image_is_bought(
    server: EditsEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    assert Client(settings(server)).check() is None
    server.listing = refusing(404)
    assert Client(settings(server)).check() is None
    server.listing = refusing(401, "no such key")
    with caplog.at_level(logging.DEBUG):
        fault = Client(settings(server)).check()
    assert fault is not None
    assert (fault.reason, fault.detail) == ("http_401", "no such key")
    nowhere = Client(settings(server, base_url="http://127.0.0.1:9/v1")).check()
    assert nowhere is not None
    assert nowhere.reason == "connection"
    assert not server.asked


def test_a_digest_covers_model_parameters_and_instructions_and_not_the_host(
    server: EditsEndpoint, tmp_path: Path
) -> None:
    whole = expert_digest(settings(server), "destylize")
    same = [{"base_url": "https://elsewhere/v1"}, {"retries": 0}, {"price": 1}, {"name": "x"}, {"api_key_env": "K"}]
    assert {expert_digest(settings(server, **change), "destylize") for change in same} == {whole}
    bank = tmp_path / "bank.yaml"
    bank.write_text("{preserve: [a], shift: ['{move}'], moves: {pose: [b]}, stylize: ['{subject}']}")
    other: list[dict[str, Any]] = [
        {"model": "image-2"},
        {"quality": "high"},
        {"instructions": str(bank)},
        {"size": "64x64"},
    ]
    digests = {expert_digest(settings(server, **change), "destylize") for change in other}
    assert len({whole, *digests, expert_digest(settings(server), "stylize")}) == 6


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"base_url": "http://user:pass@host/v1"}, "no credentials"),
        ({"base_url": "ftp://host"}, "is no address"),
        ({"size": "big"}, "size"),
        ({"instructions": "v9"}, "no bank that ships"),
        ({"url_hosts": ["https://a.b/c"]}, "is no host name"),
    ],
)
def test_settings_that_cannot_work_are_refused(server: EditsEndpoint, changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        settings(server, **changes)


def test_transparent_images_lie_on_white_and_other_formats_are_not_opened() -> None:
    clear = decode_answer(png(Image.new("RGBA", (4, 4), (255, 0, 0, 0))), max_side=64)
    assert isinstance(clear, np.ndarray)
    assert clear.tolist() == np.full((4, 4, 3), 255).tolist()
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "TIFF")
    refused = decode_answer(buffer.getvalue(), max_side=64)
    assert isinstance(refused, ExpertFailure)
