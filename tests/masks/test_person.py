from importlib.metadata import PackageNotFoundError

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

from shared.doctor.finding import fail
from shared.doctor.hub import Hub
from shared.doctor.models import check_model
from shared.errors import RunError
from shared.masks import packaged
from shared.masks.detectors import Sighting, find_faces, intersection_over_union
from shared.masks.instance import Instance
from shared.masks.packaged import PEOPLE_PACKAGE
from shared.masks.person import (
    TwoSizes,
    around,
    edged,
    everybody_in,
    feather,
    likelihood,
    load_networks,
    look_twice,
    people,
    seen_in,
    small_people,
    with_a_core,
)
from shared.masks.undecided import decided
from shared.run.config import checked
from shared.worker import Loaded
from tests.conftest import ROOT
from workers.degrade import Degrade

EVERYWHERE = [Sighting(0, 0, 10_000, 10_000, 1.0)]


def blob(height, width, x, y, radius, softness=2.0):
    """A likelihood that falls from 1 to 0 around a circle, within `softness` pixels."""
    rows, columns = np.mgrid[:height, :width]
    return np.clip((radius - np.hypot(rows - y, columns - x)) / softness + 0.5, 0, 1).astype(np.float32)


# ---- What a map of likelihood says ----


def test_a_firm_outline_is_somebody_and_a_vague_one_nobody():
    found = everybody_in(blob(200, 300, 150, 100, 60), EVERYWHERE)
    assert found.score > 0.9 and found.values.shape == (200, 300)
    assert everybody_in(blob(200, 300, 150, 100, 60, softness=200), EVERYWHERE) is None
    assert everybody_in(np.full((200, 300), 0.6, np.float32), EVERYWHERE) is None
    assert everybody_in(np.zeros((200, 300), np.float32), EVERYWHERE) is None
    assert everybody_in(np.ones((200, 300), np.float32), EVERYWHERE) is None  # nobody fills a photograph


def test_what_no_detector_has_seen_is_left_out_but_for_firm_company():
    somebody, there = blob(200, 300, 230, 100, 50), [Sighting(180, 40, 290, 160, 0.9)]
    firm, vague = blob(200, 300, 70, 100, 50), blob(200, 300, 70, 100, 30, softness=45)
    found = everybody_in(np.maximum(somebody, vague), there)
    assert found.values[100, 230] == 1 and found.values[:, :130].max() == 0
    found = everybody_in(np.maximum(somebody, firm), there)
    assert found.values[100, 230] == found.values[100, 70] == 1
    assert everybody_in(np.maximum(somebody, firm), [Sighting(140, 0, 160, 20, 0.9)]) is None


def test_spots_go_holes_are_filled_and_a_window_under_an_arm_stays():
    likely = blob(200, 300, 150, 100, 70)
    likely[100:103, 150:153] = 0  # a hole
    likely[60:80, 120:140] = 0  # what is seen through
    likely[5:8, 5:8] = 1  # a spot
    found = everybody_in(likely, EVERYWHERE)
    assert (found.values[100:103, 150:153] == 1).all() and (found.values[62:78, 122:138] == 0).all()
    assert found.values[:20, :20].max() == 0


def test_small_people_are_looked_at_again_those_who_are_close_together():
    likely = np.maximum(blob(300, 500, 60, 60, 20), blob(300, 500, 100, 62, 18))
    likely = np.maximum(likely, blob(300, 500, 420, 200, 25))
    first, second = small_people(likely)
    assert first[0] <= 20 and first[2] >= 140  # both, with their surroundings
    assert second[0] < 395 < 445 < second[2] and second[1] < 175 < 225 < second[3]
    assert small_people(blob(300, 500, 250, 150, 140)) == []  # who is large is seen well enough
    assert small_people(np.zeros((300, 500), np.float32)) == []


def test_a_box_around_boxes_holds_them_all():
    assert around([(3, 4, 10, 20), (1, 5, 12, 9)]) == (1, 4, 12, 20)


