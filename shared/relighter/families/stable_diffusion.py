"""Stable Diffusion 1.5 and XL as InstructPix2Pix: a UNet that sees the source image beside the noise (Brooks et al., 2023)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    DDPMScheduler,
    DiffusionPipeline,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionXLInstructPix2PixPipeline,
    UNet2DConditionModel,
)
from torch.nn import functional
from transformers import AutoTokenizer, CLIPTextModel, CLIPTextModelWithProjection

from shared.models.loading import loading
from shared.relighter.families.family import Batch, Family, Guidance


class StableDiffusion(Family):
    """What SD 1.5 and SDXL have in common: VAE latents, a UNet with eight input channels, noise to predict."""

    usual = Guidance(50, 1.5, 7.5)
    pipeline_class: ClassVar[type[DiffusionPipeline]]
    reading: ClassVar[dict[str, Any]] = {}  # how the pipeline is read to relight
    trained: UNet2DConditionModel

    def load(self, device: torch.device, dtype: torch.dtype, gradient_checkpointing: bool) -> None:
        self.device, self.dtype = device, dtype
        with loading(self.model, "model_path"):
            self.schedule = DDPMScheduler.from_pretrained(self.model, subfolder="scheduler")
            # In float16 the VAE of SDXL overflows; encoding is a small part of a step.
            self.vae = AutoencoderKL.from_pretrained(self.model, subfolder="vae", torch_dtype=torch.float32)
            self.load_text_encoders()
            self.trained = UNet2DConditionModel.from_pretrained(self.model, subfolder="unet", torch_dtype=torch.float32)
        widen(self.trained, self.vae.config.latent_channels * 2)
        for part in (self.vae, *self.text_encoders()):
            part.requires_grad_(False).eval().to(device)
        self.trained.to(device).train()
        if gradient_checkpointing:
            self.trained.enable_gradient_checkpointing()

    def load_text_encoders(self) -> None:
        raise NotImplementedError

    def text_encoders(self) -> list[torch.nn.Module]:
        raise NotImplementedError

    def noise_shape(self) -> tuple[int, int, int]:
        factor = 2 ** (len(self.vae.config.block_out_channels) - 1)
        side = self.resolution // factor
        return self.vae.config.latent_channels, side, side

    @torch.no_grad()
    def encode_images(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.vae.encode(pixels.float()).latent_dist.parameters

    def loss(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        mean, deviation = moments(batch.target)
        latents = (mean + deviation * batch.posterior_noise) * self.vae.config.scaling_factor
        steps = (batch.moment * self.schedule.config.num_train_timesteps).long()
        noisy = self.schedule.add_noise(latents, batch.noise, steps)
        # The source is the mode of its latents and not scaled, as the pipelines take it.
        source = moments(batch.source)[0] * batch.keeps_image[:, None, None, None]
        prediction = model(torch.cat([noisy, source], 1), steps, **self.conditions(batch), return_dict=False)[0]
        if self.schedule.config.prediction_type == "v_prediction":
            wanted = self.schedule.get_velocity(latents, batch.noise, steps)
        else:
            wanted = batch.noise
        return functional.mse_loss(prediction.float(), wanted.float())

    def conditions(self, batch: Batch) -> dict[str, Any]:
        raise NotImplementedError

    def save_weights(self, folder: Path) -> None:
        self.trained.save_pretrained(folder / "unet")

    def load_weights(self, folder: Path) -> None:
        self.trained.load_state_dict(UNet2DConditionModel.from_pretrained(folder / "unet").state_dict())

    def pipeline(self) -> DiffusionPipeline:
        with loading(self.model, "model_path"):
            made = self.pipeline_class.from_pretrained(
                self.model, unet=self.trained, vae=self.vae, **self.text_parts(), **self.unneeded
            )
        made.set_progress_bar_config(disable=True)
        return made

    def save(self, folder: Path) -> None:
        self.pipeline().save_pretrained(folder)
        self.write_card(folder)

    unneeded: ClassVar[dict[str, Any]] = {}  # parts of the pipeline that training has no use for

    @classmethod
    def read_pipeline(cls, folder: Path, base_model: str, dtype: torch.dtype) -> DiffusionPipeline:
        return cls.pipeline_class.from_pretrained(folder, torch_dtype=dtype, **cls.reading)

    def text_parts(self) -> dict[str, Any]:
        raise NotImplementedError


class Sd15(StableDiffusion):
    """Stable Diffusion 1.5, at 512 pixels."""

    name = "sd15"
    pipeline_class = StableDiffusionInstructPix2PixPipeline
    unneeded: ClassVar[dict[str, Any]] = {"safety_checker": None, "requires_safety_checker": False}
    reading = (
        unneeded  # the safety checker blackens photographs that it mistakes, and says so nowhere that a person looks
    )

    def load_text_encoders(self) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(self.model, subfolder="tokenizer")
        self.text_encoder = CLIPTextModel.from_pretrained(self.model, subfolder="text_encoder", torch_dtype=self.dtype)

    def text_encoders(self) -> list[torch.nn.Module]:
        return [self.text_encoder]

    @torch.no_grad()
    def encode_texts(self, texts: Sequence[str]) -> dict[str, torch.Tensor]:
        return {"states": self.text_encoder(tokens(self.tokenizer, texts, self.device))[0]}

    def conditions(self, batch: Batch) -> dict[str, Any]:
        return {"encoder_hidden_states": batch.texts["states"]}

    def text_parts(self) -> dict[str, Any]:
        return {"tokenizer": self.tokenizer, "text_encoder": self.text_encoder}


class Sdxl(StableDiffusion):
    """Stable Diffusion XL, at 1024 pixels; it is told the image's size and has two text encoders (Podell et al., 2023)."""

    name = "sdxl"
    pipeline_class = StableDiffusionXLInstructPix2PixPipeline
    reading: ClassVar[dict[str, Any]] = {"add_watermarker": False}

    def load_text_encoders(self) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(self.model, subfolder="tokenizer")
        self.tokenizer_2 = AutoTokenizer.from_pretrained(self.model, subfolder="tokenizer_2")
        self.text_encoder = CLIPTextModel.from_pretrained(self.model, subfolder="text_encoder", torch_dtype=self.dtype)
        self.text_encoder_2 = CLIPTextModelWithProjection.from_pretrained(
            self.model, subfolder="text_encoder_2", torch_dtype=self.dtype
        )

    def text_encoders(self) -> list[torch.nn.Module]:
        return [self.text_encoder, self.text_encoder_2]

    @torch.no_grad()
    def encode_texts(self, texts: Sequence[str]) -> dict[str, torch.Tensor]:
        first = self.text_encoder(tokens(self.tokenizer, texts, self.device), output_hidden_states=True)
        second = self.text_encoder_2(tokens(self.tokenizer_2, texts, self.device), output_hidden_states=True)
        states = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], -1)  # the last but one, as SDXL has it
        return {"states": states, "pooled": second[0]}

    def conditions(self, batch: Batch) -> dict[str, Any]:
        # original size, corner of the crop, target size: the pipeline's own default
        side = self.resolution
        sizes = torch.tensor([[side, side, 0, 0, side, side]], device=self.device, dtype=batch.texts["pooled"].dtype)
        more = {"text_embeds": batch.texts["pooled"], "time_ids": sizes.expand(len(batch.noise), -1)}
        return {"encoder_hidden_states": batch.texts["states"], "added_cond_kwargs": more}

    def text_parts(self) -> dict[str, Any]:
        return {
            "tokenizer": self.tokenizer,
            "tokenizer_2": self.tokenizer_2,
            "text_encoder": self.text_encoder,
            "text_encoder_2": self.text_encoder_2,
        }

    @classmethod
    def answer(cls, pipeline: Any, pixels: np.ndarray, settings: dict[str, Any]) -> np.ndarray:
        return super().answer(pipeline, pixels, settings | {"height": pixels.shape[1], "width": pixels.shape[2]})


def widen(unet: UNet2DConditionModel, channels: int) -> None:
    """Give the first convolution `channels` inputs; the new weights are zero, so that the model is at first what it was."""
    old = unet.conv_in
    if old.in_channels == channels:
        return
    new = torch.nn.Conv2d(channels, old.out_channels, old.kernel_size, old.stride, old.padding)
    with torch.no_grad():
        new.weight.zero_()
        new.weight[:, : old.in_channels].copy_(old.weight)
        if old.bias is not None and new.bias is not None:
            new.bias.copy_(old.bias)
    unet.conv_in = new
    unet.register_to_config(in_channels=channels)


def moments(latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of a VAE's Gaussian, from what encode_images gives."""
    mean, log_variance = latents.chunk(2, 1)
    return mean, torch.exp(0.5 * log_variance.clamp(-30.0, 20.0))


def tokens(tokenizer: Any, texts: Sequence[str], device: Any, length: int | None = None) -> torch.Tensor:
    """(n, length) token ids, padded and cut."""
    encoded = tokenizer(
        list(texts), padding="max_length", max_length=length or tokenizer.model_max_length, truncation=True,
        return_tensors="pt",
    )  # fmt: skip
    return encoded.input_ids.to(device)
