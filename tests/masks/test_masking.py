"""Where SAM 2 is told to look: files of prompts, and faces."""

import logging
from pathlib import Path

import numpy as np
import pytest
from skimage import data

torch = pytest.importorskip("torch")
pytest.importorskip("sam2")
pytest.importorskip("transformers")
from shared.errors import RunError  # noqa: E402
from shared.masks.automatic import AutomaticMasks, subject_among  # noqa: E402
from shared.masks.instance import Instance, chosen, mask_of  # noqa: E402
from shared.masks.prompts import Prompt  # noqa: E402
from shared.masks.resize import square  # noqa: E402
from shared.masks.sam2 import Sam2  # noqa: E402
from shared.masks.sam3 import Sam3  # noqa: E402
from tests.tiny_vision import TinyModels  # noqa: E402

# sam2 1.1 calls what torch 2.13 has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")


CPU = torch.device("cpu")
EVERYWHERE = AutomaticMasks(points_per_side=4, pred_iou_thresh=0.0, stability_score_thresh=0.0)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    torch.set_num_threads(1)  # threads that wait for one another on a busy machine are slower than one
    return TinyModels(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def sam3(models):
    return Sam3(models.sam3, "person", 0.2, 0.5, CPU)


def sam2(models, prompts=None):
    return Sam2(models.sam2, prompts or {}, EVERYWHERE, CPU)


def found_in(segmenter, *photographs, keys="abcdef"):
    prepared = [segmenter.prepare(key, photograph) for key, photograph in zip(keys, photographs, strict=False)]
    return segmenter.find(prepared)


def same(one, other, tolerance=1e-4):
    assert [round(instance.score, 4) for instance in one] == [round(instance.score, 4) for instance in other]
    for left, right in zip(one, other, strict=True):
        np.testing.assert_allclose(left.values, right.values, atol=tolerance)


def step_at(column, width=8, score=0.5):
    """Opaque left of a column."""
    return Instance(np.repeat((column - np.arange(width, dtype=np.float32) - 0.5)[np.newaxis], 4, axis=0) + 0.5, score)


def test_a_mask_is_opaque_inside_and_exactly_0_outside_and_its_outline_keeps_its_place():
    mask = mask_of([step_at(3)], 64, 128)
    assert (mask.shape, mask.dtype) == ((64, 128), np.uint8)
    assert (mask[:, :32] == 255).all()
    assert (mask[:, 64:] == 0).all()
    assert (np.diff(mask[0].astype(int)) <= 0).all()
    assert np.flatnonzero(mask[0] > 127).max() == 47  # 3 of 8 columns


def test_two_instances_that_touch_leave_no_seam():
    right = Instance(1 - step_at(3).values, 0.9)
    assert (mask_of([step_at(3), right], 64, 128)[:, 2:-2] > 127).all()


def test_the_union_is_all_of_them_and_the_best_is_the_one_with_the_highest_score():
    small, large = step_at(2, score=0.9), step_at(5, score=0.6)
    assert chosen([large, small], "all") == [small, large]
    assert chosen([large, small], "best") == [small]
    union, best = mask_of(chosen([large, small], "all"), 4, 8), mask_of(chosen([large, small], "best"), 4, 8)
    assert (union[0] > 127).sum() == 5
    assert (best[0] > 127).sum() == 2


def test_a_photograph_is_squashed_as_torchvision_does_it():
    from torchvision.transforms.v2.functional import resize

    photograph = data.astronaut()[:300]
    theirs = resize(torch.tensor(photograph).permute(2, 0, 1), [112, 96], antialias=True).permute(1, 2, 0).numpy()
    assert np.abs(square(photograph, 112, 96).astype(int) - theirs).max() <= 1


def test_sam3_finds_what_its_own_processor_finds(models, sam3):
    from transformers import Sam3Model, Sam3Processor

    photograph = np.array(square(data.astronaut(), 112, 112))
    processor, model = Sam3Processor.from_pretrained(models.sam3), Sam3Model.from_pretrained(models.sam3)
    inputs = processor(images=photograph, text="person", return_tensors="pt")
    with torch.inference_mode():
        outputs = model(**inputs)
    [theirs] = processor.post_process_instance_segmentation(outputs, 0.2, 0.5, [(112, 112)])
    [ours] = found_in(sam3, photograph)
    assert len(ours) == len(theirs["scores"]) == 5
    np.testing.assert_allclose([instance.score for instance in ours], theirs["scores"], atol=1e-6)
    for instance, mask in zip(ours, theirs["masks"], strict=True):
        assert ((mask_of([instance], 112, 112) > 127) == mask.bool().numpy()).mean() > 0.999


def test_sam3_gives_the_same_whatever_is_in_the_batch(sam3):
    astronaut, cat, coffee = data.astronaut(), data.chelsea(), data.coffee()
    together = found_in(sam3, astronaut, cat, coffee)
    for photograph, instances in zip((astronaut, cat, coffee), together, strict=True):
        same(instances, found_in(sam3, photograph)[0])


def test_sam3_drops_what_it_is_not_sure_of(models):
    strict = Sam3(models.sam3, "person", 0.99, 0.5, CPU)
    assert found_in(strict, data.astronaut(), data.chelsea()) == [[], []]


def test_sam3_is_asked_for_what_the_prompt_says(models, sam3):
    other = Sam3(models.sam3, "a red balloon", 0.2, 0.5, CPU)
    [one], [two] = found_in(sam3, data.astronaut()), found_in(other, data.astronaut())
    assert max(np.abs(a.values - b.values).max() for a, b in zip(one, two, strict=True)) > 1e-4


def test_sam2_finds_in_a_box_what_its_own_predictor_finds(models):
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    cat = np.array(square(data.chelsea(), 128, 128))
    box = (20.0, 10.0, 100.0, 120.0)
    segmenter = sam2(models, {"a": [Prompt(box)]})
    predictor = SAM2ImagePredictor(segmenter.predictor.model)
    predictor._bb_feat_sizes = [(32, 32), (16, 16), (8, 8)]
    predictor.set_image(cat)
    masks, scores, _ = predictor.predict(box=np.array(box), multimask_output=False)
    [[ours]] = found_in(segmenter, cat)
    assert ours.score == pytest.approx(scores[0], abs=1e-5)
    assert ((mask_of([ours], 128, 128) > 127) == masks[0].astype(bool)).mean() > 0.999


def test_sam2_looks_where_the_file_says_else_at_faces_else_everywhere(models):
    segmenter = sam2(models, {"a": [Prompt((100, 50, 300, 250)), Prompt(None, ((60, 60),), (1,))]})
    photographs = {"a": data.chelsea(), "b": data.astronaut(), "c": data.chelsea()}
    prepared = [segmenter.prepare(key, photograph) for key, photograph in photographs.items()]
    assert [one.source for one in prepared] == ["file", "face", "automatic"]
    assert [len(one.prompts) for one in prepared] == [2, 1, 0]
    assert len(segmenter.find(prepared)[0]) == 2


def test_sam2_gives_the_same_whatever_is_in_the_batch(models):
    two = [Prompt((10, 10, 200, 200)), Prompt((90, 9, 99, 99))]
    segmenter = sam2(models, {"b": [Prompt((100, 50, 300, 250))], "c": two})
    photographs = data.coffee(), data.chelsea(), data.astronaut()
    together = found_in(segmenter, *photographs)
    for key, photograph, instances in zip("abc", photographs, together, strict=True):
        same(instances, found_in(segmenter, photograph, keys=key)[0])


def test_sam2_makes_out_of_a_lone_point_the_answer_it_trusts_most(models):
    segmenter = sam2(models, {"a": [Prompt(None, ((60, 60),), (1,))]})
    cat = data.chelsea()
    prepared = segmenter.prepare("a", cat)
    segmenter.predictor.set_image(np.array(prepared.pixels))
    place = np.array(prepared.prompts[0].points)
    _, scores, _ = segmenter.predictor.predict(place, np.array([1]), multimask_output=True)
    assert len(scores) == 3
    assert found_in(segmenter, cat)[0][0].score == pytest.approx(scores.max(), abs=1e-5)


def test_sam2_asks_for_several_answers_only_where_a_lone_point_is_all_it_is_told(models):
    prompts = [Prompt(None, ((60, 60),), (1,)), Prompt(None, ((60, 60), (90, 90)), (1, 0)), Prompt((9, 9, 99, 99))]
    segmenter = sam2(models, {"a": [*prompts, Prompt((9, 9, 99, 99), ((60, 60),), (1,))]})
    predict, asked = segmenter.predictor._predict, []

    def watched(*given, multimask_output, **named):
        asked.append(multimask_output)
        return predict(*given, multimask_output=multimask_output, **named)

    segmenter.predictor._predict = watched
    assert len(found_in(segmenter, data.chelsea())[0]) == 4
    assert asked == [True, False, False, False]


def test_the_sam2_package_tells_the_log_nothing_of_each_photograph(models, caplog):
    segmenter = sam2(models, {"a": [Prompt((100, 50, 300, 250))]})
    with caplog.at_level(logging.INFO):
        found_in(segmenter, data.chelsea())
    assert caplog.messages == []


def test_a_prompt_outside_its_photograph_is_that_items_failure(models):
    segmenter = sam2(models, {"a": [Prompt((100, 50, 900, 250))]})
    sentence = r"\[100, 50, 900, 250\] lies outside the photograph, which is 451 x 300 pixels"
    with pytest.raises(ValueError, match=sentence):
        segmenter.prepare("a", data.chelsea())


def test_the_subject_is_what_holds_the_middle_and_not_the_frame():
    wall, person, cup = (np.zeros((60, 80), bool) for _ in range(3))
    person[15:, 25:55] = True
    cup[40:50, 60:70] = True
    wall[:] = ~person & ~cup
    assert subject_among([wall, cup, person]) == 2
    assert subject_among([wall, cup]) == 1
    assert subject_among([wall]) is None
    assert subject_among([]) is None


def test_sam2_without_prompts_takes_the_subject_among_its_masks(models):
    segmenter = sam2(models)
    wall, person = np.ones((128, 128), bool), np.zeros((128, 128), bool)
    person[30:, 40:90] = True
    wall[person] = False
    segmenter.everywhere.generate = lambda pixels: [
        {"segmentation": wall, "predicted_iou": 0.99}, {"segmentation": person, "predicted_iou": 0.9},
    ]  # fmt: skip
    [[subject]] = found_in(segmenter, data.chelsea())
    assert subject.score == 0.9
    assert ((mask_of([subject], 128, 128) > 127) == person).mean() > 0.98


def test_the_automatic_masks_are_made_with_the_configs_numbers(models):
    assert len(sam2(models).everywhere.point_grids[0]) == 16
    strict = Sam2(models.sam2, {}, AutomaticMasks(points_per_side=4, pred_iou_thresh=1.0), CPU)
    assert found_in(strict, data.chelsea()) == [[]]


def load_sam3(model):
    return Sam3(str(model), "person", 0.5, 0.5, CPU)


def load_sam2(model):
    return Sam2(str(model), {}, EVERYWHERE, CPU)


@pytest.fixture
def offline(monkeypatch, tmp_path):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("load", [load_sam3, load_sam2])
def test_a_folder_that_is_not_there_is_named(load):
    with pytest.raises(RunError, match=r"mask_model ./no/such/model is neither a folder"):
        load("./no/such/model")


@pytest.mark.parametrize(("load", "model"), [(load_sam3, "facebook/sam3"), (load_sam2, "facebook/sam2.1-hiera-large")])
def test_weights_that_are_not_here_are_named_with_the_way_out(offline, load, model):
    with pytest.raises(RunError, match=rf"mask_model {model} is not on this machine .*`hf download {model}`"):
        load(model)


def test_a_sam2_in_the_form_of_transformers_is_refused_with_what_is_missing(models):
    with pytest.raises(RunError, match=r"has 0 .yaml and 0 .pt files; the sam2 package needs one of each"):
        load_sam2(models.sam2_of_transformers)


def test_a_sam2_that_its_package_does_not_know_is_refused_with_those_it_does():
    with pytest.raises(RunError, match=r"mask_model someone/sam2 is neither a folder nor one .*sam2.1-hiera-large"):
        load_sam2("someone/sam2")


def test_a_folder_of_another_kind_is_refused(models, tmp_path):
    with pytest.raises(RunError, match=r"mask_model .*sam2 cannot be loaded .*of another kind of model"):
        load_sam3(models.sam2)
    for path in ("sam2_tiny.yaml", "sam2_tiny.pt"):
        (tmp_path / path).write_bytes((Path(models.sam2) / path).read_bytes()[:1500])
    with pytest.raises(RunError, match=r"cannot be loaded .*its files are incomplete"):
        load_sam2(tmp_path)


def test_prompts_are_in_pixels_of_the_photograph_as_it_is_stored(models):
    segmenter = sam2(models, {"a": [Prompt((100.0, 60.0, 300.0, 250.0))]})
    cat = data.chelsea()
    whole = segmenter.prepare("a", cat)
    half = segmenter.prepare("a", cat[::2, ::2], (cat.shape[1], cat.shape[0]))
    assert half.prompts == whole.prompts
    with pytest.raises(ValueError, match="lies outside the photograph, which is 226 x 150 pixels"):
        segmenter.prepare("a", cat[::2, ::2])
