"""Neural degrade workers at work: batches, memory, kills and gated models."""

import http.server
import json
import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

torch = pytest.importorskip("torch")
for package in ("sam2", "transformers", "diffusers"):
    pytest.importorskip(package)
from tests.conftest import Project, wait_until  # noqa: E402
from tests.workers.degrading_neurally import (  # noqa: E402
    ANY_DIFFERENCE,
    SAMPLES,
    SURE_OF_ANYTHING,
    TRY_LITTLE,
    items_of,
    loaded,
    pixels_of,
    worker,
)

# sam2 1.1 calls what torch 2.13 has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")


def test_out_of_gpu_memory_halves_the_batch_and_nothing_is_lost(models, photographs):
    made = worker(mask="sam3", mask_model=models.sam3, batch_size=4, **SURE_OF_ANYTHING)
    real, sizes = made.segmenter.model.forward, []

    def forward(pixel_values, **rest):
        sizes.append(len(pixel_values))
        if len(pixel_values) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return real(pixel_values=pixel_values, **rest)

    made.segmenter.model.forward = forward
    found = {item["key"]: found for item, found in made.stream(iter(loaded(made, items_of(photographs))))}
    assert sizes == [4, 2, 2]
    assert made.batch_size == 2
    assert {key: one["mask"] for key, one in found.items()} == dict.fromkeys(SAMPLES, "sam3")


def test_one_photograph_that_the_model_cannot_do_costs_itself_alone(models, photographs):
    made = worker(mask="none", method="marigold", albedo_model=models.appearance, batch_size=4)
    real = made.intrinsic._layers

    def layers(small, found):
        if small.shape == made.intrinsic.prepare(pixels_of(photographs / "cat.jpg")).shape:
            raise ValueError("values that are no numbers")
        return real(small, found)

    made.intrinsic._layers = layers
    both = loaded(made, items_of(photographs, "astronaut.jpg", "cat.jpg"))
    found = {item["key"]: found for item, found in made.stream(iter(both))}
    assert isinstance(found["cat.jpg"], ValueError)
    assert found["astronaut.jpg"]["albedo_method"] == "marigold"


def test_while_one_batch_is_relit_the_next_is_with_the_models(models, photographs):
    made = worker(mask="sam3", mask_model=models.sam3, batch_size=1, **SURE_OF_ANYTHING)
    second_was_seen = threading.Event()
    see, relight, seen = made.see, made.degrade, []

    def watched_see(batch):
        seen.append(batch[0].item["key"])
        if len(seen) == 2:
            second_was_seen.set()
        return see(batch)

    def watched_degrade(item, sight):
        assert second_was_seen.wait(timeout=300), "the models waited for the CPU"
        return relight(item, sight)

    made.see, made.degrade = watched_see, watched_degrade
    found = list(made.stream(iter(loaded(made, items_of(photographs)))))
    assert {item["key"]: one["mask"] for item, one in found} == dict.fromkeys(SAMPLES, "sam3")
    assert seen == list(SAMPLES)


def test_no_more_waits_for_the_cpu_than_was_agreed(models, photographs):
    made = worker(mask="sam3", mask_model=models.sam3, batch_size=1, **SURE_OF_ANYTHING)
    taken = []

    def feed():
        for one in loaded(made, items_of(photographs) * 5):
            taken.append(one.item["key"])
            yield one

    stream = made.stream(feed())
    next(stream)
    assert len(taken) <= 1 + 2 * made.cores + 2
    stream.close()


def write_config(project: Project, photographs: Path, **options) -> None:
    step = {"type": "degrade", "config": {"quality": ANY_DIFFERENCE, "keep": ["mask"], **options}}
    project.config.write_text(yaml.safe_dump({"meta_path": str(photographs), "steps": [step]}))


def records_of(project: Project) -> dict[str, dict]:
    folder = project.output / "step_1_degrade" / "records"
    return {record["key"]: record for record in map(json.loads, (path.read_text() for path in folder.rglob("*.json")))}