def test_a_crop_goes_over_into_the_rest_but_not_at_the_edge_of_the_photograph():
    weight = feather((40, 60), (False, True, True, True))
    assert weight.shape == (40, 60) and weight.max() == 1
    assert weight[20, 0] == 1 and weight[20, -1] == weight[0, 30] == weight[-1, 30] == 0
    assert (feather((40, 60), (False,) * 4) == 1).all()


def test_the_outline_follows_the_edges_of_the_large_photograph():
    inside = blob(1200, 1800, 900, 600, 400, softness=1) > 0.5
    noise = np.random.default_rng(1).normal(0, 3, (1200, 1800, 1))
    photograph = np.uint8(np.clip(np.where(inside[..., None], (200, 60, 40), (60, 90, 160)) + noise, 0, 255))
    rough = blob(342, 512, 256, 171, 110, softness=12)  # a little too small, and soft
    mask = edged(Instance(rough, 1.0), photograph)
    assert (mask.shape, mask.dtype) == ((1200, 1800), np.uint8)
    assert mask[~cv2.dilate(inside.astype(np.uint8), np.ones((61, 61), np.uint8)).astype(bool)].max() == 0
    enlarged = cv2.resize(rough, (1800, 1200)) > 0.5
    assert ((mask > 127) == inside).mean() > (enlarged == inside).mean()
    assert ((mask > 127) == inside).mean() > 0.985


# ---- What the colours decide ----


def test_haze_beside_somebody_goes_and_a_pale_arm_becomes_whole():
    rng = np.random.default_rng(3)
    inside = blob(300, 400, 200, 150, 80, softness=1) > 0.5
    inside[140:170, 60:200] = True  # an arm
    noise = rng.normal(0, 6, (300, 400, 3))
    photograph = np.uint8(np.clip(np.where(inside[..., None], (150, 80, 70), (90, 120, 60)) + noise, 0, 255))
    likely = np.maximum(blob(300, 400, 200, 150, 74, softness=30), 0.35 * blob(300, 400, 240, 180, 140))
    likely[140:170, 60:140] = 0.4
    values = decided(likely, photograph)
    assert values.shape == likely.shape and values.dtype == np.float32
    near_edge = cv2.morphologyEx(inside.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((7, 7))) > 0
    assert ((values > 0.5) == inside)[~near_edge].mean() > 0.995 > ((likely > 0.5) == inside)[~near_edge].mean()
    assert values[30, 380] == 0 and values[155, 80] == 1
    assert np.array_equal(values, decided(likely, photograph))


def test_colours_decide_nothing_where_the_network_is_sure_of_all_or_of_nothing():
    photograph = np.random.default_rng(4).integers(0, 256, (60, 80, 3), np.uint8)
    sure = (blob(60, 80, 40, 30, 20, softness=1) > 0.5).astype(np.float32)
    for likely in (np.full((60, 80), 0.5, np.float32), np.ones((60, 80), np.float32), sure[:1, :1]):
        assert decided(likely, photograph[: likely.shape[0], : likely.shape[1]]) is likely


def test_what_the_colours_cut_off_is_left_out():
    likely = blob(200, 300, 150, 100, 60)
    values = likely.copy()
    values[10:30, 10:30] = 1
    kept = with_a_core(values, likely)
    assert kept[100, 150] == 1 and kept[:40, :40].max() == 0


# ---- The network ----


