"""A judge that runs in the worker, on a small random model of a real class, loaded from its folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.workers.judges.small_vlm import save_small_vlm
from workers.judges.base import JudgeRequest
from workers.judges.settings import TransformersSettings
from workers.judges.transformers_judge import TransformersJudge


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_vlm(tmp_path_factory.mktemp("vlm"))


def request(seed: int) -> JudgeRequest:
    images = np.random.default_rng(seed).integers(0, 255, (3, 56, 40 + 8 * seed, 3), np.uint8)
    return JudgeRequest(str(seed), *images)


def judge(folder: Path, **settings: object) -> TransformersJudge:
    return TransformersJudge(TransformersSettings.model_validate({"model": str(folder), "max_tokens": 64, **settings}))


def test_what_a_random_model_says_is_unparsable_and_kept(folder: Path) -> None:
    answers = judge(folder).judge([request(0), request(1), request(2)])
    assert [answer.failure for answer in answers] == ["judge_unparsable"] * 3
    for answer in answers:
        assert len(answer.texts) == 2
        assert answer.tokens_in > 200
        assert 0 < answer.tokens_out <= 128


def test_an_answer_does_not_depend_on_its_neighbours(folder: Path) -> None:
    requests = [request(seed) for seed in range(3)]
    together = judge(folder, batch=3).judge(requests)
    alone = judge(folder, batch=1).judge(requests)
    assert [answer.texts[0] for answer in together] == [answer.texts[0] for answer in alone]


def test_other_weights_are_another_judge(folder: Path, tmp_path: Path) -> None:
    other = save_small_vlm(tmp_path)
    assert judge(other).digest == judge(folder).digest
    weights = other / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    assert judge(other).digest != judge(folder).digest


def test_a_model_of_pickled_weights_alone_is_refused(tmp_path: Path) -> None:
    import torch

    other = save_small_vlm(tmp_path)
    (other / "model.safetensors").unlink()
    torch.save({}, other / "pytorch_model.bin")
    (answer,) = judge(other).judge([request(0)])
    assert (answer.verdict, answer.texts) == (None, ())
    assert (answer.failure or "").startswith("judge_failed:")
    assert "safetensors" in (answer.detail or "")


def test_too_little_memory_makes_batches_smaller_and_loses_no_answer(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    own = judge(folder, batch=4)
    generate, sizes = own._generate, []

    def hungry(talks: list[object], shown: list[object]) -> object:
        sizes.append(len(talks))
        if len(talks) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return generate(talks, shown)  # type: ignore[arg-type]

    monkeypatch.setattr(own, "_generate", hungry)
    answers = own.judge([request(seed) for seed in range(3)])
    assert [answer.failure for answer in answers] == ["judge_unparsable"] * 3
    assert max(sizes[1:]) <= 2
