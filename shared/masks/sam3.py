"""SAM 3: every instance of what a text names (Carion et al., 2025), by transformers."""

from typing import TYPE_CHECKING

import numpy as np

from shared.masks.instance import Instance
from shared.masks.precision import half_precision
from shared.masks.resize import square
from shared.models.loading import loading, reach

if TYPE_CHECKING:
    import torch

SAM3_SOFTNESS = 0.5  # width of the outline, in probability: a mask is opaque from threshold + 0.25 on


class Sam3:
    """A loaded SAM 3 with one text prompt. Raises RunError when it cannot be loaded."""

    def __init__(
        self, model: str, prompt: str, detection_threshold: float, mask_threshold: float, device: "torch.device"
    ):
        self.device, self.detection_threshold, self.mask_threshold = device, detection_threshold, mask_threshold
        with loading(model, "mask_model"):
            import torch
            from transformers import Sam3Model, Sam3Processor
            from transformers.utils import logging as messages

            messages.disable_progress_bar()
            reach(model, "config.json")
            processor = Sam3Processor.from_pretrained(model)
            self.model = Sam3Model.from_pretrained(model, dtype=torch.float32).to(device).eval()
        images = processor.image_processor
        self.size = (images.size["height"], images.size["width"])
        self.mean, self.deviation = (
            torch.tensor(values, device=device).view(3, 1, 1) for values in (images.image_mean, images.image_std)
        )
        # One prompt for all photographs, so its text is encoded once.
        words = processor(text=prompt, return_tensors="pt").to(device)
        self.attention = words["attention_mask"]
        with torch.inference_mode(), half_precision(device):
            self.text = self.model.get_text_features(input_ids=words["input_ids"], attention_mask=self.attention)

    def prepare(self, key: str, photograph: np.ndarray, full_size: tuple[int, int] | None = None) -> np.ndarray:
        """The photograph (HxWx3 uint8) at the size that the model wants; for the threads that load."""
        return square(photograph, *self.size)

    def find(self, prepared: list[np.ndarray]) -> list[list[Instance]]:
        """The instances in each photograph; an empty list where there are none."""
        import torch
        from transformers.modeling_outputs import BaseModelOutputWithPooling

        count = len(prepared)
        with torch.inference_mode(), half_precision(self.device):
            pixels = torch.from_numpy(np.stack(prepared)).to(self.device).permute(0, 3, 1, 2)
            text = BaseModelOutputWithPooling(pooler_output=self.text.pooler_output.expand(count, -1, -1))
            output = self.model(
                pixel_values=(pixels.float() / 255 - self.mean) / self.deviation,
                text_embeds=text,
                attention_mask=self.attention.expand(count, -1),
            )
            scores = output.pred_logits.float().sigmoid() * output.presence_logits.float().sigmoid()
            return [
                self._instances(one[keep], masks[keep])
                for one, masks, keep in zip(scores, output.pred_masks, scores > self.detection_threshold, strict=True)
            ]

    def _instances(self, scores: "torch.Tensor", masks: "torch.Tensor") -> list[Instance]:
        values = (masks.float().sigmoid() - self.mask_threshold) / SAM3_SOFTNESS + 0.5
        return [Instance(mask, score) for mask, score in zip(values.cpu().numpy(), scores.tolist(), strict=True)]
