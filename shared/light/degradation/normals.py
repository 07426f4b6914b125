"""The normals of a photograph's surface by a model: Marigold's, or those of the relief that a depth model sees."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from shared.light.degradation.marigold import MarigoldPipeline, finite
from shared.light.surface import normals_of
from shared.models.loading import loading

if TYPE_CHECKING:
    import torch

RELIEF = (
    0.35  # depth between the nearest and the farthest, as a share of the long side: a depth model says it up to scale
)


class Shaped(NamedTuple):
    """A small copy of a photograph and its normals."""

    small: np.ndarray  # hxwx3 uint8
    normals: np.ndarray  # hxwx3 float32 of unit length: right, up, towards the camera


class MarigoldNormals(MarigoldPipeline):
    """A loaded MarigoldNormalsPipeline. Raises RunError when it cannot be loaded."""

    def __init__(self, model: str, device: "torch.device"):
        super().__init__(model, "normals_model", "MarigoldNormalsPipeline", device)

    def find(self, small: list[np.ndarray], generators: list[np.random.Generator]) -> list[Shaped]:
        """The normals of prepared photographs, each with its own noise."""
        answers = self.predict(small, generators)
        return [Shaped(image, facing(answer[0])) for image, answer in zip(small, answers, strict=True)]


class DepthNormals:
    """A loaded depth model of transformers, as Depth Anything or DPT. Raises RunError when it cannot be loaded."""

    def __init__(self, model: str, device: "torch.device"):
        import torch
        from transformers import AutoImageProcessor, AutoModelForDepthEstimation

        self.device = device
        dtype = torch.float16 if device.type == "cuda" else torch.float32
        with loading(model, "normals_model"):
            self.processor = AutoImageProcessor.from_pretrained(model)
            self.model = AutoModelForDepthEstimation.from_pretrained(model, dtype=dtype).to(device).eval()
        self.is_metric = getattr(self.model.config, "depth_estimation_type", "relative") == "metric"

    def prepare(self, photograph: np.ndarray) -> tuple[np.ndarray, "torch.Tensor"]:
        """The photograph (HxWx3 uint8) small and as the model wants it; for the threads that load."""
        from PIL import Image

        pixels = self.processor(images=np.array(photograph), return_tensors="pt")["pixel_values"]
        height, width = pixels.shape[-2:]
        return np.asarray(Image.fromarray(photograph).resize((width, height), Image.Resampling.BILINEAR)), pixels

    def find(self, prepared: list[tuple], generators: list[np.random.Generator]) -> list[Shaped]:
        """The normals of prepared photographs; `generators` are for models that draw."""
        import torch

        shaped = []
        for small, pixels in prepared:  # their sizes differ
            with torch.inference_mode():
                nearness = self.model(pixels.to(self.device, self.model.dtype)).predicted_depth[0].float().cpu().numpy()
            if self.is_metric:
                nearness = 1 / np.maximum(nearness, 1e-3)
            shaped.append(Shaped(small, normals_of_nearness(nearness, *small.shape[:2])))
        return shaped


def normals_of_nearness(nearness: np.ndarray, height: int, width: int) -> np.ndarray:
    """Normals (height x width x 3) of an inverse depth up to scale and shift.

    Raises ValueError where it has values that are no numbers.
    """
    import cv2

    nearness = cv2.resize(finite(nearness), (width, height), interpolation=cv2.INTER_LINEAR)
    far, near = np.percentile(nearness, (1, 99))
    relief = (nearness - far) / max(float(near - far), 1e-6) * RELIEF * max(height, width)
    return normals_of(relief.astype(np.float32))


def facing(normals: np.ndarray) -> np.ndarray:
    """Normals (hxwx3) of unit length; one that turns away from the camera is brought into the image's plane."""
    normals = np.concatenate([normals[..., :2], np.maximum(normals[..., 2:], 0.05)], axis=-1)
    return (normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-6)).astype(np.float32)
