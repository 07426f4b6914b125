"""The small diffusion model in pixels."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from shared.light.words import FROM_A_SIDE
from shared.relighter.families.family import Batch
from shared.relighter.families.pixel import Pixel, PixelPipeline, embed
from shared.relighter.families.registry import read_card


@pytest.fixture
def family():
    made = Pixel("scratch", 16)
    made.load(torch.device("cpu"), torch.float32, False)
    return made


def stir(family, amount=0.05):
    """Weights other than those it begins with, which answer with the source."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in family.trained.parameters():
            weight += amount * torch.randn(weight.shape, generator=generator)
    family.trained.eval()


def batch_of(family, texts, keeps_image=1.0):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, len(texts), 3, 16, 16, generator=generator) * 2 - 1
    noise = torch.randn(2, len(texts), 3, 16, 16, generator=generator)
    encoded = [family.encode_images(one) for one in images]
    moment = torch.full((len(texts),), 0.9)
    return Batch(*encoded, family.encode_texts(texts), *noise, moment, torch.full((len(texts),), keeps_image))


def picture(seed=0, width=16, height=16):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def test_words_are_far_apart_and_the_empty_text_is_nothing():
    vectors = embed([phrase for phrases in FROM_A_SIDE.values() for phrase in phrases])
    distances = torch.cdist(vectors, vectors) + 100 * torch.eye(len(vectors))
    assert distances.min() > 5
    assert torch.equal(embed(["", " ,"]), torch.zeros(2, vectors.shape[1]))
    assert torch.equal(embed(["Light from the LEFT"]), embed(["light, from the left"]))


def test_pixels_are_their_own_latents(family):
    pixels = torch.rand(2, 3, 16, 16) * 2 - 1
    mean, log_variance = family.encode_images(pixels).chunk(2, 1)
    assert torch.equal(mean, pixels)
    assert (log_variance == -30).all()
    assert family.noise_shape() == (3, 16, 16)


def test_at_first_the_answer_is_the_source(family):
    batch = batch_of(family, ["light from the left"] * 4)
    source, target = (images[:, :3] for images in (batch.source, batch.target))
    assert family.loss(family.trained, batch).item() == pytest.approx(
        (source - target).square().mean().item(), rel=1e-5
    )
    image = picture()
    family.trained.eval()
    assert np.array_equal(family.pipeline()(prompt="light from the left", image=image).images[0], image)


def test_a_dropped_source_is_not_seen(family):
    stir(family)
    batch = batch_of(family, ["light from the left"] * 2, keeps_image=0.0)
    before = family.loss(family.trained, batch).item()
    batch.source = batch.source.flip(-1)
    assert family.loss(family.trained, batch).item() == before
    batch.keeps_image = torch.ones(2)
    assert family.loss(family.trained, batch).item() != before


def test_the_words_and_the_place_change_the_answer(family):
    stir(family)
    pipeline, image = family.pipeline(), Image.new("RGB", (16, 16), "grey")
    images = [
        np.asarray(pipeline(prompt=text, image=image, generator=torch.Generator().manual_seed(0)).images[0], int)
        for text in ("light from the left", "light from the right", "light from the left")
    ]
    assert np.array_equal(images[0], images[2])
    assert np.abs(images[0] - images[1]).max() > 2


def test_an_image_does_not_depend_on_its_neighbours_in_the_batch(family):
    stir(family)
    pipeline = family.pipeline()
    texts, images = ["light from above", "light from below"], [picture(1, 24, 16), picture(2, 24, 16)]
    generators = [torch.Generator().manual_seed(seed) for seed in (5, 6)]
    both = pipeline(prompt=texts, image=images, generator=generators, num_inference_steps=2).images
    alone = pipeline(
        prompt=texts[1], image=images[1], generator=torch.Generator().manual_seed(6), num_inference_steps=2
    )
    assert both[1].size == (24, 16)
    assert np.abs(np.asarray(both[1], int) - np.asarray(alone.images[0], int)).max() <= 1


def test_guidance_pushes_beyond_the_answer(family):
    stir(family)
    pipeline, image = family.pipeline(), picture(3)

    def answer(**scales):
        made = pipeline(prompt="light from above", image=image, generator=torch.Generator().manual_seed(0), **scales)
        return np.asarray(made.images[0], int)

    plain = answer()
    assert np.array_equal(plain, answer(guidance_scale=1.0, image_guidance_scale=1.0))
    assert not np.array_equal(plain, answer(guidance_scale=3.0))
    assert not np.array_equal(plain, answer(image_guidance_scale=2.0))


def test_what_is_saved_answers_alike_and_can_be_trained_on(family, tmp_path):
    stir(family)
    family.save(tmp_path / "model")
    assert read_card(tmp_path / "model") == {"family": "pixel", "base_model": "scratch", "resolution": 16}
    index = json.loads((tmp_path / "model" / "model_index.json").read_text())
    assert index["_class_name"] == "PixelPipeline"
    loaded = PixelPipeline.from_pretrained(tmp_path / "model")
    again = Pixel(str(tmp_path / "model"), 16)
    again.load(torch.device("cpu"), torch.float32, False)
    again.trained.eval()
    answers = [
        np.asarray(
            pipeline(prompt="light from above", image=picture(), generator=torch.Generator().manual_seed(0)).images[0]
        )
        for pipeline in (family.pipeline(), loaded, again.pipeline())
    ]
    assert np.array_equal(answers[0], answers[1]) and np.array_equal(answers[0], answers[2])
    family.save_weights(tmp_path / "checkpoint")
    fresh = Pixel("scratch", 16)
    fresh.load(torch.device("cpu"), torch.float32, False)
    fresh.load_weights(tmp_path / "checkpoint")
    for mine, theirs in zip(family.trained.parameters(), fresh.trained.parameters(), strict=True):
        assert torch.equal(mine, theirs)
