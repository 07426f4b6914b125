"""A small diffusion model in pixels, trained from scratch: the proof that training, relighting and evaluation work."""

import hashlib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, DiffusionPipeline, ImagePipelineOutput, UNet2DConditionModel
from PIL import Image
from torch.nn import functional

from shared.models.loading import loading
from shared.relighter.families.family import Batch, Family, Guidance

SCRATCH = ("", "scratch")
PATCH = 2  # pixels in a row that the UNet sees as one, with more channels: a quarter of the work
WORD_LENGTH = 64  # numbers that a word becomes
WORD = re.compile(r"\w+")


class PixelPipeline(DiffusionPipeline):
    """Relight photographs by instruction, with the arguments of diffusers' InstructPix2Pix pipelines."""

    def __init__(self, unet: UNet2DConditionModel, scheduler: DDIMScheduler):
        super().__init__()
        self.register_modules(unet=unet, scheduler=scheduler)

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | Sequence[str],
        image: Image.Image | Sequence[Image.Image],
        num_inference_steps: int = 8,
        guidance_scale: float = 1.0,
        image_guidance_scale: float = 1.0,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
    ) -> ImagePipelineOutput:
        """As many images as prompts; all of one size, whose sides are multiples of Pixel.size_multiple."""
        texts = [prompt] if isinstance(prompt, str) else prompt
        images = [image] if isinstance(image, Image.Image) else image
        source = torch.stack([pixels_of(one) for one in images]).to(self.device)
        words = embed(texts).to(self.device)
        noisy = draw_noise(source, generator)
        self.scheduler.set_timesteps(num_inference_steps)
        for step in self.progress_bar(self.scheduler.timesteps):
            steps = step.expand(len(source)).to(self.device)
            predicted = predict(self.unet, noisy, source, words, steps)
            if guidance_scale != 1 or image_guidance_scale != 1:
                # Brooks et al. (2023), equation 3, on the image that is predicted instead of its noise.
                wordless = predict(self.unet, noisy, source, torch.zeros_like(words), steps)
                blind = predict(self.unet, noisy, torch.zeros_like(source), torch.zeros_like(words), steps)
                predicted = blind + image_guidance_scale * (wordless - blind) + guidance_scale * (predicted - wordless)
            noisy = self.scheduler.step(predicted.clamp(-1, 1), step, noisy, return_dict=False)[0]
        pixels = ((noisy.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        return ImagePipelineOutput(images=[Image.fromarray(one) for one in pixels])


class Pixel(Family):
    """A UNet that sees the source beside the noisy image, both as they are, and the words as one vector."""

    name = "pixel"
    usual = Guidance(8, 1.0, 1.0)
    gpu_dtype = "float32"
    trained: UNet2DConditionModel

    def load(self, device: torch.device, dtype: torch.dtype, gradient_checkpointing: bool) -> None:
        self.device, self.dtype = device, dtype
        if self.model in SCRATCH:
            self.schedule, self.trained = make_schedule(), make_unet(self.resolution)
        else:
            with loading(self.model, "model_path"):
                self.schedule = DDIMScheduler.from_pretrained(self.model, subfolder="scheduler")
                self.trained = UNet2DConditionModel.from_pretrained(self.model, subfolder="unet")
        self.trained.to(device, memory_format=torch.channels_last).train()
        if gradient_checkpointing:
            self.trained.enable_gradient_checkpointing()

    def noise_shape(self) -> tuple[int, int, int]:
        return 3, self.resolution, self.resolution

    def encode_images(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pixels are known without doubt: a variance of e to the power of -30."""
        return torch.cat([pixels.float(), torch.full_like(pixels, -30.0, dtype=torch.float32)], 1)

    def encode_texts(self, texts: Sequence[str]) -> dict[str, torch.Tensor]:
        return {"states": embed(texts).to(self.device)}

    def loss(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        target = batch.target.chunk(2, 1)[0]
        source = batch.source.chunk(2, 1)[0] * batch.keeps_image[:, None, None, None]
        # The square root draws more steps of much noise, where the source and the words must tell the image.
        steps = (batch.moment.sqrt() * self.schedule.config.num_train_timesteps).long()
        noisy = self.schedule.add_noise(target, batch.noise, steps)
        return functional.mse_loss(predict(model, noisy, source, batch.texts["states"], steps).float(), target)

    def save_weights(self, folder: Path) -> None:
        self.trained.save_pretrained(folder / "unet")

    def load_weights(self, folder: Path) -> None:
        self.trained.load_state_dict(UNet2DConditionModel.from_pretrained(folder / "unet").state_dict())

    def pipeline(self) -> PixelPipeline:
        made = PixelPipeline(self.trained, self.schedule)
        made.set_progress_bar_config(disable=True)
        return made

    def save(self, folder: Path) -> None:
        self.pipeline().save_pretrained(folder)
        self.write_card(folder)

    @classmethod
    def read_pipeline(cls, folder: Path, base_model: str, dtype: torch.dtype) -> PixelPipeline:
        return PixelPipeline.from_pretrained(folder, torch_dtype=dtype)

    @classmethod
    def answer(cls, pipeline: Any, pixels: np.ndarray, settings: dict[str, Any]) -> np.ndarray:
        images = pipeline(image=[Image.fromarray(one) for one in pixels], **settings).images
        return np.stack([np.asarray(image) for image in images]) / 255


def predict(model: torch.nn.Module, noisy: Any, source: Any, words: Any, steps: Any) -> torch.Tensor:
    """The image without noise: the source, and the change that the model makes of it."""
    seen = functional.pixel_unshuffle(torch.cat([noisy, source], 1), PATCH)
    seen = torch.cat([seen, places(seen)], 1)
    change = model(seen, steps, encoder_hidden_states=words[:, None], class_labels=words, return_dict=False)[0]
    return source + functional.pixel_shuffle(change, PATCH)


def places(images: torch.Tensor) -> torch.Tensor:
    """(n, 2, h, w): how far each pixel is to the right and down, -1 to 1 (Liu et al., 2018): convolutions cannot tell."""
    count, _, height, width = images.shape
    down, across = (torch.linspace(-1, 1, side, device=images.device, dtype=images.dtype) for side in (height, width))
    return torch.stack(torch.meshgrid(down, across, indexing="ij")).expand(count, -1, -1, -1)


def make_schedule() -> DDIMScheduler:
    # Trailing steps begin at the noisiest one (Lin et al., 2024): few steps from pure noise.
    return DDIMScheduler(
        beta_schedule="squaredcos_cap_v2", prediction_type="sample", timestep_spacing="trailing", clip_sample=True
    )


def make_unet(resolution: int) -> UNet2DConditionModel:
    """As wide as the images are: 32 channels at 32 pixels. The same weights every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unet = UNet2DConditionModel(
            sample_size=resolution // PATCH,
            in_channels=6 * PATCH**2 + 2,
            out_channels=3 * PATCH**2,
            block_out_channels=(resolution, 2 * resolution, 2 * resolution),
            down_block_types=("DownBlock2D",) * 3,
            up_block_types=("UpBlock2D",) * 3,
            mid_block_type="UNetMidBlock2D",
            layers_per_block=1,
            norm_num_groups=8,
            resnet_time_scale_shift="scale_shift",
            class_embed_type="simple_projection",
            projection_class_embeddings_input_dim=WORD_LENGTH,
            cross_attention_dim=WORD_LENGTH,
        )
        with torch.no_grad():
            # At first the noise is not seen, as the source is not in InstructPix2Pix, and the answer is the source.
            unet.conv_in.weight[:, : 3 * PATCH**2] = 0
            unet.conv_out.weight.zero_()
            unet.conv_out.bias.zero_()
    return unet


def embed(texts: Sequence[str]) -> torch.Tensor:
    """(n, WORD_LENGTH): each text's words added up, each word a direction of its own (random projection); nothing is learned."""
    rows = [sum((word_vector(word) for word in WORD.findall(text.lower())), np.zeros(WORD_LENGTH)) for text in texts]
    return torch.from_numpy(np.stack(rows).astype(np.float32))


@cache
def word_vector(word: str) -> np.ndarray:
    seed = hashlib.sha256(word.encode("utf-8", "surrogatepass")).digest()[:8]
    return np.random.default_rng(int.from_bytes(seed, "little")).standard_normal(WORD_LENGTH)


def pixels_of(image: Image.Image) -> torch.Tensor:
    """(3, h, w) in [-1, 1]."""
    return torch.from_numpy(np.asarray(image.convert("RGB"), np.float32).transpose(2, 0, 1)) / 127.5 - 1


def draw_noise(like: torch.Tensor, generator: Any) -> torch.Tensor:
    """Each image's noise from its own generator, so that it does not depend on its neighbours in the batch."""
    if isinstance(generator, Sequence):
        return torch.cat([draw_noise(one[None], own) for one, own in zip(like, generator, strict=True)])
    place = generator.device if generator is not None else like.device
    return torch.randn(like.shape, generator=generator, device=place).to(like.device)