def test_without_the_package_one_sentence_says_how_to_get_it(monkeypatch):
    def distribution(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(packaged, "distribution", distribution)
    with pytest.raises(RunError, match=r"pose_detection.tflite is not here; install the package mediapipe: uv pip"):
        load_networks()
    [model] = checked(Degrade, {}, "step 2 (degrade)").forecast().models
    assert list(check_model("step 2 (degrade)", model, Hub())) == [
        fail(f"step 2 (degrade): mask_model selfie_segmentation.tflite is not on this machine; {PEOPLE_PACKAGE.how_to_get_it()}")
    ]  # fmt: skip


def test_files_that_are_no_such_network_are_told_in_a_sentence(tmp_path):
    with pytest.raises(RunError, match=r"mask_model .*none.tflite is not there"):
        load_networks(str(tmp_path / "none.tflite"))
    (tmp_path / "text.tflite").write_text("no network")
    with pytest.raises(RunError, match=r"text.tflite cannot be read as a network in TFLite"):
        load_networks(str(tmp_path / "text.tflite"))
    with pytest.raises(RunError, match=r"pose_detection.tflite answers with .* values, not one for each pixel"):
        load_networks(str(packaged.POSES_PACKAGE.find()))


def found_in(photograph):
    found = people(photograph)
    return found[0] if found else None


def test_an_astronaut_is_cut_out_and_animals_things_and_landscapes_are_nobody():
    astronaut = data.astronaut()
    mask = found_in(astronaut)
    assert mask[80:160, 190:250].min() == 255, "the face is in"
    assert mask[:100, 330:].max() == 0, "the wall is out, exactly"
    assert mask[400:, 150:250].mean() > 245, "the suit is in"
    for name in (
        "mountains.jpg",
        "sunset.jpg",
        "dandelions.jpg",
        "cat.jpg",
        "dogs.jpg",
        "fig.jpg",
        "coffee.jpg",
        "rocket.jpg",
    ):
        with Image.open(ROOT / "configs" / "samples" / name) as image:
            assert found_in(np.asarray(image.convert("RGB"))) is None, name


def test_who_is_seen_in_the_mirror_alone_is_seen(monkeypatch):
    astronaut = data.astronaut()
    straight = seen_in(astronaut)
    seen_there = []

    def in_the_mirror_alone(photograph):
        is_mirrored = np.array_equal(photograph, astronaut[:, ::-1])
        seen_there.append(is_mirrored)
        return find_faces(photograph) if is_mirrored else []

    monkeypatch.setattr("shared.masks.person.find_people", lambda photograph: [])
    monkeypatch.setattr("shared.masks.person.find_faces", in_the_mirror_alone)
    [mirrored] = seen_in(astronaut)
    assert seen_there == [False, True]
    assert max(intersection_over_union(mirrored, one) for one in straight) > 0.7


@pytest.mark.parametrize(("side", "top"), [(200, 650), (160, 840)])
def test_who_is_far_away_is_seen_better_by_the_second_look(side, top):
    with Image.open(ROOT / "configs" / "samples" / "mountains.jpg") as image:
        scene = np.asarray(image.convert("RGB").resize((1500, 1000)))
    with Image.open(ROOT / "configs" / "samples" / "admiral.jpg") as image:
        man = np.asarray(image.convert("RGB"))
    whole = found_in(man)
    mask, small = (cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA) for picture in (whole, man))
    scene = scene.copy()
    place = scene[top : top + side, 600 : 600 + side]
    place[:] = np.where(mask[..., None] > 127, small, place)
    truth = np.zeros(scene.shape[:2], bool)
    truth[top : top + side, 600 : 600 + side] = mask > 127
    views = TwoSizes.of(scene)
    assert side == 200 or not seen_in(views.whole)  # who is this small is seen in the crop alone
    shares = []
    for likely in (likelihood(views.whole), look_twice(views)[0]):
        seen = cv2.resize(likely, scene.shape[1::-1]) > 0.5
        shares.append((seen & truth).sum() / (seen | truth).sum())
    assert shares[1] > max(shares[0] + 0.1, 0.85)
    found = found_in(scene) > 127
    assert (found & truth).sum() / (found | truth).sum() > 0.9


def test_outside_the_person_the_photograph_stays_bit_for_bit(tmp_path):
    path = tmp_path / "astronaut.png"
    Image.fromarray(data.astronaut()).save(path)
    worker = checked(Degrade, {"mask": "person", "keep": ["mask"]}, "step 2 (degrade)")
    worker.check("step 2 (degrade)")
    worker.fill_in("step 2 (degrade)")
    worker.seed = 7
    worker.setup()
    item = {"key": "astronaut", "image_path": str(path), "split": "train"}
    [found] = worker.process([Loaded(item, worker.load(item))])
    assert found["mask"] == "person" and found["mask_scores"][0] > 0.9
    mask, output = found["mask_path"].image, found["output_image_path"].image
    assert (output[mask == 0] == data.astronaut()[mask == 0]).all() and (mask == 0).mean() > 0.3
    assert (output[mask == 255] != data.astronaut()[mask == 255]).any(axis=-1).mean() > 0.5
