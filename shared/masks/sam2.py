"""SAM 2 (Ravi et al., 2024), by its own package: what boxes and points mark, or the subject among all masks."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from shared.errors import RunError
from shared.masks.automatic import AutomaticMasks, subject_among
from shared.masks.instance import Instance
from shared.masks.precision import half_precision
from shared.masks.prompts import Prompt, prompts_of_faces
from shared.masks.resize import square
from shared.models.loading import loading

if TYPE_CHECKING:
    import torch

SOFTNESS = 2.2  # width of the outline, in logits: opaque from a probability of 0.75 on
STABLE = {  # as build_sam2 has it: several masks where the single one is not stable
    "dynamic_multimask_via_stability": True,
    "dynamic_multimask_stability_delta": 0.05,
    "dynamic_multimask_stability_thresh": 0.98,
}


class Prepared(NamedTuple):
    """A photograph at the model's size, and where to look in it."""

    pixels: np.ndarray  # sxsx3 uint8
    prompts: list[Prompt]  # in pixels of `pixels`; empty: look everywhere
    source: Literal["file", "face", "automatic"]


class Sam2:
    """A loaded SAM 2. Raises RunError when it cannot be loaded."""

    def __init__(self, model: str, prompts: dict[str, list[Prompt]], automatic: AutomaticMasks, device: "torch.device"):
        self.prompts, self.device = prompts, device
        logging.getLogger().addFilter(is_worth_a_line)
        with loading(model, "mask_model"):
            import torch
            from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator
            from sam2.sam2_image_predictor import SAM2ImagePredictor

            network = build_sam2(*locate(model), device)
            self.predictor = SAM2ImagePredictor(network)
            self.everywhere = SAM2AutomaticMaskGenerator(network, **vars(automatic))
        self.size = size = network.image_size

        def to_tensor(pixels: np.ndarray) -> torch.Tensor:
            return torch.tensor(pixels, device=device).permute(2, 0, 1).float() / 255

        for predictor in (self.predictor, self.everywhere.predictor):
            # The package fixes the first for 1024 pixels, and does the second on the CPU while the GPU waits.
            predictor._bb_feat_sizes = [(size // 4,) * 2, (size // 8,) * 2, (size // 16,) * 2]
            predictor._transforms.to_tensor = to_tensor

    def prepare(self, key: str, photograph: np.ndarray, full_size: tuple[int, int] | None = None) -> Prepared:
        """The photograph (HxWx3 uint8) at the model's size and its prompts; for the threads that load.

        The file's prompts are in pixels of a photograph of `full_size` (width, height), or of this one. Raises ValueError
        when one lies outside it.
        """
        width, height = full_size or photograph.shape[1::-1]
        prompts, source = self.prompts.get(key, []), "file"
        for prompt in prompts:
            prompt.check(height, width)
        if not prompts:
            height, width = photograph.shape[:2]
            prompts, source = prompts_of_faces(photograph), "face"
        scaled = [prompt.scaled(self.size / width, self.size / height) for prompt in prompts]
        return Prepared(square(photograph, self.size, self.size), scaled, source if scaled else "automatic")  # type: ignore[arg-type]

    def find(self, prepared: list[Prepared]) -> list[list[Instance]]:
        """The instances in each photograph; an empty list where there are none."""
        import torch

        instances: list[list[Instance]] = [[] for _ in prepared]
        marked = [position for position, one in enumerate(prepared) if one.prompts]
        with torch.inference_mode(), half_precision(self.device):
            if marked:
                self.predictor.set_image_batch([prepared[position].pixels for position in marked])
                for place, position in enumerate(marked):
                    instances[position] = [self._at(prompt, place) for prompt in prepared[position].prompts]
                self.predictor.reset_predictor()
            for position, one in enumerate(prepared):
                if not one.prompts:
                    instances[position] = self._anywhere(one.pixels)
        return instances

    def _at(self, prompt: Prompt, place: int) -> Instance:
        """The best mask for one prompt in the photograph at that place of the batch."""
        points = (np.array(prompt.points), np.array(prompt.labels)) if prompt.points else (None, None)
        box = None if prompt.box is None else np.array(prompt.box)
        _, coordinates, labels, corners = self.predictor._prep_prompts(*points, box, None, True, img_idx=place)
        # A lone point may mean the person or the shirt: of three answers the one that the model trusts most.
        _, scores, logits = self.predictor._predict(
            coordinates, labels, corners, multimask_output=box is None and len(prompt.points) == 1, img_idx=place
        )
        best = int(scores[0].argmax())
        return Instance(logits[0, best].float().cpu().numpy() / SOFTNESS + 0.5, float(scores[0, best]))

    def _anywhere(self, pixels: np.ndarray) -> list[Instance]:
        """The subject among all masks, or nothing."""
        from shared.light.enlarge import shrink

        masks = self.everywhere.generate(pixels)
        position = subject_among([mask["segmentation"] for mask in masks])
        if position is None:
            return []
        subject = masks[position]
        values = shrink(subject["segmentation"].astype(np.float32), max(1, self.size // 4))
        return [Instance(values, float(subject["predicted_iou"]))]


def is_worth_a_line(record: logging.LogRecord) -> bool:
    """False for what the package tells the log about every photograph."""
    return record.levelno > logging.INFO or record.module != "sam2_image_predictor"


def locate(model: str) -> tuple[Path, Path]:
    """The config and the checkpoint of a Hub id that the package knows, or of a folder that holds one of each.

    Raises RunError when there is no such model.
    """
    import sam2
    from huggingface_hub import hf_hub_download
    from sam2.build_sam import HF_MODEL_ID_TO_FILENAMES

    folder = Path(model)
    if folder.is_dir():
        configs, checkpoints = sorted(folder.glob("*.yaml")), sorted(folder.glob("*.pt"))
        if len(configs) == len(checkpoints) == 1:
            return configs[0], checkpoints[0]
        raise RunError(
            f"mask_model {model} has {len(configs)} .yaml and {len(checkpoints)} .pt files; the sam2 package needs one "
            f"of each, as its repositories have them (the .safetensors beside them are another package's)"
        )
    if model not in HF_MODEL_ID_TO_FILENAMES:
        known = ", ".join(HF_MODEL_ID_TO_FILENAMES)
        raise RunError(f"mask_model {model} is neither a folder nor one that the sam2 package knows ({known})")
    config, checkpoint = HF_MODEL_ID_TO_FILENAMES[model]
    return Path(sam2.__path__[0]) / config, Path(hf_hub_download(model, checkpoint))


def build_sam2(config: Path, checkpoint: Path, device: "torch.device") -> Any:
    """What build_sam2 builds, from a config that may lie anywhere."""
    import torch
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    settings = OmegaConf.load(config)
    for name, value in STABLE.items():
        OmegaConf.update(settings, f"model.sam_mask_decoder_extra_args.{name}", value, force_add=True)
    OmegaConf.resolve(settings)
    network = instantiate(settings.model, _recursive_=True)
    network.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=True)["model"])
    return network.to(device).eval()
