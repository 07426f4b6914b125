"""The trainer on tiny models in this process: what it starts from, stops at, resumes to, and leaves."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("peft")
from shared.errors import ConfigError, RunError  # noqa: E402
from shared.relighter.training.batches import collate  # noqa: E402
from shared.relighter.training.checkpoints import Checkpoints  # noqa: E402
from shared.run.config import load_config  # noqa: E402
from tests.relighter.training.beginning import losses, same, weights_of  # noqa: E402
from tests.training_run import make_step, member, train, trainer_of, write_config  # noqa: E402

FAMILIES = ("sd15", *(pytest.param(name, marks=pytest.mark.slow) for name in ("sdxl", "flux")))


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_stopped_and_resumed_training_is_bit_equal_to_one_that_ran_through(begin, family):
    through, halted = (begin(name, family, lr_scheduler="cosine", lr_warmup_steps=4) for name in ("through", "halted"))
    assert train(through)
    assert not train(halted, stop_at=2)
    assert not (halted.folder / "model").exists() and not (halted.folder / "end0.txt").exists()
    assert Checkpoints(halted.folder, None).steps() == [2]
    assert halted.worker.left(halted) == 4
    assert train(halted)
    assert same(weights_of(through.folder / "model"), weights_of(halted.folder / "model"))
    assert same(weights_of(through.folder / "checkpoint-6"), weights_of(halted.folder / "checkpoint-6"))
    one, other = (torch.load(step.folder / "checkpoint-6" / "optimizer.pt") for step in (through, halted))
    assert torch.equal(one["optimizer"]["state"][0]["exp_avg"], other["optimizer"]["state"][0]["exp_avg"])
    assert halted.worker.left(halted) == 0
    assert (halted.folder / "end0.txt").read_text().endswith("items 6, recorded 6, failed 0\n")


@pytest.mark.parametrize("family", FAMILIES)
def test_training_changes_the_weights_and_nothing_that_is_frozen(begin, family):
    step = begin("one", family, use_ema=False, learning_rate=1e-3)
    with member(step) as together:
        trainer = trainer_of(step, together)
        before = [weights.clone() for weights in trainer.weights]
        frozen = {
            name: value.clone() for name, value in trainer.family.trained.named_parameters() if not value.requires_grad
        }
        assert trainer.run()
        assert all((now != then).any() for now, then in zip(trainer.weights, before, strict=True))
        now = dict(trainer.family.trained.named_parameters())
        assert all(torch.equal(now[name], value) for name, value in frozen.items())
    assert (family == "flux") == bool(frozen)


@pytest.mark.parametrize("family", FAMILIES[:2])
def test_the_first_loss_is_that_of_the_base_model(begin, family, tiny_models):
    """The source's channels begin at zero, so that the widened model predicts what the base model predicts."""
    from diffusers import UNet2DConditionModel

    step = begin("base", family)
    base = UNet2DConditionModel.from_pretrained(tiny_models[family], subfolder="unet").eval()
    with member(step) as together, torch.no_grad():
        trainer = trainer_of(step, together)
        batch = trainer.prepare(collate([trainer._examples()[position] for position in range(4)]))
        widened = trainer.family.trained.eval()
        assert widened.conv_in.in_channels == 8 and base.conv_in.in_channels == 4

        def alone(sample, *arguments, **more):
            return base(sample[:, :4], *arguments, **more)

        assert torch.equal(trainer.family.loss(widened, batch), trainer.family.loss(alone, batch))
        widened.conv_in.weight[:, 4:] += 0.1
        assert not torch.equal(trainer.family.loss(widened, batch), trainer.family.loss(alone, batch))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_model_hears_the_words_and_sees_the_source_unless_they_are_dropped(begin, family):
    step = begin("drops", family)
    with member(step) as together, torch.no_grad():
        trainer = trainer_of(step, together)
        if family != "flux":
            trainer.family.trained.conv_in.weight[:, 4:] += 0.1
        examples = [trainer._examples()[position] for position in range(2)]

        def loss(text, source, drops_text=False, drops_image=False):
            changed = [
                one | {"text": text, "source": one["source"] if source else 255 - one["source"],
                       "drops_text": drops_text, "drops_image": drops_image} for one in examples
            ]  # fmt: skip
            return trainer.family.loss(trainer.family.trained.eval(), trainer.prepare(collate(changed))).item()

        assert loss("warm light", True) != loss("cool light", True)
        assert loss("warm light", True) != loss("warm light", False)
        assert loss("warm light", True, drops_text=True) == loss("cool light", True, drops_text=True)
        assert loss("warm light", True, drops_text=True) == pytest.approx(loss("", True), rel=1e-6)
        assert loss("warm light", True, drops_image=True) == loss("warm light", False, drops_image=True)


