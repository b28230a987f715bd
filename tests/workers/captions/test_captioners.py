"""Captions from a real server that misbehaves, and from a small model of a real class."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from manifests.files.local_writing import WritableLocalFiles
from tests.system.endpoint import BROKEN, CUT, NO_CHOICE, Endpoint, Said, refusing, running_endpoint, saying
from tests.workers.judges.small_vlm import save_small_vlm
from workers.captions.base import NoCaption, read_caption
from workers.captions.openai_captioner import OpenAICaptioner, endpoint_digest
from workers.captions.settings import OpenAICaptionSettings, TransformersCaptionSettings
from workers.captions.transformers_captioner import TransformersCaptioner, model_digest
from workers.endpoints.bought import Bought


@pytest.fixture(scope="module")
def server() -> Iterator[Endpoint]:
    with running_endpoint() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_vlm(tmp_path_factory.mktemp("vlm"))


def pictures(count: int, start: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(start)
    return [rng.integers(0, 256, (48, 64, 3), np.uint8) for _ in range(count)]


def settings(server: Endpoint, **changes: Any) -> OpenAICaptionSettings:
    keys = {"base_url": server.url, "model": "m", "retries": 2, "timeout": 20, "concurrency": 1, **changes}
    return OpenAICaptionSettings.model_validate(keys)


def test_an_endpoint_is_shown_each_picture_once_and_its_words_become_captions(server: Endpoint, tmp_path: Path) -> None:
    bought = Bought(WritableLocalFiles(tmp_path))
    server.says([saying('"A red fox\non a roof."\n\nLet me know!'), refusing(500), saying("two birds")])
    captioner = OpenAICaptioner(settings(server), bought=bought)
    assert captioner.caption(pictures(2)) == ["A red fox on a roof.", "two birds"]
    content = server.asked[0]["messages"][0]["content"]
    assert [part["type"] for part in content] == ["image_url", "text"]
    server.says(refusing(500))
    again = OpenAICaptioner(settings(server, retries=0), bought=bought)
    assert again.caption(pictures(2)) == ["A red fox on a roof.", "two birds"]
    assert server.asked == []


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (saying(""), "empty"),
        (saying(" \n"), "empty"),
        (saying("word " * 400), "too_long"),
        (NO_CHOICE, "empty"),
        (BROKEN, "protocol"),
        (CUT, "connection"),
        (refusing(401), "http_401"),
    ],
)
def test_a_picture_without_a_caption_has_a_reason(server: Endpoint, said: Said, reason: str) -> None:
    server.says([said, saying("a cat")])
    first, second = OpenAICaptioner(settings(server, retries=0)).caption(pictures(2))
    assert isinstance(first, NoCaption)
    assert first.reason == reason
    assert second == "a cat"


def test_a_captioner_is_known_by_model_and_question_and_not_by_its_address(server: Endpoint) -> None:
    whole = endpoint_digest(settings(server))
    assert endpoint_digest(settings(server, base_url="http://elsewhere/v1", concurrency=9, price=2)) == whole
    assert len({whole, *(endpoint_digest(settings(server, **c)) for c in ({"model": "n"}, {"max_tokens": 9}))}) == 3


def test_a_local_model_says_the_same_of_a_picture_in_any_company(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = TransformersCaptionSettings(model=str(model), max_tokens=8, image_side=64, dtype="float32")
    captioner = TransformersCaptioner(made)
    shown = pictures(3)
    said = captioner.caption(shown)
    assert said == [captioner.caption([picture])[0] for picture in shown]
    assert all(isinstance(one, str | NoCaption) for one in said)
    network = captioner._model

    def short_of_memory(_network: Any, _arguments: Any, named: dict[str, Any]) -> None:
        if named["input_ids"] is not None and len(named["input_ids"]) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")

    hook = network.register_forward_pre_hook(short_of_memory, with_kwargs=True)
    with caplog.at_level(logging.WARNING):
        assert captioner.caption(shown) == said
    hook.remove()
    assert "from now on 1 images a batch" in caplog.text
    assert captioner.digest == model_digest(made.model_copy(update={"batch": 1}))
    assert captioner.digest != model_digest(made.model_copy(update={"max_tokens": 9}))


def test_a_model_with_pickled_weights_is_not_loaded(tmp_path: Path) -> None:
    folder = save_small_vlm(tmp_path)
    weights = folder / "model.safetensors"
    torch.save({}, folder / "pytorch_model.bin")
    weights.unlink()
    made = TransformersCaptioner(TransformersCaptionSettings(model=str(folder))).caption(pictures(1))
    assert isinstance(made[0], NoCaption)


def test_words_are_read_as_one_line() -> None:
    assert read_caption("a\tcat\x00 on\na mat\n\nMore.") == "a cat on a mat"
    assert isinstance(read_caption("..."), NoCaption)