def worker_pids(project: Project) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words, place = (entry / "cmdline").read_bytes(), os.readlink(entry / "cwd")
        except OSError:
            continue
        if place == str(project.folder) and b"workers.degrade" in words:
            found.append(int(entry.name))
    return found


@pytest.mark.slow
def test_two_workers_killed_and_started_again_do_every_photograph_once(project, models, photographs):
    write_config(
        project, photographs, mask="sam3", mask_model=models.sam3, method="marigold", albedo_model=models.lighting,
        batch_size=1, load_threads=1, steps=3, resolution=128, **SURE_OF_ANYTHING,
    )  # fmt: skip
    process = project.launch(MAX_RESTARTS=0)
    folder = project.output / "step_1_degrade" / "records"
    wait_until(lambda: list(folder.glob("*.json")), 120)
    for pid in worker_pids(project):
        os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=300)
    assert len(list(folder.glob("*.json"))) < len(SAMPLES)
    before = {path: path.read_bytes() for path in folder.glob("*.json")}
    done = project.run(timeout=240, GPU_COUNT=1)
    assert done.returncode == 0, done.stdout
    records = records_of(project)
    assert sorted(records) == sorted(SAMPLES)
    assert {path: path.read_bytes() for path in before} == before  # what was done is not done again
    for key, record in records.items():
        step = project.output / "step_1_degrade"
        mask, output = np.asarray(Image.open(step / record["mask_path"])), pixels_of(step / record["output_image_path"])
        assert (output[mask == 0] == pixels_of(photographs / key)[mask == 0]).all()
        assert (record["mask"], record["albedo_method"]) == ("sam3", "marigold")
    assert project.leftovers() == []
    assert project.processes() == []


@pytest.mark.slow
def test_sam2_with_a_prompt_file_through_the_launcher(project, models, photographs, tmp_path):
    prompts = tmp_path / "prompts.csv"
    prompts.write_text("key,x0,y0,x1,y1\ncat.jpg,20,10,150,100\ncoffee.jpg,50,20,900,90\n")
    options = {"prompt_file": str(prompts), "automatic": TRY_LITTLE}
    write_config(project, photographs, mask="sam2", mask_model=models.sam2, **options)
    done = project.run(GPU_COUNT=1, timeout=240)
    assert done.returncode == 3, done.stdout  # coffee.jpg's box lies outside
    assert {key: record["mask_prompt"] for key, record in records_of(project).items()} == {
        "admiral.jpg": "face", "astronaut.jpg": "face", "cat.jpg": "file",
    }  # fmt: skip
    failure = json.loads((project.output / "step_1_degrade" / "failures" / "coffee.jpg.json").read_text())
    assert failure["message"] == (
        "the prompt [50.0, 20.0, 900.0, 90.0] lies outside the photograph, which is 200 x 133 pixels"
    )
    assert "embeddings" not in (project.folder / "logs" / "gpu0.log").read_text()


@pytest.fixture
def gating_hub():
    """A Hub that shows its models to nobody."""

    class Refusal(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(403)
            self.send_header("X-Error-Code", "GatedRepo")
            self.end_headers()

        do_GET = do_HEAD

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusal) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "named"),
    [
        (
            {"mask": "sam3"},
            "mask_model facebook/sam3 is gated: accept its terms on https://huggingface.co/facebook/sam3",
        ),
        (
            {"mask": "none", "method": "marigold", "keep": []},
            "albedo_model prs-eth/marigold-iid-appearance-v1-1 is gated",
        ),
    ],
)
def test_a_gated_model_stops_the_run_with_one_sentence(project, photographs, gating_hub, tmp_path, options, named):
    write_config(project, photographs, **options)
    done = project.run(HF_ENDPOINT=gating_hub, HF_HOME=tmp_path / "hub", GPU_COUNT=1, timeout=300)
    assert done.returncode == 2, done.stdout
    assert named in done.stdout
    assert "Traceback" not in done.stdout
    assert not project.output.exists()
