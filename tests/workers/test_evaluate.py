import csv
import json

import numpy as np
import pytest
from PIL import Image

from shared.errors import RunError
from shared.files.table import Table
from shared.light.fidelity import psnr, ssim
from shared.run.config import checked, load_config
from shared.run.run import Run
from tests.conftest import ROOT
from tests.run.test_advance import Bench
from workers.evaluate import Evaluate


def scene(number: int, size=(80, 72)) -> np.ndarray:
    rng = np.random.default_rng(number)
    rows, columns = np.mgrid[: size[1], : size[0]]
    waves = 127 + 60 * np.sin(rows / (5 + number)) + 60 * np.cos(columns / 7)
    return np.clip(waves[..., None] + rng.normal(0, 6, (size[1], size[0], 3)), 0, 255).astype(np.uint8)


def write(folder, name: str, pixels: np.ndarray) -> str:
    Image.fromarray(pixels).save(folder / name)
    return name


@pytest.fixture
def rows(tmp_path):
    """Two rows that are relit better than they were, one worse; the last photograph is stored twice as large."""
    made = []
    for number, closeness in enumerate((0.9, 0.7, -0.5)):
        target = scene(number)
        source = target // 2
        output = np.clip(source + closeness * (target.astype(float) - source), 0, 255).astype(np.uint8)
        stored = target if number < 2 else np.repeat(np.repeat(target, 2, 0), 2, 1)
        names = [
            write(tmp_path, f"{kind}{number}.png", pixels)
            for kind, pixels in (("in", source), ("out", output), ("photo", stored))
        ]
        made.append(dict(zip(("input_image_path", "relit_image_path", "image"), names, strict=True)))
        made[-1] |= {"key": f"k{number}", "edit_prompt": f"light {number}", "split": "test"}
    return made


def run_of(folder, rows: list[dict], **options) -> Run:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "run.yaml").write_text(
        json.dumps({"meta_path": "rows.jsonl", "steps": [{"type": "evaluate", "config": options}]})
    )
    return Run(load_config(folder / "run.yaml"), folder / "out")


def evaluated(folder, rows, **options) -> tuple[list[dict], Run]:
    run = run_of(folder, rows, **options)
    Bench(folder).complete(run)
    return list(Table(run.steps[0].result_path)), run


