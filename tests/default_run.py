"""What the README's first command leaves, as digests: python -m tests.default_run FOLDER writes those of a run.

Times, fingerprints and the place of the checkout are left out; of images the pixels count, and of tables the values.
"""

import hashlib
import json
import re
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from tests.conftest import ROOT

EXPECTED = Path(__file__).with_suffix(".json")
PACKAGES = ("numpy", "pillow", "scipy", "scikit-image", "opencv-contrib-python-headless", "matplotlib", "imagehash")
PASSED_OVER = re.compile(r"(end|progress)\d+\.(txt|json)|.*\.index|claims|(report|gallery)\.html|sources.*|lock.*|\..*")
CHANGING = {"fingerprint", "time", "source", "digest", "seconds", "versions", "sha256"}


def digests(run: Path) -> dict[str, str]:
    """Path in the run's folder -> digest, of all that two checkouts should have in common."""
    files = (path for path in sorted(run.rglob("*")) if path.is_file() and not PASSED_OVER.fullmatch(path.name))
    return {str(path.relative_to(run)): digest(path, run) for path in files}


def digest(path: Path, run: Path) -> str:
    if path.suffix in (".png", ".jpg", ".webp"):
        with Image.open(path) as image:
            content = f"{image.mode} {image.size}".encode() + np.asarray(image).tobytes()
    else:
        text = path.read_text(encoding="utf-8").replace(str(run), "RUN").replace(str(ROOT), "ROOT")
        if path.suffix in (".json", ".jsonl"):
            documents = [text] if path.suffix == ".json" else text.splitlines()
            text = "\n".join(json.dumps(steady(json.loads(document))) for document in documents)
        content = text.encode()
    return hashlib.sha256(content).hexdigest()[:16]


def steady(value: Any) -> Any:
    """Without what changes from run to run."""
    if isinstance(value, dict):
        return {name: steady(one) for name, one in value.items() if name not in CHANGING}
    return [steady(one) for one in value] if isinstance(value, list) else value


def machine() -> dict[str, str]:
    """What the last bit of a number may hang on."""
    return {name: version(name) for name in PACKAGES} | {"cpu": cv2.getCPUFeaturesLine()}


if __name__ == "__main__":
    found = {"machine": machine(), "files": digests(Path(sys.argv[1]).resolve())}
    EXPECTED.write_text(json.dumps(found, indent=1) + "\n")
