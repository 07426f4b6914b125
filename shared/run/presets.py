"""Presets in configs/models/: the options of a model, by the name that a step or its `provider` says."""

from collections.abc import Iterable

from shared.errors import ConfigError
from shared.files.lookup import ROOT
from shared.run.spelling import nearest
from shared.run.yaml_file import read_yaml

PRESETS = ROOT / "configs" / "models"
# Names of the same captioners for videos, in the documents of Dataflow-Gen.
OTHER_NAMES = {
    "QwenVL": "QwenVLCaptioner", "QwenVLVideoCaptioner": "QwenVLCaptioner", "LLaVAOV": "LLaVAOneVisionCaptioner",
    "LLaVAOVCaptioner": "LLaVAOneVisionCaptioner", "LLaVAOVVideoCaptioner": "LLaVAOneVisionCaptioner",
    "StableDiffusion3Generator": "StableDiffusionGenerator", "APIGenerator": "GPTTextGenerator",
    "LocalModelGenerator": "TextGenerator",
}  # fmt: skip
OF_VIDEOS = ("QwenVLCaptioner", "LLaVAOneVisionCaptioner")
UNSUPPORTED_VIDEO = ("LLaVANeXTVideo", "LLaVANeXTVideoCaptioner")


def presets() -> list[str]:
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def presets_of(options: Iterable[str]) -> list[str]:
    """Those that a step with these options takes."""
    known = set(options)
    return [name for name in presets() if known.issuperset(read_preset(name))]


def read_preset(name: str) -> dict:
    """The options of a preset; none where there is none of that name."""
    path = PRESETS / f"{OTHER_NAMES.get(name, name)}.yaml"
    return read_yaml(path, ()) if name and path.is_file() else {}


def check_preset(name: str, label: str) -> None:
    """Raises ConfigError where there is none of that name."""
    if OTHER_NAMES.get(name, name) not in presets():
        raise ConfigError(f"{label}: no provider {name!r}{nearest(str(name), presets())}")


def check_videos(type_name: str, name: str, label: str) -> None:
    """Raises ConfigError for what the documents have for videos and is not done here."""
    if type_name == "VideoGenerator":
        raise ConfigError(
            f"{label}: videos are not generated here, images are: type ImageGenerator, name FLUXGenerator or "
            "StableDiffusionGenerator"
        )
    if type_name == "VideoCaptioner" and name in UNSUPPORTED_VIDEO:
        raise ConfigError(
            f"{label}: {name} is not supported; videos are captioned by frames of theirs, with {' or '.join(OF_VIDEOS)}"
        )
