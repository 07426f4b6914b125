"""configs/recaption.yaml: a download captioned anew, and its rows on a Hub that answers the real library."""

import json
import os
import signal
import subprocess
import sys

import pytest
from pyarrow import parquet

from tests.chat_server import ChatServer, completion
from tests.conftest import ROOT, wait_until
from tests.fake_hub import FakeHub
from tests.workers.describing import save_download

pytest.importorskip("huggingface_hub")

COLUMNS = [
    "key", "original_key", "url", "original_caption", "vlm_caption", "width", "height", "original_width", "original_height",
    "sha256", "md5", "tags", "merged_tags",
]  # fmt: skip
SAID = "Oil on canvas: a red barn beside birch trees in low evening light."
CONFIG = ROOT / "configs" / "recaption.yaml"
REPOSITORY = "me/ContraStylesRecap"


@pytest.fixture
def hub(project):
    with FakeHub() as hub:
        yield hub


@pytest.fixture
def variables(project, hub):
    given = {"CONFIG": CONFIG, "INPUT": project.folder / "download", "GPU_COUNT": 2}
    return given | hub.environment(project.folder / "hub")


def words(server: ChatServer, **settings) -> list[str]:
    given = {
        "engine": "server",
        "vllm_url": server.url,
        "model_path": "tiny",
        "max_model_len": "null",
        "num_workers": 2,
    }
    return ["run", *(word for name, value in (given | settings).items() for word in ("--set", f"{name}={value}"))]


