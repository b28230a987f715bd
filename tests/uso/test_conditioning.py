"""Encoders, loaded from folders as the real ones are, and what comes out of them."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPVisionConfig, CLIPVisionModel, Dinov2Config, Dinov2Model, SiglipVisionModel, T5EncoderModel

from uso.conditioning import Encoders, encode_requests, open_image
from uso.encoders import EncoderError
from uso.images import fit_content, image_tensor
from uso.latents import LatentCodec
from uso.tasks import SampleRequest, Task, read_requests
from uso.text import CLIPTextEncoder, T5Encoder
from uso.vision import VisionTower

FLOAT = torch.float32


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, Path]:
    noise = Image.effect_noise((200, 120), 80).convert("RGB")
    images = {"content": noise, "ink": Image.linear_gradient("L"), "paper": Image.radial_gradient("L")}
    for name, image in images.items():
        image.save(tmp_path / f"{name}.png")
    return {name: tmp_path / f"{name}.png" for name in images}


def encoders(pipeline: Path) -> Encoders:
    return Encoders(
        t5=lambda: T5Encoder.load(str(pipeline / "text_encoder_2"), dtype=FLOAT, length=8),
        clip=lambda: CLIPTextEncoder.load(str(pipeline / "text_encoder"), dtype=FLOAT),
        codec=lambda: LatentCodec.load(str(pipeline / "vae"), dtype=FLOAT),
        vision=lambda: VisionTower.load(str(pipeline / "vision"), dtype=FLOAT),
    )


def test_prompts_become_tokens_of_one_length_without_a_mask(pipeline: Path) -> None:
    encoder = T5Encoder.load(str(pipeline / "text_encoder_2"), dtype=FLOAT, length=8)
    features = encoder.encode(["the cat", ""])
    assert features.shape == (2, 8, 48)
    ids = encoder.tokenizer(["the cat"], padding="max_length", max_length=8, return_tensors="pt").input_ids
    direct = T5EncoderModel.from_pretrained(pipeline / "text_encoder_2")(input_ids=ids).last_hidden_state
    torch.testing.assert_close(features[:1], direct.detach())
    # Padding is part of what FLUX reads: the same prompt at another length is another condition.
    longer = T5Encoder.load(str(pipeline / "text_encoder_2"), dtype=FLOAT, length=12).encode(["the cat"])
    assert not torch.allclose(longer[:, :8], features[:1])


def test_the_clip_vector_is_the_state_at_the_end_of_the_text(pipeline: Path) -> None:
    encoder = CLIPTextEncoder.load(str(pipeline / "text_encoder"), dtype=FLOAT)
    pooled = encoder.encode(["the cat", "a dog on the roof", ""])
    assert pooled.shape == (3, 40)
    tokens = encoder.tokenizer(["the cat"], padding="max_length", max_length=16, return_tensors="pt").input_ids
    states = encoder.model(input_ids=tokens).last_hidden_state
    end = tokens[0].tolist().index(encoder.tokenizer.eos_token_id)
    torch.testing.assert_close(pooled[0], states[0, end])


def test_a_prompt_that_is_cut_is_told(pipeline: Path, caplog: pytest.LogCaptureFixture) -> None:
    encoder = T5Encoder.load(str(pipeline / "text_encoder_2"), dtype=FLOAT, length=4)
    with caplog.at_level(logging.WARNING):
        assert encoder.encode(["the cat on the red roof"]).shape == (1, 4, 48)
    assert "cut to 4" in caplog.text


def test_style_images_become_the_hidden_states_of_three_layers(pipeline: Path) -> None:
    tower = VisionTower.load(str(pipeline / "vision"), dtype=FLOAT)
    image = Image.effect_noise((70, 30), 80)
    features = tower.encode([image, image.rotate(90)])
    assert [level.shape for level in features] == [(2, 25, 32)] * 3
    model = SiglipVisionModel.from_pretrained(pipeline / "vision").eval()
    pixels = tower.processor(images=[image.convert("RGB")], return_tensors="pt").pixel_values
    with torch.no_grad():
        states = model(pixels, output_hidden_states=True).hidden_states
    for level, layer in zip(features, (-2, -11, -20), strict=True):
        torch.testing.assert_close(level[:1], states[layer])


@pytest.mark.parametrize("kind", ["clip", "dinov2"])
def test_other_vision_towers_load_by_the_same_path(tmp_path: Path, pipeline: Path, kind: str) -> None:
    sizes = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "image_size": 40, "patch_size": 8}
    if kind == "clip":
        model = CLIPVisionModel(CLIPVisionConfig(**sizes, intermediate_size=32))
    else:
        model = Dinov2Model(Dinov2Config(**sizes))
    model.save_pretrained(tmp_path)
    shutil.copy(pipeline / "vision" / "preprocessor_config.json", tmp_path)
    features = VisionTower.load(str(tmp_path), dtype=FLOAT, layers=(-1, -2, -3)).encode([Image.new("RGB", (9, 9))])
    assert features.low.shape == (1, 26, 16)
    with pytest.raises(EncoderError, match="has 4 hidden states, but the style layers are"):
        VisionTower.load(str(tmp_path), dtype=FLOAT).encode([Image.new("RGB", (9, 9))])


def test_latents_are_shifted_scaled_and_decoded_back(pipeline: Path) -> None:
    codec = LatentCodec.load(str(pipeline / "vae"), dtype=FLOAT)
    pixels = image_tensor(fit_content(Image.effect_noise((200, 120), 80), 64))
    mean = codec.encode(pixels)
    assert mean.shape == (1, 16, 4, 8)
    raw = codec.model.encode(pixels).latent_dist
    torch.testing.assert_close(mean, (raw.mode() - 0.1159) * 0.3611)
    torch.testing.assert_close(codec.decode(mean), codec.model.decode(raw.mode()).sample)
    drawn = codec.encode(pixels, generator=torch.Generator().manual_seed(1))
    assert not torch.equal(drawn, mean)
    assert torch.equal(drawn, codec.encode(pixels, generator=torch.Generator().manual_seed(1)))
    assert codec.decode_images(mean)[0].size == (64, 32)
    with pytest.raises(ValueError, match="do not divide"):
        codec.encode(torch.zeros(1, 3, 24, 32))


def test_gradients_flow_back_through_decoding(pipeline: Path) -> None:
    codec = LatentCodec.load(str(pipeline / "vae"), dtype=FLOAT)
    latent = torch.randn(1, 16, 2, 2, requires_grad=True)
    codec.decode(latent).mean().backward()
    assert latent.grad is not None
    assert latent.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in codec.model.parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dtype_is_chosen_and_memory_is_let_go(pipeline: Path, dtype: torch.dtype) -> None:
    codec = LatentCodec.load(str(pipeline / "vae"), dtype=dtype)
    assert codec.dtype is dtype
    assert codec.device == torch.device("cpu")
    codec.release()
    with pytest.raises(EncoderError, match="was released"):
        codec.encode(torch.zeros(1, 3, 16, 16))


def test_encoders_that_do_not_load_say_why(pipeline: Path, tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="cannot be loaded"):
        T5Encoder.load(str(tmp_path / "nothing"), dtype=FLOAT)
    with pytest.raises(EncoderError, match="cannot be loaded"):
        LatentCodec.load(str(tmp_path / "nothing"), dtype=FLOAT)
    shutil.copytree(pipeline / "text_encoder_2", tmp_path / "t5")
    weights = tmp_path / "t5" / "model.safetensors"
    save_file({"shared.weight": load_file(weights)["shared.weight"]}, weights, metadata={"format": "pt"})
    with pytest.raises(EncoderError, match="weights of T5EncoderModel are missing"):
        T5Encoder.load(str(tmp_path / "t5"), dtype=FLOAT)
    weights.unlink()
    torch.save({}, tmp_path / "t5" / "pytorch_model.bin")
    with pytest.raises(EncoderError, match="cannot be loaded"):
        T5Encoder.load(str(tmp_path / "t5"), dtype=FLOAT)


def test_a_subfolder_is_named_after_two_slashes(pipeline: Path) -> None:
    one = T5Encoder.load(f"{pipeline}//text_encoder_2", dtype=FLOAT, length=8).encode(["the cat"])
    other = T5Encoder.load(str(pipeline / "text_encoder_2"), dtype=FLOAT, length=8).encode(["the cat"])
    assert torch.equal(one, other)


def test_requests_are_encoded_with_one_encoder_at_a_time(pipeline: Path, pictures: dict[str, Path]) -> None:
    both = SampleRequest("the cat", pictures["content"], (pictures["ink"], pictures["paper"]))
    stages: list[str] = []
    conditions = encode_requests([both, SampleRequest("")], encoders(pipeline), long_side=64, on_stage=stages.append)
    assert stages == ["T5 text encoder", "CLIP text encoder", "autoencoder", "vision tower"]
    assert conditions[0].text.shape == (1, 8, 48)
    assert conditions[0].contents[0].shape == (1, 16, 4, 8)
    assert len(conditions[0].styles) == 2
    assert conditions[1].contents == ()
    again = encode_requests([both, both], encoders(pipeline), long_side=64)
    assert again[0].text.data_ptr() == again[1].text.data_ptr()
    assert again[0].styles[0].low.data_ptr() == again[1].styles[0].low.data_ptr()
    assert conditions[1].styles == ()
    tower = VisionTower.load(str(pipeline / "vision"), dtype=FLOAT)
    assert torch.equal(conditions[0].styles[1].mid, tower.encode([Image.open(pictures["paper"])]).mid)


def test_pictures_that_are_none_are_named(tmp_path: Path, pictures: dict[str, Path]) -> None:
    whole = pictures["content"].read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"cut\.png: cannot be read"):
        open_image(tmp_path / "cut.png")
    with pytest.raises(ValueError, match=r"text\.png: cannot be read"):
        open_image(tmp_path / "text.png")
    with pytest.raises(ValueError, match=r"lost\.png: no such image"):
        open_image(tmp_path / "lost.png")


@pytest.mark.parametrize(
    ("prompt", "content", "styles", "task"),
    [
        ("a cat", False, 0, Task.TEXT),
        ("a cat", True, 0, Task.SUBJECT),
        ("a cat", False, 2, Task.STYLE),
        ("a cat", True, 1, Task.LAYOUT_SHIFTED),
        ("  ", True, 1, Task.LAYOUT_PRESERVED),
    ],
)
def test_the_references_make_the_task(prompt: str, content: bool, styles: int, task: Task) -> None:
    request = SampleRequest(prompt, Path("c.png") if content else None, (Path("s.png"),) * styles)
    assert request.task is task


def test_a_preserved_layout_has_the_content_s_shape() -> None:
    kept = SampleRequest("", Path("c.png"), (Path("s.png"),))
    assert kept.target_size(None, None, (700, 500)) == (1024, 704)
    assert SampleRequest("a cat", Path("c.png"), (Path("s.png"),)).target_size(None, None, (700, 500)) == (1024, 1024)
    assert kept.target_size(333, 100, (700, 500)) == (320, 96)
    with pytest.raises(ValueError, match="both width and height"):
        kept.target_size(64, None, None)
    with pytest.raises(ValueError, match="below one token"):
        kept.target_size(8, 64, None)


def test_an_evaluation_in_upstream_s_form_is_read(tmp_path: Path, pictures: dict[str, Path]) -> None:
    items = [
        {"prompt": "", "image_paths": ["content.png", "ink.png"]},
        {"prompt": "a fox", "image_paths": ["", "ink.png", "paper.png"], "save_dir": "style/fox"},
        {"prompt": "a fox", "image_paths": []},
    ]
    (tmp_path / "eval.json").write_text(json.dumps(items))
    first, second, third = read_requests(tmp_path / "eval.json")
    assert first == SampleRequest("", pictures["content"], (pictures["ink"],))
    assert second == SampleRequest("a fox", None, (pictures["ink"], pictures["paper"]), "style/fox")
    assert third.task is Task.TEXT


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a JSON file"),
        ("[]", "at least one"),
        ('[{"image_paths": []}]', 'item 0: "prompt" must be a string'),
        ('[{"prompt": "a", "image_paths": "x.png"}]', 'item 0: "image_paths" must be a list'),
        ('[{"prompt": "a", "image_paths": ["", "lost.png"]}]', "no such image"),
        ('[{"prompt": "a", "save_dir": "../../out"}]', "inside the output folder"),
        ('["a"]', "item 0: must be an object"),
        ('[{"prompt": "a", "save_dir": "x"}, {"prompt": "b", "save_dir": "./x"}]', "item 1: would be saved as ./x, as"),
        ('[{"prompt": "a", "save_dir": "1"}, {"prompt": "b"}]', "item 1: would be saved as 1, as item 0 is"),
    ],
)
def test_an_evaluation_that_is_malformed_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "eval.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_requests(tmp_path / "eval.json")
