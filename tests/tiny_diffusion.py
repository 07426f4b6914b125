"""Tiny random diffusion models in the form in which the Hub has them: SD 1.5, SDXL, both as InstructPix2Pix, FLUX Kontext.

As in the large ones the VAE makes an eighth of each side, so 64 pixels are 8 x 8 latents.
"""

from pathlib import Path

from tests.tiny_vision import ALPHABET_SIZE, clip_tokenizer, text_settings


def make_stable_diffusion(folder: Path, edits: bool = False) -> Path:
    """A Stable Diffusion 1.5; one that `edits` is an InstructPix2Pix, whose UNet has eight channels."""
    import torch
    from diffusers import PNDMScheduler, StableDiffusionInstructPix2PixPipeline, StableDiffusionPipeline
    from transformers import CLIPTextModel

    torch.manual_seed(0)
    kind = StableDiffusionInstructPix2PixPipeline if edits else StableDiffusionPipeline
    kind(
        unet=network(8 if edits else 4), vae=autoencoder(), text_encoder=text_model(CLIPTextModel), tokenizer=clip_tokenizer(77),
        scheduler=PNDMScheduler(skip_prk_steps=True, steps_offset=1, **BETAS), safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def make_stable_diffusion_xl(folder: Path, edits: bool = False) -> Path:
    """A Stable Diffusion XL, with two text encoders and the sizes as a condition."""
    import torch
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLInstructPix2PixPipeline, StableDiffusionXLPipeline
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    torch.manual_seed(0)
    unet = network(
        8 if edits else 4, cross_attention_dim=64, attention_head_dim=(2, 4), use_linear_projection=True,
        transformer_layers_per_block=(1, 2), addition_embed_type="text_time", addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 32,
    )  # fmt: skip
    kind = StableDiffusionXLInstructPix2PixPipeline if edits else StableDiffusionXLPipeline
    kind(
        unet=unet, vae=autoencoder(scaling_factor=0.13025), tokenizer=clip_tokenizer(77), tokenizer_2=clip_tokenizer(77),
        text_encoder=text_model(CLIPTextModel), text_encoder_2=text_model(CLIPTextModelWithProjection),
        scheduler=EulerDiscreteScheduler(timestep_spacing="leading", steps_offset=1, **BETAS),
        add_watermarker=False,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def make_flux(folder: Path) -> Path:
    """A FLUX.1 Kontext: a transformer over packed latents, texts by CLIP and T5."""
    import torch
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxKontextPipeline, FluxTransformer2DModel
    from transformers import CLIPTextModel, T5Config, T5EncoderModel

    torch.manual_seed(0)
    tokenizer = t5_tokenizer(32)
    texts = T5Config(
        vocab_size=len(tokenizer), d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, pad_token_id=0, eos_token_id=1
    )  # fmt: skip
    transformer = FluxTransformer2DModel(
        patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=32, pooled_projection_dim=32, axes_dims_rope=(4, 4, 8), guidance_embeds=True,
    )  # fmt: skip
    FluxKontextPipeline(
        transformer=transformer.eval(), tokenizer=clip_tokenizer(77), tokenizer_2=tokenizer,
        vae=autoencoder(scaling_factor=0.3611, shift_factor=0.1159, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=text_model(CLIPTextModel), text_encoder_2=T5EncoderModel(texts).eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
    ).save_pretrained(folder)  # fmt: skip
    return folder


BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def network(channels: int, **settings):
    """A UNet of two levels; attention is at the lower one."""
    from diffusers import UNet2DConditionModel

    default = {"cross_attention_dim": 32, "attention_head_dim": 8}
    return UNet2DConditionModel(
        block_out_channels=(32, 64), layers_per_block=1, sample_size=8, in_channels=channels, out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=8, **(default | settings),
    ).eval()  # fmt: skip


def autoencoder(**settings):
    """A VAE of four levels, as the large ones have."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 8, 16, 16), down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4, latent_channels=4, sample_size=64, norm_num_groups=4, **settings,
    ).eval()  # fmt: skip


def text_model(kind: type):
    from transformers import CLIPTextConfig

    return kind(CLIPTextConfig(**text_settings(77))).eval()


def t5_tokenizer(length: int):
    """A T5 tokenizer of single letters."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = ["<pad>", "</s>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    assert len(letters) < ALPHABET_SIZE
    words = {letter: number for number, letter in enumerate(letters)}
    tokenizer = Tokenizer(models.BPE(vocab=words, merges=[], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=length
    )
