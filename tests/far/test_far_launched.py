"""A run over a bucket, by the launcher: what vanished fails alone, and a second run has nothing to do."""

import hashlib
import json

from tests.far.made import table
from tests.far.s3_server import CREDENTIALS
from tests.web_server import photograph


def test_a_run_over_a_bucket_goes_on_where_it_stopped(project, bucket):
    sizes = {}
    for number in range(5):
        data = photograph(number)
        bucket.put(f"in/{number}.jpg", data)
        sizes[f"{number}.jpg"] = (len(data), hashlib.sha256(data).hexdigest())
    project.write_config({"type": "template"}, image_key="image")
    variables = {"INPUT": f"{bucket.url}/in/", "GPU_COUNT": 2}
    done = project.run(**variables)
    assert done.returncode == 0, done.stdout
    rows = project.rows("step_1_template")
    assert {row["key"]: (row["bytes"], row["sha256"]) for row in rows} == sizes
    assert [row["image_path"] for row in rows] == [f"{bucket.url}/in/{name}" for name in sizes]
    again = project.run(**variables)
    assert again.returncode == 0 and "nothing to do" in again.stdout, again.stdout
    bucket.put("in/5.jpg", photograph(5))
    bucket.put("in/0.jpg", photograph(99))  # replaced, which is not looked for far away
    grown = project.run(**variables)
    assert grown.returncode == 0, grown.stdout
    assert {row["key"]: row["bytes"] for row in project.rows("step_1_template")} == {
        name: size for name, (size, _) in sizes.items()
    } | {"5.jpg": len(photograph(5))}
    said = done.stdout + grown.stdout + "".join(path.read_text() for path in project.folder.glob("logs/*"))
    files = b"".join(path.read_bytes() for path in project.output.rglob("*") if path.is_file())
    assert (
        CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in said and CREDENTIALS["AWS_SECRET_ACCESS_KEY"].encode() not in files
    )


def test_a_photograph_that_vanished_fails_alone(project, bucket):
    there, gone = bucket.put("a.jpg", photograph(1)), f"{bucket.url}/gone.jpg"
    project.input.write_bytes(table([["key", "image"], ["a", there], ["b", gone]]))
    project.write_config({"type": "template"}, image_key="image")
    done = project.run(GPU_COUNT=1)
    assert done.returncode == 3, done.stdout
    assert [row["key"] for row in project.rows("step_1_template")] == ["a"]
    [failure] = (json.loads(path.read_text()) for path in (project.output / "step_1_template" / "failures").iterdir())
    assert (failure["key"], failure["message"]) == ("b", f"{gone} does not exist")