def on_the_hub(hub, project) -> list[dict]:
    """All rows, as `load_dataset` reads them."""
    program = (
        "import datasets, json, sys; print(json.dumps(datasets.load_dataset(sys.argv[1], split='train').to_list()))"
    )
    environment = os.environ | hub.environment(project.folder / "elsewhere")
    done = subprocess.run([sys.executable, "-c", program, REPOSITORY], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.slow
def test_a_download_is_captioned_and_every_row_is_on_the_hub_once(project, hub, variables):
    keys = save_download(project.folder / "download", 25, without_sidecar=(3, 12))
    with ChatServer(lambda number, body: completion(SAID)) as server:
        command = words(server, hf_repo="ContraStylesRecap", push_every=10)
        done = project.run(*command, **variables)
        assert done.returncode == 0, done.stdout
        commits = len(hub.repositories[REPOSITORY].commits)
        again = project.run(*command, **variables)
        assert again.returncode == 0 and "nothing to do" in again.stdout
        assert project.run("push", *command[1:], **variables).returncode == 0
    repository = hub.repositories[REPOSITORY]
    assert repository.is_private and len(repository.commits) == commits
    check_rows(project, keys)
    rows = on_the_hub(hub, project)
    assert sorted(row["key"] for row in rows) == keys and list(rows[0]) == COLUMNS
    card = repository.files["README.md"].data.decode()
    prompt = (ROOT / "configs" / "prompts" / "recaption.txt").read_text().strip()
    assert "25 rows" in card and "0 items have none" in card and prompt in card and "Model: tiny" in card
    assert "Gemma Terms of Use" in card and "data_files: data/*.parquet" in card
    assert not any(path.endswith(".jpg") for path in repository.files)


def check_rows(project, keys: list[str]) -> None:
    whole = parquet.read_table(project.output / "step_2_push" / "all_captions.parquet")
    assert whole.schema.names == COLUMNS
    assert [str(field.type) for field in whole.schema] == [
        "int64" if name.endswith(("width", "height")) else "string" for name in COLUMNS
    ]
    rows = whole.to_pylist()
    assert [row["key"] for row in rows] == keys
    assert {row["vlm_caption"] for row in rows} == {SAID}
    assert [row["original_key"] for row in rows] == [f"source-{number}" for number in range(25)]
    assert {(row["width"], row["height"], row["original_width"]) for row in rows} == {(48, 32, 48)}  # measured


@pytest.mark.slow
@pytest.mark.parametrize("how", ["lost", pytest.param(503, id="503")])
def test_whatever_fails_once_every_row_is_there_once(project, hub, variables, how):
    keys = save_download(project.folder / "download", 12)
    hub.how = how
    hub.fail = dict.fromkeys(("create", "whoami", "preupload", "batch", "put", "verify", "commit", "tree", "info"), 1)
    with ChatServer(lambda number, body: completion(SAID)) as server:
        done = project.run(*words(server, hf_repo="ContraStylesRecap", push_every=5), **variables)
    assert done.returncode == 0, done.stdout
    assert sorted(row["key"] for row in on_the_hub(hub, project)) == keys


@pytest.mark.slow
def test_a_hub_that_refuses_costs_the_push_alone_and_the_sentence_says_how_to_finish_it(project, hub, variables):
    keys = save_download(project.folder / "download", 4)
    with ChatServer(lambda number, body: completion(SAID)) as server:
        command = words(server, hf_repo="ContraStylesRecap", hf_username="me")
        hub.fail, hub.how = {"create": 99}, 403
        done = project.run(*command, **variables)
        assert done.returncode == 1, done.stdout
        [line] = [line for line in done.stdout.splitlines() if "nothing recorded is lost" in line]
        assert (
            f"OUTPUT_DIR={project.output} ./launcher.sh push --set hf_repo=ContraStylesRecap --set hf_username=me"
            in line
        )
        assert len(parquet.read_table(project.output / "step_2_push" / "all_captions.parquet")) == 4
        hub.fail = {}
        assert project.run(*command, **variables).returncode == 0
    assert sorted(row["key"] for row in on_the_hub(hub, project)) == keys


@pytest.mark.slow
def test_rows_are_pushed_while_the_captioner_works_and_a_killed_run_goes_on(project, hub, variables):
    keys = save_download(project.folder / "download", 60, shard_size=20)
    with ChatServer(lambda number, body: 0.15) as server:
        command = words(server, hf_repo="ContraStylesRecap", push_every=5, seconds_between_pushes=0.2, num_workers=1)
        launcher = project.launch(*command, **variables)
        wait_until(
            lambda: any(path.startswith("data/") for path in getattr(hub.repositories.get(REPOSITORY), "files", ()))
        )
        os.killpg(launcher.pid, signal.SIGKILL)
        launcher.wait()
        wait_until(lambda: not project.processes())
        early = {
            path: stored.oid for path, stored in hub.repositories[REPOSITORY].files.items() if path.startswith("data/")
        }
        done = project.run(*command, **variables | {"GPU_COUNT": 3})
    assert done.returncode == 0, done.stdout
    files = hub.repositories[REPOSITORY].files
    assert {path: files[path].oid for path in early} == early and len(files) > len(early)
    assert sorted(row["key"] for row in on_the_hub(hub, project)) == keys


@pytest.mark.slow
def test_an_item_that_succeeds_late_goes_into_a_part_of_its_own(project, hub, variables):
    keys = save_download(project.folder / "download", 6)
    (project.folder / "download" / "images" / "00000" / f"{keys[2]}.jpg").rename(project.folder / "aside.jpg")
    (project.folder / "download" / "images" / "00000" / f"{keys[2]}.jpg").write_bytes(b"torn")
    with ChatServer(lambda number, body: completion(SAID)) as server:
        command = words(server, hf_repo="ContraStylesRecap")
        assert project.run(*command, **variables).returncode == 3
        assert "1 items have none" in hub.repositories[REPOSITORY].files["README.md"].data.decode()
        (project.folder / "aside.jpg").rename(project.folder / "download" / "images" / "00000" / f"{keys[2]}.jpg")
        assert project.run(*command, **variables).returncode == 0
        other = project.run(*command, "--set", "temperature=0.2", ON_CHANGE="redo", **variables)
    parts = [path for path in hub.repositories[REPOSITORY].files if path.startswith("data/")]
    assert len(parts) == 2
    assert sorted(row["key"] for row in on_the_hub(hub, project)) == keys
    assert other.returncode == 1
    assert "holds what was made with other settings; take another hf_repo, or another revision of it" in other.stdout


@pytest.mark.slow
def test_two_machines_take_shards_of_their_own_and_push_to_one_repository(project, hub, variables):
    keys = save_download(project.folder / "download", 30)
    with ChatServer(lambda number, body: completion(SAID)) as server:
        command = words(server, hf_repo="ContraStylesRecap")
        for number, shards in enumerate(("0-1", "2")):
            done = project.run(
                *command, "--set", f"shards={shards}", **variables | {"OUTPUT_DIR": project.folder / f"{number}"}
            )
            assert done.returncode == 0, done.stdout
        doubled = project.run(*command, "--set", "shards=2", "--set", "push_every=3", **variables)
        assert doubled.returncode == 1 and "of these rows already, in data/" in doubled.stdout
    assert sorted(row["key"] for row in on_the_hub(hub, project)) == keys


@pytest.mark.slow
def test_two_that_push_at_once_push_each_row_once(project, hub, variables):
    keys = save_download(project.folder / "download", 40)
    with ChatServer(lambda number, body: completion(SAID)) as server:
        command = words(server, hf_repo="ContraStylesRecap", push_every=3, seconds_between_pushes=0.2)
        machines = [
            project.launch(
                *command,
                "--set",
                f"shards={shards}",
                **variables | {"OUTPUT_DIR": project.folder / shards, "GPU_COUNT": 1},
            )
            for shards in ("0-1", "2-3")
        ]
        said = [machine.communicate(timeout=600)[0] for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], said
    assert sorted(row["key"] for row in on_the_hub(hub, project)) == keys


@pytest.mark.parametrize(
    ("token", "rights", "owner", "sentence"),
    [
        ("", "write", "me", "there is no token for the Hub: hf auth login, or set HF_TOKEN"),
        pytest.param(
            "hf_wrong", "write", "me", "the Hub does not know the token; log in again", marks=pytest.mark.slow
        ),
        pytest.param("hf_fake", "read", "me", "the token of me may only read", marks=pytest.mark.slow),
        (
            "hf_fake",
            "write",
            "you",
            "there is no you/ContraStylesRecap, and me may not make it; set hf_username to one of me",
        ),
    ],
)
def test_the_token_and_its_rights_are_asked_for_before_anything_runs(
    project, hub, variables, token, rights, owner, sentence
):
    hub.rights = rights
    save_download(project.folder / "download", 2)
    with ChatServer() as server:
        command = words(server, hf_repo="ContraStylesRecap", hf_username=owner)
        done = project.run(*command, **variables | {"HF_TOKEN": token})
        assert server.requests == []
    assert done.returncode == 2 and sentence in done.stdout, done.stdout
    assert not project.output.exists()