@pytest.mark.slow
def test_the_loss_does_not_hang_on_how_the_examples_are_cut_into_batches(begin):
    whole = begin("whole", batch_size=4)
    parts = begin("parts", batch_size=2, gradient_accumulation_steps=2)
    assert train(whole) and train(parts)
    one, other = (weights_of(step.folder / "checkpoint-6") for step in (whole, parts))
    assert all(torch.allclose(one[name], other[name], atol=2e-5) for name in one)
    assert losses(whole)[-1]["loss"] == pytest.approx(losses(parts)[-1]["loss"], rel=1e-4)


@pytest.mark.slow
def test_cached_latents_give_the_training_that_encoding_every_time_gives(begin):
    plain = begin("plain", center_crop=True, random_flip=True)
    cached = begin("cached", center_crop=True, random_flip=True, cache_latents=True)
    assert train(plain) and train(cached)
    one, other = (weights_of(step.folder / "model") for step in (plain, cached))
    # The encoders see other batches, so that their sums are rounded otherwise.
    assert all(torch.allclose(one[name], other[name], atol=1e-5) for name in one)
    names = {path.name for path in (cached.folder / "cache").iterdir()}
    assert names == {"source.bin", "target.bin", "states.bin", "done.bin", "texts.json", "rows.json"}


def test_a_cache_that_was_killed_half_way_is_filled_and_an_image_that_cannot_be_read_is_passed_over(
    begin, table, tmp_path
):
    from shared.relighter.training.latents import UNREADABLE, WHOLE, LatentCache, mapped

    step = begin("cache", center_crop=True, cache_latents=True)
    photograph = table.parent / "4.png"
    kept = photograph.read_bytes()
    photograph.write_bytes(b"torn")
    try:
        with member(step) as together:
            trainer = trainer_of(step, together)
            trainer.options.cache_latents = False
            examples = trainer._examples()
            cache = LatentCache(tmp_path / "cache", examples, trainer.family)
            encode, count = cache._encode, []

            def dies(*arguments):
                count.append(1)
                if len(count) == 3:
                    raise KeyboardInterrupt
                encode(*arguments)

            cache._encode = dies
            with pytest.raises(KeyboardInterrupt):
                cache.fill(0, 1, 2)
            done = mapped(tmp_path / "cache" / "done.bin", cache.shape[:2], torch.uint8)
            assert done[:, 0].tolist() == [WHOLE] * 4 + [0] * 5
            again = LatentCache(tmp_path / "cache", examples, trainer.family)
            again.fill(0, 1, 2)
            assert done[:, 0].tolist() == [WHOLE] * 4 + [UNREADABLE] + [WHOLE] * 4
            taken = {again.examples()[position]["index"] for position in range(9)}
            assert taken == set(range(9)) - {4}
    finally:
        photograph.write_bytes(kept)


@pytest.mark.slow
def test_latents_of_images_that_were_made_anew_are_not_used(begin, table):
    step = begin(center_crop=True, cache_latents=True)
    assert not train(step, stop_at=1)
    cached = (step.folder / "cache" / "source.bin").read_bytes()
    assert not train(step, stop_at=2)
    assert (step.folder / "cache" / "source.bin").read_bytes() == cached
    images = sorted(table.parent.glob("*_flat.png"))
    kept = [path.read_bytes() for path in images]
    try:
        for path in images:
            path.write_bytes(kept[0])
        text = step.table_path.read_text()
        step.table_path.write_text(text)  # as the step before writes it when it has made its images anew
        assert not train(step, stop_at=3)
        assert (step.folder / "cache" / "source.bin").read_bytes() != cached
    finally:
        for path, data in zip(images, kept, strict=True):
            path.write_bytes(data)


def test_the_cache_needs_crops_that_are_the_same_every_time(begin):
    with pytest.raises(ConfigError, match="cache_latents needs center_crop: true"):
        begin(cache_latents=True)


