"""How the degrade step finds the subject of a photograph: people, what a model finds, or a mask of one's own."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from shared.masks.automatic import AutomaticMasks
from shared.masks.packaged import PACKAGED

if TYPE_CHECKING:
    import torch

    from shared.forecast import Model
    from shared.masks.instance import Instance

SAM = ("sam3", "sam2")
MODELS = {"sam3": "facebook/sam3", "sam2": "facebook/sam2.1-hiera-large"}
# What is looked for; of sam3 its text_prompt.
NOUNS = {"person": "person", "sam2": "person", "u2net": "subject"}
InstanceConfidence = Annotated[float, Field(ge=0, le=1)]


@dataclass
class Masking:
    """The options about masks, and what is done by them."""

    mask: Annotated[
        Literal["person", "user", "u2net", "sam3", "sam2", "none"],
        Field(
            description="how the subject is found: people from any side, your own masks, what stands out by U2-Net, SAM 3 by "
            "words, SAM 2 by points"
        ),
    ] = "person"
    mask_folder: Annotated[
        Path | None,
        Field(
            description="masks under the photographs' relative names, with any image suffix: shades of grey, 0 and 1, numbers of "
            "things, a palette or a colour on black, or a cut-out"
        ),
    ] = None
    mask_model: Annotated[
        str,
        Field(
            description="sam3, sam2: a Hub id or a folder, instead of that in MODELS; u2net: an ONNX file; person: a TFLite file"
        ),
    ] = ""
    mask_required: Annotated[
        bool, Field(description="a photograph in which nothing is found fails; else it is relit as a whole")
    ] = False
    text_prompt: Annotated[str, Field(min_length=1, description="sam3: what the subject is called")] = "person"
    detection_threshold: Annotated[
        InstanceConfidence, Field(description="sam3: how sure it must be of an instance")
    ] = 0.5
    mask_threshold: Annotated[float, Field(gt=0, lt=1, description="sam3: how sure it must be of a pixel")] = 0.5
    instances: Annotated[
        Literal["all", "best"], Field(description="sam3, sam2: everybody, or only the one found most surely")
    ] = "all"
    prompt_file: Annotated[
        Path | None, Field(description="sam2: JSONL or CSV of boxes or points by key; a face is used where it has none")
    ] = None
    automatic: Annotated[
        AutomaticMasks, Field(description="sam2: how everything is found, where there is neither prompt nor face")
    ] = field(default_factory=AutomaticMasks)

    segmenter: Any = field(init=False, default=None)  # Sam3, Sam2, U2Net or nothing

    def wrong_masking(self) -> str:
        """What is wrong with these options, in a sentence, or nothing. Raises ConfigError for a bad prompt file."""
        if self.mask == "user" and self.mask_folder is None:
            return "mask is user; mask_folder must say where the masks are"
        if self.mask_folder is not None and not self.mask_folder.is_dir():
            return f"mask_folder {self.mask_folder} is not a folder"
        if self.mask == "none" and self.mask_required:
            return "mask_required needs a mask, and mask is none"
        if self.prompt_file is not None:
            from shared.masks.prompts import read_prompts

            read_prompts(self.prompt_file)
        self.mask_model = self.mask_model or MODELS.get(self.mask, "")
        return ""

    def masking_models(self) -> "list[Model]":
        from shared.forecast import Model

        if packaged := PACKAGED.get(self.mask):
            name = self.mask_model or str(packaged.find() or Path(packaged.file).name)
            return [Model(name, "mask_model", "onnx", (), how_to_get_it=packaged.how_to_get_it())]
        if self.mask not in SAM:
            return []
        name = self.mask_model or MODELS[self.mask]
        kind, package = ("transformers", "torchvision") if self.mask == "sam3" else ("sam2", "sam2")
        packages = ("torch", "transformers", "huggingface_hub", package)
        return [Model(name, "mask_model", kind, packages)]  # type: ignore[arg-type]

    def load_segmenter(self, device: "torch.device | None") -> None:
        """`device` is for SAM. Raises RunError where the model cannot be loaded."""
        if self.mask == "u2net":
            from shared.masks.u2net import U2Net

            self.segmenter = U2Net(self.mask_model)
        elif self.mask == "person":
            from shared.masks.person import load_networks

            load_networks(self.mask_model)
        elif self.mask == "sam3":
            from shared.masks.sam3 import Sam3

            thresholds = (self.detection_threshold, self.mask_threshold)
            self.segmenter = Sam3(self.mask_model, self.text_prompt, *thresholds, device)
        elif self.mask == "sam2":
            from shared.masks.prompts import read_prompts
            from shared.masks.sam2 import Sam2

            prompts = read_prompts(self.prompt_file) if self.prompt_file else {}
            self.segmenter = Sam2(self.mask_model, prompts, self.automatic, device)

    def find_mask(
        self, pixels: np.ndarray, given: np.ndarray | None, found: "list[Instance]", prepared: Any
    ) -> tuple[np.ndarray | None, dict[str, Any]]:
        """The subject's mask, HxW uint8, and what the record says of it. Raises ValueError where a required one is missing.

        pixels: HxWx3 uint8; `given`: the user's mask; `found` by the segmenter in what it `prepared`.
        """
        from shared.masks.instance import chosen, mask_of
        from shared.masks.person import people

        mask, scores = given, None
        if self.mask == "person":
            found_people = people(pixels, self.mask_model)
            mask, scores = (found_people[0], [round(found_people[1], 4)]) if found_people else (None, [])
        elif self.segmenter:
            instances = chosen(found, self.instances)
            scores = [round(instance.score, 4) for instance in instances]
            if instances:
                mask = mask_of(instances, *pixels.shape[:2])
        if mask is None and self.mask_required:
            raise ValueError(f"no {NOUNS.get(self.mask) or self.text_prompt} detected")
        said: dict[str, Any] = {"mask": "none" if mask is None else self.mask}
        if scores is not None:
            said["mask_scores"] = scores
        if self.mask == "sam2":
            said["mask_prompt"] = prepared.source
        return mask, said