def pixels_of(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_each_row_is_measured_against_its_target_beside_the_input_as_it_is(tmp_path, rows):
    found, _ = evaluated(tmp_path, rows)
    first = found[0]
    source, output, target = (pixels_of(tmp_path / f"{kind}0.png") for kind in ("in", "out", "photo"))
    assert first["psnr"] == round(psnr(output, target), 3) and first["psnr_floor"] == round(psnr(source, target), 3)
    assert first["ssim"] == round(ssim(output, target), 4) and first["ssim_floor"] == round(ssim(source, target), 4)
    assert [row["psnr_gain"] > 0 for row in found] == [True, True, False]
    assert found[2]["psnr_floor"] == pytest.approx(psnr(scene(2) // 2, scene(2)), abs=0.3)  # in the relit image's size


def test_the_tables_say_how_many_are_nearer_than_the_floor(tmp_path, rows, capsys):
    found, run = evaluated(tmp_path, rows)
    folder = run.steps[0].folder
    summary = json.loads((folder / "evaluation.json").read_text())
    assert summary["images"] == 3
    assert set(summary) == {"images", "psnr", "ssim", "psnr_exposed", "ssim_exposed", "movement"}
    values = [row["psnr"] for row in found]
    assert summary["psnr"]["mean"] == round(float(np.mean(values)), 4)
    assert summary["psnr"]["median"] == round(float(np.median(values)), 4)
    assert summary["psnr"]["floor_mean"] == round(float(np.mean([row["psnr_floor"] for row in found])), 4)
    assert summary["psnr"]["share_above_floor"] == 0.6667
    with open(folder / "evaluation.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["key"] for row in table] == ["k0", "k1", "k2"]
    assert [float(row["psnr_gain"]) for row in table] == [row["psnr_gain"] for row in found]
    assert "67 % of 3 are nearer than it" in capsys.readouterr().out


def test_another_exposure_and_white_balance_are_forgiven_on_request(tmp_path, rows):
    target = scene(0)
    tinted = np.clip(target * np.array([0.9, 0.8, 0.7]), 0, 255).astype(np.uint8)
    rows[0]["relit_image_path"] = write(tmp_path, "tinted.png", tinted)
    [first, *_], _ = evaluated(tmp_path, rows)
    assert first["psnr"] < 25 and first["psnr_exposed"] > first["psnr"] + 8
    assert first["ssim_exposed"] > 0.98 and first["psnr_exposed_floor"] > first["psnr_floor"] + 8


def test_pixels_that_moved_are_told_in_pixels(tmp_path, rows, capsys):
    with Image.open(ROOT / "configs" / "samples" / "cat.jpg") as image:
        photograph = image.convert("RGB").resize((320, 240))
    for number, (row, shift) in enumerate(zip(rows, (0, 0, 5), strict=True)):
        row["input_image_path"] = write(tmp_path, f"in{number}.png", np.asarray(photograph) // 2)
        moved = photograph.transform((320, 240), Image.Transform.AFFINE, (1, 0, -shift, 0, 1, 0))
        row["relit_image_path"] = write(tmp_path, f"out{number}.png", np.asarray(moved))
        row["image"] = write(tmp_path, f"photo{number}.png", np.asarray(photograph))
    found, run = evaluated(tmp_path, rows)
    assert [round(row["shift_pixels"]) for row in found] == [0, 0, 5]
    assert all(abs(row["zoom"] - 1) < 0.002 for row in found)
    movement = json.loads((run.steps[0].folder / "evaluation.json").read_text())["movement"]
    assert movement["share_moved"] == 0.3333 and movement["median"] < 0.1 and abs(movement["largest"] - 5) < 0.1
    said = capsys.readouterr().out
    assert "33 % of the images are shifted or zoomed by more than 1 px" in said


def test_faces_are_compared_by_a_network_of_the_persons_choice(tmp_path, rows, monkeypatch):
    from tests.relighter.evaluation.test_identity import Means

    monkeypatch.setattr("shared.relighter.evaluation.identity.FACE_NETWORKS", {"dlib": Means})
    found, run = evaluated(tmp_path, rows, identity="dlib")
    assert all(row["faces"] == 1 and row["face_distance"] < row["face_distance_floor"] for row in found[:2])
    summary = json.loads((run.steps[0].folder / "evaluation.json").read_text())
    assert summary["face_distance"]["share_above_floor"] == 0.6667


def test_another_shape_and_a_missing_field_are_that_rows_failure(tmp_path, rows):
    write(tmp_path, "photo0.png", scene(0, (40, 72)))
    del rows[1]["relit_image_path"]
    found, run = evaluated(tmp_path, rows)
    assert [row["key"] for row in found] == ["k2"]
    failures = [json.loads((run.steps[0].folder / "failures" / f"k{n}.json").read_text())["message"] for n in (0, 1)]
    assert failures[0] == "image_path is 40 x 72 pixels, the relit image 80 x 72: another shape"
    assert failures[1].startswith("no field relit_image_path in the row; it has key, ")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_lpips_is_zero_for_the_target_and_grows_with_the_distance(tmp_path, rows, monkeypatch):
    pytest.importorskip("lpips")
    import torch
    import torchvision

    torch.set_num_threads(1)
    torch.manual_seed(0)
    place = tmp_path / "torch" / "hub" / "checkpoints"
    place.mkdir(parents=True)
    torch.save(torchvision.models.squeezenet1_1().state_dict(), place / "squeezenet1_1-b8a52dc0.pth")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    rows[1]["relit_image_path"] = "photo1.png"
    found, run = evaluated(tmp_path, rows, lpips="squeeze", batch_size=2)
    assert found[1]["lpips"] == 0 < found[0]["lpips"] < found[0]["lpips_floor"]
    summary = json.loads((run.steps[0].folder / "evaluation.json").read_text())
    assert summary["lpips"]["share_above_floor"] == 0.6667


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_lpips_without_its_weights_is_one_sentence(tmp_path, monkeypatch):
    pytest.importorskip("lpips")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(RunError, match="alex needs torchvision's weights of that network in TORCH_HOME"):
        checked(Evaluate, {"lpips": "alex"}, "step 1 (evaluate)").setup()


def refuse(*_, **__):
    raise OSError("there is no network")


def test_clip_tells_the_change_that_was_asked_for(tmp_path, rows):
    """Text vectors are set to the change in the images, so that what the direction should be is known."""
    pytest.importorskip("open_clip")
    import torch

    from shared.relighter.evaluation.clip_direction import ClipDirection, Views
    from tests.tiny_clip import write_clip

    torch.set_num_threads(1)
    checkpoint = str(write_clip(tmp_path / "clip"))
    rows[1]["relit_image_path"] = "in1.png"
    rows[2]["relit_image_path"] = "photo2.png"
    found, _ = evaluated(tmp_path, rows, checkpoint=checkpoint, batch_size=2)
    assert found[1]["clip_direction"] == 0
    assert found[2]["clip_direction"] == found[2]["clip_direction_target"] != 0
    assert all(abs(row["clip_direction"]) <= 1 for row in found)

    clip = ClipDirection("ViT-B-32", checkpoint, torch.device("cpu"))
    views = Views(*(clip.prepare(Image.open(tmp_path / f"{kind}0.png")) for kind in ("in", "out", "photo")))
    vectors = {name: clip._embed([pixels])[0] for name, pixels in views._asdict().items()}
    words = torch.stack([vectors["source"], vectors["output"]])
    clip.model.encode_text = lambda tokens, normalize: words
    [(reached, possible)] = clip.measure([views], ["warm"])
    assert reached == pytest.approx(1, abs=1e-4)
    change, wanted = vectors["output"] - vectors["source"], vectors["target"] - vectors["source"]
    assert possible == pytest.approx(float(torch.cosine_similarity(change, wanted, 0)), abs=1e-4)
