"""The report of a run that draws has a contact sheet: images beside the words that they were drawn from."""

import re

import numpy as np
import pytest
import yaml
from PIL import Image

from shared.files.small_files import write_json
from shared.files.table import Table
from shared.reporting import drawn
from shared.reporting.report import write_report
from shared.run.config import load_config
from shared.run.run import Run


@pytest.fixture
def made(tmp_path):
    """A run whose generate step has drawn `count` images."""

    def make(count: int) -> Run:
        path = tmp_path / "draw.yaml"
        step = {"type": "ImageGenerator", "name": "sdxl", "config": {}}
        path.write_text(yaml.safe_dump({"meta_path": "rows.jsonl", "text_key": "text", "steps": [step]}))
        run = Run(load_config(path), tmp_path / "out")
        [one] = run.steps
        rows = []
        for number in range(count):
            image = one.folder / "generated_images" / f"{number}_generated.png"
            image.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((32, 48, 3), number, np.uint8)).save(image)
            rows.append({"key": str(number), "image_path": f"/nowhere/{number}.jpg", "text": f"<b> number {number}"})
        run.input.folder.mkdir(parents=True)
        Table.write(run.input.result_path, rows, run.folder)
        for row in rows:
            path = one.folder / "generated_images" / f"{row['key']}_generated.png"
            row |= {"generated_path": str(path), "prompt": row["text"]}
        Table.write(one.result_path, rows, run.folder)
        write_json(
            one.proof_path, {"items": count, "recorded": count, "failed": 0, "missing": 0, "foreign": 0, "rows": count}
        )
        return run

    return make


def test_every_image_stands_beside_its_words(made):
    page = write_report(made(3)).read_text()
    assert "<h2>From items to images</h2>" in page and "All 3; click one to enlarge it." in page
    sheet = page[page.index('id="drawn"') : page.index("</section>", page.index('id="drawn"'))]
    assert re.findall(r"<small>(.*?)</small>", sheet) == [f"&lt;b&gt; number {number}" for number in range(3)]
    assert sheet.count("data:image/jpeg;base64,") == 3
    assert 'href="step_1_ImageGenerator_sdxl/generated_images/0_generated.png"' in sheet
    assert "cannot be opened any more" not in page  # the photographs that only named them


def test_of_many_some_are_shown_evenly(made, monkeypatch):
    monkeypatch.setattr(drawn, "MOST_DRAWN", 5)
    page = write_report(made(21)).read_text()
    assert "5 of 21, chosen evenly; click one to enlarge it." in page
    sheet = page[page.index('id="drawn"') : page.index("</section>", page.index('id="drawn"'))]
    assert re.findall(r"number (\d+)</small>", sheet) == ["0", "5", "10", "15", "20"]
