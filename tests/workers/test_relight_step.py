import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from PIL import Image

pytest.importorskip("diffusers")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

import torch  # noqa: E402

from shared.errors import ConfigError, RunError  # noqa: E402
from shared.files.table import Table  # noqa: E402
from shared.relighter.inference.command_line import main  # noqa: E402
from shared.relighter.inference.relighter import Relighter  # noqa: E402
from shared.run.config import load_config  # noqa: E402
from shared.run.run import Run  # noqa: E402
from tests.conftest import ROOT  # noqa: E402
from tests.run.test_advance import Bench  # noqa: E402
from workers.relight import Relight  # noqa: E402

torch.set_num_threads(1)
SPLITS = ["train", "test", "train", "test", "val"]


def photograph(number: int, size=(72, 60)) -> Image.Image:
    rows, columns = np.mgrid[: size[1], : size[0]]
    pixels = np.stack([rows * 3, columns * 3, (rows + columns + 40 * number) % 256], -1)
    return Image.fromarray(pixels.astype(np.uint8))


class Table5:
    """A run over five triplets, whose degraded images are the photographs at half their brightness."""

    def __init__(self, folder):
        self.folder, self.bench = folder, Bench(folder)
        rows = []
        for number, split in enumerate(SPLITS):
            image = photograph(number, (72, 60) if number != 3 else (50, 90))
            image.save(folder / f"{number}.png")
            image.point(lambda value: value // 2).save(folder / f"degraded{number}.png")
            row = {"key": f"a/{number}", "image": f"{number}.png", "degraded": f"degraded{number}.png"}
            rows.append(row | {"edit_prompt": f"light number {number}", "split": split})
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def run(self, *steps: dict) -> Run:
        config = {"meta_path": "rows.jsonl", "image_key": ["image", "degraded"], "steps": list(steps)}
        (self.folder / "run.yaml").write_text(yaml.safe_dump(config))
        return Run(load_config(self.folder / "run.yaml"), self.folder / "out")

    def complete(self, run):
        self.bench.complete(run)
        return list(Table(run.steps[-1].result_path))


@pytest.fixture
def triplets(tmp_path):
    return Table5(tmp_path)


def relight_step(model, **options) -> dict:
    columns = {"input_image": "degraded_path", "instruction": "edit_prompt"}
    return {"type": "relight", "config": {"model_path": model, "num_inference_steps": 1, "columns": columns, **options}}


def pixels_of(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_the_rows_of_a_split_are_relit_each_by_its_words_and_the_others_are_no_failures(triplets, tiny_sd15_edits):
    run = triplets.run(relight_step(tiny_sd15_edits, split="test", batch_size=2))
    rows = triplets.complete(run)
    assert [row["key"] for row in rows] == ["a/1", "a/3"]
    assert [row["relit_instruction"] for row in rows] == ["light number 1", "light number 3"]
    result = run.steps[0].read_proof()
    assert (result["items"], result["recorded"], result["failed"], result["rows"]) == (5, 5, 0, 2)
    relighter = Relighter.load(tiny_sd15_edits, torch.device("cpu"))
    for row in rows:
        assert row["relit_image_path"] == str(run.steps[0].folder / "relit" / f"{row['key']}.png")
        with Image.open(triplets.folder / f"degraded{row['key'][-1]}.png") as source:
            [alone] = relighter.relight(
                [source.convert("RGB")], [row["edit_prompt"]], [row["relit_seed"]], num_inference_steps=1
            )
        assert np.array_equal(pixels_of(row["relit_image_path"]), np.asarray(alone))


def test_several_images_of_a_photograph_differ_and_keep_what_lies_outside_the_mask(triplets, tiny_sd15_edits):
    mask = np.zeros((60, 72), np.uint8)
    mask[10:50, 20:60] = 255
    (triplets.folder / "masks" / "a").mkdir(parents=True)
    for number in range(5):
        shape = mask if number != 3 else np.full((90, 50), 255, np.uint8)
        Image.fromarray(shape).save(triplets.folder / "masks" / "a" / f"{number}.png")
    run = triplets.run(relight_step(tiny_sd15_edits, num_images=2, mask_folder="masks", instruction="warm light"))
    for number, row in enumerate(triplets.complete(run)):
        first, second = pixels_of(row["relit_image_path"]), pixels_of(row["relit_image_1_path"])
        assert row["relit_instruction"] == "warm light"
        assert not np.array_equal(first, second)
        if number != 3:
            before = np.asarray(photograph(number).point(lambda value: value // 2))
            assert np.array_equal(first[mask == 0], before[mask == 0])
            assert np.abs(first[mask > 0].astype(int) - before[mask > 0]).mean() > 5


def test_what_is_missing_in_a_row_is_its_failure_and_names_the_fields(triplets, tiny_sd15_edits):
    step = relight_step(tiny_sd15_edits, columns={"input_image": "degraded_path", "instruction": "words"})
    run = triplets.run(step)
    assert triplets.complete(run) == []
    failure = json.loads((run.steps[0].folder / "failures" / "a" / "0.json").read_text())
    assert failure["message"].startswith("no text in the row's field words; it has key, ")
    assert "edit_prompt" in failure["message"]


def test_a_split_that_no_row_has_is_said(triplets, tiny_sd15_edits):
    step = relight_step(tiny_sd15_edits, split="test")
    (triplets.folder / "rows.jsonl").write_text(
        (triplets.folder / "rows.jsonl").read_text().replace('"test"', '"train"')
    )
    with pytest.raises(RunError, match="none of 5 rows is of the split test"):
        triplets.complete(triplets.run(step))


def test_the_model_is_that_of_the_nearest_train_step_before(triplets):
    train = {"type": "train", "config": {"family": "pixel", "resolution": 16}}
    run = triplets.run(train, train | {"name": "second"}, {"type": "relight"}, train | {"name": "third"})
    assert run.steps[2].worker.trained_before() == triplets.folder / "out" / "step_2_train_second" / "model"
    alone = triplets.run({"type": "relight"})
    with pytest.raises(RunError, match="no step before this one trains a model"):
        alone.steps[0].worker.trained_before()


def test_two_places_for_masks_are_a_contradiction(triplets, tmp_path):
    (tmp_path / "masks").mkdir()
    with pytest.raises(ConfigError, match="mask_folder and mask_field"):
        triplets.run(relight_step("m", mask_folder="masks", mask_field="mask_path"))


@pytest.fixture
def by_hand(tmp_path, monkeypatch, capsys):
    """The command line in this process: importing torch and diffusers takes most of the time of a short one."""

    def call(*words):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["relight", *map(str, words)])
        with pytest.raises(SystemExit) as caught:
            main(Relight)
        said = capsys.readouterr()
        return SimpleNamespace(returncode=caught.value.code, stdout=said.out, stderr=said.err)

    return call


@pytest.mark.slow
def test_one_photograph_from_the_command_line(tmp_path, tiny_sd15_edits, by_hand):
    photograph(1).save(tmp_path / "in.png")
    common = (
        "--model_path",
        tiny_sd15_edits,
        "--input_image",
        "in.png",
        "--instruction",
        "warm light",
        "--device",
        "cpu",
    )
    command = [sys.executable, "-m", "workers.relight", *common, "--num_inference_steps", "2", "--seed", "5"]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    first = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert (first.returncode, first.stdout) == (0, "output.png\n"), first.stderr
    several = by_hand(
        *common, "--num_inference_steps", 2, "--seed", 4, "--num_images", 2, "--output_path", "made/a.png"
    )
    assert several.stdout == "made/a_0.png\nmade/a_1.png\n"
    assert pixels_of(tmp_path / "output.png").shape == (60, 72, 3)
    assert np.array_equal(pixels_of(tmp_path / "output.png"), pixels_of(tmp_path / "made" / "a_1.png"))


def test_a_grid_shows_the_photograph_beside_each_instruction(tmp_path, tiny_sd15_edits, by_hand):
    photograph(1).save(tmp_path / "in.png")
    words = ("--instruction", "warm", "--instruction", "cold", "--grid", "--num_images", 2, "--num_inference_steps", 1)
    done = by_hand("--model_path", tiny_sd15_edits, "--input_image", "in.png", *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("output.png\nthe same again: --seed ")
    sheet = pixels_of(tmp_path / "output.png")
    assert sheet.shape[1] == 12 + 3 * (72 + 12)
    assert np.array_equal(sheet[12:72, 12:84], np.asarray(photograph(1)))
    columns = [sheet[12:72, 12 + place * 84 :][:, :72] for place in range(3)]
    assert not any(np.array_equal(one, other) for one, other in [(columns[0], columns[1]), (columns[1], columns[2])])
    assert (sheet[156:, 96:168] < 128).any() and (sheet[156:, :84] == 255).all()  # words below the images alone


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--instruction", "x", "--input_image", "none.png"), "none.png does not exist"),
        (("--instruction", "x", "--input_image", "in.png"), "holds no model"),
        (("--instruction", "x", "--instruction", "y", "--input_image", "in.png"), "needs --grid"),
        (
            ("--instruction", "x", "--input_image", "in.png", "--output_path", "a.doc"),
            "a.doc should end in one of .png",
        ),
        (("--instruction", "x", "--input_image", "in.png", "--num_images", "0"), "0 should be at least 1"),
        (("--input_image", "in.png"), "--instruction"),
    ],
)
def test_misuse_is_one_sentence_and_status_2(tmp_path, by_hand, words, sentence):
    photograph(1).save(tmp_path / "in.png")
    (tmp_path / "empty").mkdir()
    done = by_hand("--model_path", "empty", "--device", "cpu", *words)
    assert done.returncode == 2
    assert sentence in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_model_that_has_changed_relights_everything_anew_and_the_old_images_are_kept_aside(triplets, tmp_path):
    from shared.relighter.families.pixel import Pixel

    def train(bias: float) -> None:
        family = Pixel("scratch", 16)
        family.load(torch.device("cpu"), torch.float32, False)
        for weights in family.trained.parameters():
            weights.data += bias / 100
        torch.nn.init.constant_(family.trained.conv_out.bias, bias)
        family.save(tmp_path / "model")

    def relit():
        run = triplets.run(
            relight_step("model"), {"type": "evaluate", "config": {"columns": {"input_image": "degraded_path"}}}
        )
        rows = triplets.complete(run)
        return (
            pixels_of(rows[0]["relit_image_path"]).astype(int),
            rows[0]["psnr"],
            sorted(path.name for path in run.folder.glob("step_*")),
        )

    train(0.0)
    before, psnr, _ = relit()
    same, same_psnr, folders = relit()
    assert (before == same).all() and psnr == same_psnr and "step_1_relight.old-1" not in folders
    train(0.5)
    after, new_psnr, folders = relit()
    assert (after - before).mean() > 30 and new_psnr != psnr
    assert folders == [
        *("step_0_preprocess_format", "step_1_relight", "step_1_relight.old-1"),
        *("step_2_evaluate", "step_2_evaluate.old-1"),
    ]
