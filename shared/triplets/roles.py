"""Which field of a row plays which part in a triplet, and how triplets are laid out for trainers."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Columns:
    """Which fields of a row play which part."""

    input_image: str = "input_image_path"  # the model sees this one,
    instruction: str = "edit_prompt"  # is told this,
    output_image: str = "image_path"  # and learns to make this


@dataclass
class TripletOptions:
    """The roles of the fields in training."""

    input_image: str = "output_image_path"  # the model sees this one,
    instruction: str = "lighting_keywords"  # is told this,
    output_image: str = "image_path"  # and learns to make this


@dataclass
class DatasetOptions:
    """The folder dataset/ that datasets.load_dataset() loads as it is; beside it what other trainers take."""

    images: Literal["files", "embedded"] = "files"  # beside their metadata (hard links where possible), or in Parquet
    layouts: tuple[Literal["flux2", "ai_toolkit"], ...] = ()
