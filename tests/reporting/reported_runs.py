"""Runs without processes, and their report as a browser sees it."""

import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

from shared.files.record_writer import Outcome, RecordWriter
from shared.files.records import Records
from shared.files.table import Table
from shared.run.advance import advance
from shared.run.config import load_config
from shared.run.run import Run, Step
from shared.worker import Loaded
from tests.conftest import ROOT

SAMPLES = ROOT / "configs" / "samples"
HOSTILE = '<script>alert(1)</script> "b"&\n.jpg'  # the slash makes it a photograph in a folder
RELIGHT = """
meta_path: {photographs}
steps:
  - type: filter
    config: {{num_images: 4, min_size: 50, split_counts: [2, 1, 1], create_grid: false}}
  - type: degrade
    config: {{mask: none, keep: [mask, albedo]}}
  - type: caption
    name: keywords
  - type: merge
    name: triplets
    config: {{triplets: {{input_image: output_image_path, instruction: lighting_keywords, output_image: image_path}}}}
"""


TEMPLATE = "meta_path: {photographs}\nsteps:\n  - type: template\n"


def make_run(folder: Path, photographs: Path, config: str, name: str = "portraits") -> Run:
    path = folder / "relight.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(config.format(photographs=photographs))
    return Run(load_config(path), folder / name)


def finish(run: Run, until: Callable[[Step], bool] = lambda step: False) -> None:
    """Take a run through its steps, as the launcher and one worker do; stop before the first step that `until` says."""
    while step := advance(run, lambda line: None).step:
        if until(step):
            return
        do(step, list(Table(step.table_path)))


def copied(run: Run, folder: Path) -> Run:
    """A run in another folder, with the config that lies beside it."""
    shutil.copytree(run.folder.parent, folder, dirs_exist_ok=True)
    return Run(load_config(folder / "relight.yaml"), folder / run.folder.name)


def do(step: Step, items: list[dict]) -> None:
    worker, parts = step.worker, step.run.folder / "parts"
    worker.seed, worker.folder = step.seed, step.folder
    worker.setup()
    parts.mkdir(exist_ok=True)
    writer = RecordWriter(Records(step.folder, worker.records_name), parts, step.fingerprint, threads=1)
    writer.write([Outcome(item["key"], found(worker, item)) for item in items])
    writer.close()
    parts.rmdir()


def found(worker, item: dict) -> dict | Exception:
    try:
        [(_, found)] = worker.stream(iter([Loaded(item, worker.load(item))]))
    except Exception as error:
        return error
    return found


class Page(HTMLParser):
    """The elements and the text of a page, as a browser takes them."""

    def __init__(self, path: Path):
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.words: list[str] = []
        self.is_shown = True
        self.feed(path.read_text())
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.elements.append((tag, dict(attributes)))
        self.is_shown = tag not in ("style", "script")

    def handle_endtag(self, tag: str) -> None:
        self.is_shown = True

    def handle_data(self, data: str) -> None:
        if self.is_shown:
            self.words.append(data)

    def all(self, tag: str, kind: str = "") -> list[dict]:
        return [found for name, found in self.elements if name == tag and kind in (found.get("class") or "")]
