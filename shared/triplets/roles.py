"""Which field of a row plays which part in a triplet, and how triplets are laid out for trainers."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field


@dataclass(frozen=True)
class Columns:
    """Which fields of a row play which part."""

    input_image: Annotated[
        str, Field(description="field of the rows with the degraded photograph, which the model sees")
    ] = "input_image_path"
    instruction: Annotated[str, Field(description="field of the rows with the words that the model is told")] = (
        "edit_prompt"
    )
    output_image: Annotated[
        str, Field(description="field of the rows with the photograph that the model learns to make")
    ] = "image_path"


@dataclass
class TripletOptions:
    """The roles of the fields in training."""

    input_image: Annotated[
        str, Field(description="field of the rows with the degraded photograph, which the model sees")
    ] = "output_image_path"
    instruction: Annotated[str, Field(description="field of the rows with the words that the model is told")] = (
        "lighting_keywords"
    )
    output_image: Annotated[
        str, Field(description="field of the rows with the photograph that the model learns to make")
    ] = "image_path"


@dataclass
class DatasetOptions:
    """The folder dataset/ that datasets.load_dataset() loads as it is; beside it what other trainers take."""

    images: Annotated[
        Literal["files", "embedded"],
        Field(description="files: beside their metadata, as hard links where possible; embedded: in Parquet"),
    ] = "files"
    layouts: Annotated[
        tuple[Literal["flux2", "ai_toolkit"], ...], Field(description="also write the layouts of these trainers")
    ] = ()
