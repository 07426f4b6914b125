"""Stable Diffusion 1.5 and XL at full size with random weights, in the form in which the Hub has them."""

from pathlib import Path

from tests.tiny_vision import clip_tokenizer

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def make_stable_diffusion(folder: Path) -> Path:
    """stable-diffusion-v1-5: 860 million weights in the UNet, 512 pixels."""
    import torch
    from diffusers import PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    text = CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)
    StableDiffusionPipeline(
        unet=UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8),
        vae=autoencoder(0.18215), text_encoder=CLIPTextModel(text), tokenizer=clip_tokenizer(77),
        scheduler=PNDMScheduler(skip_prk_steps=True, steps_offset=1, **BETAS), safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def make_stable_diffusion_xl(folder: Path) -> Path:
    """stable-diffusion-xl-base-1.0: 2.6 thousand million weights in the UNet, 1024 pixels."""
    import torch
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    torch.manual_seed(0)
    first = CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)
    second = CLIPTextConfig(
        hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=20, projection_dim=1280,
        hidden_act="gelu",
    )  # fmt: skip
    unet = UNet2DConditionModel(
        sample_size=128, block_out_channels=(320, 640, 1280), layers_per_block=2, cross_attention_dim=2048,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), attention_head_dim=(5, 10, 20),
        transformer_layers_per_block=(1, 2, 10), use_linear_projection=True, addition_embed_type="text_time",
        addition_time_embed_dim=256, projection_class_embeddings_input_dim=2816,
    )  # fmt: skip
    StableDiffusionXLPipeline(
        unet=unet, vae=autoencoder(0.13025), text_encoder=CLIPTextModel(first),
        text_encoder_2=CLIPTextModelWithProjection(second), tokenizer=clip_tokenizer(77), tokenizer_2=clip_tokenizer(77),
        scheduler=EulerDiscreteScheduler(timestep_spacing="leading", steps_offset=1, **BETAS), add_watermarker=False,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def autoencoder(scaling_factor: float):
    """The VAE of both: 84 million weights, an eighth of each side."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(128, 256, 512, 512), down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4, layers_per_block=2, latent_channels=4, sample_size=512,
        scaling_factor=scaling_factor,
    )  # fmt: skip
