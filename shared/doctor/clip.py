"""Where the weights of a CLIP tag are, as open_clip's own tables say, which are read without importing torch."""

import importlib
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from shared.doctor.finding import Finding, fail
from shared.models.clip_weights import WEIGHT_FILES


class ClipTables(NamedTuple):
    repository: str
    files: tuple[str, ...]  # one of them is enough


def find_clip(model_name: str, tag: str) -> ClipTables | Finding:
    """The Hub's repository of a tag; a finding where there is none. Raises ImportError without open_clip."""
    spec = find_spec("open_clip")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("No module named 'open_clip'", name="open_clip_torch")
    [folder] = spec.submodule_search_locations
    name = model_name.replace("/", "-")
    if model_name.startswith(("hf-hub:", "local-dir:")):
        return ClipTables(model_name.partition(":")[2], WEIGHT_FILES)
    if not (Path(folder) / "model_configs" / f"{name}.json").is_file():
        return fail("is no model that open_clip knows")
    tables = read_tables(folder)
    found = tables.get_pretrained_cfg(name, tag)
    if not found:
        known = ", ".join(tables.list_pretrained_tags_by_model(name)) or "none"
        return fail(f"is no weights that open_clip knows; there are {known}, or name a file or folder")
    repository, _, file = found.get("hf_hub", "").rpartition("/")
    if not repository:
        return fail(
            f"comes from {found.get('url')}, which is not looked at; download it and set checkpoint to the file"
        )
    return ClipTables(repository, (file,) if file else WEIGHT_FILES)


def read_tables(folder: str) -> Any:
    """The module open_clip.pretrained alone: the package's own start imports torch, which takes seconds."""
    package = ModuleType("open_clip_tables")
    package.__path__ = [folder]
    kept = sys.modules.get("safetensors.torch")
    sys.modules["open_clip_tables"] = package
    sys.modules["safetensors.torch"] = None  # type: ignore[assignment] # the module does without
    try:
        return importlib.import_module("open_clip_tables.pretrained")
    finally:
        del sys.modules["safetensors.torch"]
        if kept is not None:
            sys.modules["safetensors.torch"] = kept
        for name in [name for name in sys.modules if name.partition(".")[0] == "open_clip_tables"]:
            del sys.modules[name]