def test_a_loss_that_is_no_number_ends_the_training_before_it_is_saved(begin):
    step = begin(learning_rate=1e30, max_grad_norm=0)
    with pytest.raises(RunError, match=r"the loss is not a number at step \d+; lower learning_rate"):
        train(step)
    assert not (step.folder / "model").exists() and not Checkpoints(step.folder, None).steps()


def test_one_loss_that_overflows_is_left_out_of_the_mean(begin):
    step = begin(max_train_steps=4)
    with member(step) as together:
        trainer = trainer_of(step, together)
        find, calls = trainer.family.loss, []

        def loss(model, batch):
            calls.append(1)
            found = find(model, batch)
            return found + (float("inf") if len(calls) == 2 else 0.0)  # its gradients stay as they were

        trainer.family.loss = loss
        assert trainer.run()
    assert 0 < losses(step)[-1]["loss"] < 10


@pytest.mark.slow
def test_the_saved_model_is_the_average_of_the_weights_where_that_is_kept(begin):
    averaged, plain = begin("averaged", learning_rate=1e-3), begin("plain", learning_rate=1e-3, use_ema=False)
    assert train(averaged) and train(plain)
    assert same(weights_of(averaged.folder / "checkpoint-6"), weights_of(plain.folder / "checkpoint-6"))
    one, other = weights_of(averaged.folder / "model"), weights_of(plain.folder / "model")
    assert one.keys() == other.keys() and not same(one, other)


def test_other_spellings_of_options_are_taken_and_twice_the_same_is_refused(tmp_path, table):
    config = write_config(tmp_path / "a.yaml", table, train_batch_size=3, pretrained_model_name_or_path="x/y")
    config.write_text(config.read_text().replace("    batch_size: 2\n", ""))
    worker = load_config(config).steps[0].worker
    assert (worker.batch_size, worker.model_path) == (3, "x/y")
    with pytest.raises(ConfigError, match="train_batch_size and batch_size are the same option"):
        load_config(write_config(tmp_path / "b.yaml", table, train_batch_size=3))


def test_a_table_without_triplets_is_named_with_its_fields(begin, tmp_path, table):
    with pytest.raises(RunError, match=r"has no field words; it has .*edit_prompt"):
        begin(columns={"instruction": "words"})
    rows = [json.loads(line) | {"split": "test"} for line in table.read_text().splitlines()]
    other = table.parent / "test_only.jsonl"
    other.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(RunError, match="none of 12 rows is a triplet of the split train"):
        make_step(write_config(tmp_path / "c.yaml", other), tmp_path / "c")


@pytest.mark.slow
def test_validation_writes_strips_and_the_floor_beside_them(begin):
    step = begin(validation_steps=3, validation_inference_steps=2, num_validation_images=5, report_to="tensorboard")
    assert train(step)
    found = json.loads((step.folder / "validation" / "6" / "validation.json").read_text())
    assert len(found["psnr"]) == len(found["psnr_floor"]) == 2  # the rows of the split val
    assert found["validation_psnr_floor"] == pytest.approx(np.mean(found["psnr_floor"]))
    assert sorted(path.name for path in (step.folder / "validation" / "3").iterdir()) == [
        "0.png",
        "1.png",
        "validation.json",
    ]
    from PIL import Image

    with Image.open(step.folder / "validation" / "6" / "0.png") as strip:
        assert strip.size == (192, 64)
    assert list((step.folder / "logs").rglob("events.out.tfevents*"))


@pytest.mark.slow
def test_diffusers_own_pipeline_takes_the_trained_model(begin):
    from diffusers import StableDiffusionInstructPix2PixPipeline
    from PIL import Image

    step = begin()
    assert train(step)
    pipeline = StableDiffusionInstructPix2PixPipeline.from_pretrained(step.folder / "model", safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    image = pipeline("light from the left", image=Image.new("RGB", (64, 64), "grey"), num_inference_steps=2).images[0]
    assert image.size == (64, 64)


def test_without_torch_the_way_out_is_said_and_nothing_is_tried_again(begin, monkeypatch):
    from shared.loop.together import Parent

    step = begin()
    monkeypatch.setattr("shared.loop.together.find_spec", lambda name: None)
    with pytest.raises(RunError, match=r"needs the package torch.*requirements\.txt"):
        Parent(step, None).run()
