"""FLUX.1 Kontext by LoRA: the source image's tokens stand beside the noisy ones (Black Forest Labs, 2025; Hu et al., 2021)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxKontextPipeline, FluxTransformer2DModel
from diffusers.utils import convert_unet_state_dict_to_peft
from peft import LoraConfig, get_peft_model_state_dict, set_peft_model_state_dict
from torch.nn import functional
from transformers import AutoTokenizer, CLIPTextModel, T5EncoderModel

from shared.errors import RunError
from shared.models.loading import loading
from shared.relighter.families.family import Batch, Family, Guidance
from shared.relighter.families.stable_diffusion import moments, tokens

LAYERS = ["attn.to_k", "attn.to_q", "attn.to_v", "attn.to_out.0", "attn.add_k_proj", "attn.add_q_proj", "attn.add_v_proj",
          "attn.to_add_out", "ff.net.0.proj", "ff.net.2", "ff_context.net.0.proj", "ff_context.net.2"]  # fmt: skip
GUIDANCE = 1.0  # what a guidance-distilled model is told in training
LORA_FILE = "pytorch_lora_weights.safetensors"


class Flux(Family):
    """FLUX.1 Kontext [dev], at 1024 pixels; 12 billion weights stay as they are and small matrices of `rank` are learned."""

    name = "flux"
    usual = Guidance(28, 1.0, 2.5)  # guidance is distilled into it, and of the image it has none
    gpu_dtype = "bfloat16"
    trained: FluxTransformer2DModel

    def __init__(self, model: str, resolution: int, rank: int = 16, text_length: int = 512):
        super().__init__(model, resolution, rank)
        self.text_length = text_length

    def load(self, device: torch.device, dtype: torch.dtype, gradient_checkpointing: bool) -> None:
        self.device, self.dtype = device, dtype
        with loading(self.model, "model_path"):
            self.tokenizer = AutoTokenizer.from_pretrained(self.model, subfolder="tokenizer")
            self.tokenizer_2 = AutoTokenizer.from_pretrained(self.model, subfolder="tokenizer_2")
            options = {"torch_dtype": dtype}
            self.text_encoder = CLIPTextModel.from_pretrained(self.model, subfolder="text_encoder", **options)
            self.text_encoder_2 = T5EncoderModel.from_pretrained(self.model, subfolder="text_encoder_2", **options)
            self.vae = AutoencoderKL.from_pretrained(self.model, subfolder="vae", torch_dtype=torch.float32)
            self.schedule = FlowMatchEulerDiscreteScheduler.from_pretrained(self.model, subfolder="scheduler")
            self.trained = FluxTransformer2DModel.from_pretrained(self.model, subfolder="transformer", **options)
        for part in (self.text_encoder, self.text_encoder_2, self.vae, self.trained):
            part.requires_grad_(False).eval().to(device)
        self.trained.add_adapter(
            LoraConfig(r=self.rank, lora_alpha=self.rank, init_lora_weights="gaussian", target_modules=LAYERS)
        )
        for weights in self.trained.parameters():
            if weights.requires_grad:
                weights.data = weights.data.float()  # the optimizer's steps are too small for 16 bits
        self.trained.train()
        if gradient_checkpointing:
            self.trained.enable_gradient_checkpointing()

    def noise_shape(self) -> tuple[int, int, int]:
        side = self.resolution // 2 ** (len(self.vae.config.block_out_channels) - 1)
        if side % 2:
            raise RunError(f"resolution {self.resolution} is no multiple of 16, which FLUX needs")
        return self.vae.config.latent_channels, side, side

    @torch.no_grad()
    def encode_images(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.vae.encode(pixels.float()).latent_dist.parameters

    @torch.no_grad()
    def encode_texts(self, texts: Sequence[str]) -> dict[str, torch.Tensor]:
        pooled = self.text_encoder(tokens(self.tokenizer, texts, self.device)).pooler_output
        length = min(self.text_length, self.tokenizer_2.model_max_length)
        return {
            "states": self.text_encoder_2(tokens(self.tokenizer_2, texts, self.device, length))[0],
            "pooled": pooled,
        }

    def loss(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        mean, deviation = moments(batch.target)
        target = self._scaled(mean + deviation * batch.posterior_noise)
        source = self._scaled(moments(batch.source)[0]) * batch.keeps_image[:, None, None, None]
        # Time steps by the normal distribution's logit (Esser et al., 2024, section 3.1).
        time = torch.sigmoid(torch.special.ndtri(batch.moment.double().clamp(1e-6, 1 - 1e-6))).float()
        share = time[:, None, None, None]
        noisy = (1 - share) * target + share * batch.noise
        count, channels, height, width = noisy.shape
        packed = [
            FluxKontextPipeline._pack_latents(x.to(self.dtype), count, channels, height, width) for x in (noisy, source)
        ]
        ids = [self._places(height, width, image) for image in (0, 1)]
        guidance = torch.full((count,), GUIDANCE, device=self.device) if self.trained.config.guidance_embeds else None
        prediction = model(
            hidden_states=torch.cat(packed, 1), timestep=time.to(self.dtype), guidance=guidance,
            pooled_projections=batch.texts["pooled"], encoder_hidden_states=batch.texts["states"],
            txt_ids=torch.zeros(batch.texts["states"].shape[1], 3, device=self.device, dtype=self.dtype),
            img_ids=torch.cat(ids), return_dict=False,
        )[0][:, : packed[0].shape[1]]  # fmt: skip
        wanted = FluxKontextPipeline._pack_latents(batch.noise - target, count, channels, height, width)
        return functional.mse_loss(prediction.float(), wanted.float())

    def _scaled(self, latents: torch.Tensor) -> torch.Tensor:
        return (latents - (self.vae.config.shift_factor or 0.0)) * self.vae.config.scaling_factor

    def _places(self, height: int, width: int, image: int) -> torch.Tensor:
        """Row and column of each token; the first number tells the source's from the noisy ones."""
        places = FluxKontextPipeline._prepare_latent_image_ids(1, height // 2, width // 2, self.device, self.dtype)
        places[..., 0] = image
        return places

    def save_weights(self, folder: Path) -> None:
        FluxKontextPipeline.save_lora_weights(folder, transformer_lora_layers=get_peft_model_state_dict(self.trained))

    def load_weights(self, folder: Path) -> None:
        weights = FluxKontextPipeline.lora_state_dict(folder)
        weights = {name.removeprefix("transformer."): value for name, value in weights.items()}
        set_peft_model_state_dict(self.trained, convert_unet_state_dict_to_peft(weights))

    def pipeline(self) -> FluxKontextPipeline:
        made = FluxKontextPipeline(
            scheduler=self.schedule, vae=self.vae, text_encoder=self.text_encoder, tokenizer=self.tokenizer,
            text_encoder_2=self.text_encoder_2, tokenizer_2=self.tokenizer_2, transformer=self.trained,
        )  # fmt: skip
        made.set_progress_bar_config(disable=True)
        return made

    def save(self, folder: Path) -> None:
        """Only the LoRA: the base model is where it was."""
        folder.mkdir(parents=True, exist_ok=True)
        self.save_weights(folder)
        self.write_card(folder)

    @classmethod
    def read_pipeline(cls, folder: Path, base_model: str, dtype: torch.dtype) -> FluxKontextPipeline:
        if not (folder / LORA_FILE).is_file():
            return FluxKontextPipeline.from_pretrained(folder, torch_dtype=dtype)
        with loading(base_model, f"the base_model of {folder}"):
            pipeline = FluxKontextPipeline.from_pretrained(base_model, torch_dtype=dtype)
        pipeline.load_lora_weights(folder, weight_name=LORA_FILE)
        return pipeline

    @classmethod
    def answer(cls, pipeline: Any, pixels: np.ndarray, settings: dict[str, Any]) -> np.ndarray:
        height, width = pixels.shape[1:3]
        settings = {name: value for name, value in settings.items() if name != "image_guidance_scale"} | {
            "height": height, "width": width, "max_area": height * width,
            "_auto_resize": False,  # it would take the size nearest to its own
            "max_sequence_length": min(512, pipeline.tokenizer_2.model_max_length),
        }  # fmt: skip
        return super().answer(pipeline, pixels, settings)
