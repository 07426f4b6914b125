"""Tiny random text-to-image models in the form in which the Hub has them, one of each kind that a generate step draws with."""

from pathlib import Path

from tests.tiny_diffusion import (
    autoencoder,
    make_stable_diffusion,
    make_stable_diffusion_xl,
    t5_tokenizer,
    text_model,
)  # fmt: skip
from tests.tiny_vision import clip_tokenizer
from tests.tiny_vlm import QWEN_TEMPLATE, QWEN_TOKENS, VOCABULARY, text_of, tokenizer_of, visual_tokens


def flux(folder: Path) -> Path:
    import torch
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
    from transformers import CLIPTextModel

    torch.manual_seed(0)
    tokenizer, texts = t5(32)
    transformer = FluxTransformer2DModel(
        patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=32, pooled_projection_dim=32, axes_dims_rope=(4, 4, 8), guidance_embeds=True,
    )  # fmt: skip
    FluxPipeline(
        transformer=transformer.eval(), tokenizer=clip_tokenizer(77), tokenizer_2=tokenizer, vae=plain_autoencoder(),
        text_encoder=text_model(CLIPTextModel), text_encoder_2=texts,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
    ).save_pretrained(folder)  # fmt: skip
    return folder


def stable_diffusion_3(folder: Path) -> Path:
    import torch
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline
    from transformers import CLIPTextModelWithProjection

    torch.manual_seed(0)
    tokenizer, _ = t5(32)
    transformer = SD3Transformer2DModel(
        sample_size=8, patch_size=2, in_channels=4, num_layers=2, attention_head_dim=8, num_attention_heads=4,
        caption_projection_dim=32, joint_attention_dim=64, pooled_projection_dim=64, out_channels=4, qk_norm="rms_norm",
    )  # fmt: skip
    StableDiffusion3Pipeline(
        transformer=transformer.eval(), vae=plain_autoencoder(), scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        text_encoder=text_model(CLIPTextModelWithProjection), text_encoder_2=text_model(CLIPTextModelWithProjection),
        text_encoder_3=t5(32, width=64)[1], tokenizer=clip_tokenizer(77), tokenizer_2=clip_tokenizer(77), tokenizer_3=tokenizer,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def flux_2_klein(folder: Path) -> Path:
    import torch
    import transformers as t
    from diffusers import FlowMatchEulerDiscreteScheduler, Flux2KleinPipeline

    torch.manual_seed(0)
    tokenizer = qwen_tokenizer()
    Flux2KleinPipeline(
        transformer=flux_2_transformer(guidance=False), vae=flux_2_autoencoder(), tokenizer=tokenizer,
        text_encoder=t.Qwen3ForCausalLM(t.Qwen3Config(**language(tokenizer, layers=28))).eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
    ).save_pretrained(folder)  # fmt: skip
    return folder


def flux_2(folder: Path) -> Path:
    import torch
    import transformers as t
    from diffusers import FlowMatchEulerDiscreteScheduler, Flux2Pipeline

    torch.manual_seed(0)
    special = ("<pad>", "</s>", "<s>", "<unk>", "[IMG]", "[IMG_BREAK]", "[IMG_END]")
    named = {"image_token": "[IMG]", "image_break_token": "[IMG_BREAK]", "image_end_token": "[IMG_END]"}
    tokenizer = tokenizer_of(
        special, eos_token="</s>", pad_token="<pad>", bos_token="<s>", unk_token="<unk>", extra_special_tokens=named
    )
    config = t.Mistral3Config(
        text_config=language(tokenizer, layers=30) | {"model_type": "mistral"},
        vision_config={
            "model_type": "pixtral", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
            "image_size": 32, "patch_size": 16,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("[IMG]"),
    )  # fmt: skip
    processor = t.PixtralProcessor(
        image_processor=t.PixtralImageProcessor(size={"longest_edge": 32}, patch_size={"height": 16, "width": 16}),
        tokenizer=tokenizer, patch_size=16, chat_template=QWEN_TEMPLATE,
    )  # fmt: skip
    Flux2Pipeline(
        transformer=flux_2_transformer(guidance=True), vae=flux_2_autoencoder(), tokenizer=processor,
        text_encoder=t.Mistral3ForConditionalGeneration(config).eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
    ).save_pretrained(folder)  # fmt: skip
    return folder


def qwen_image(folder: Path) -> Path:
    import torch
    import transformers as t
    from diffusers import (
        AutoencoderKLQwenImage,
        FlowMatchEulerDiscreteScheduler,
        QwenImagePipeline,
        QwenImageTransformer2DModel,
    )  # fmt: skip

    torch.manual_seed(0)
    tokenizer = qwen_tokenizer()
    number = {token: tokenizer.convert_tokens_to_ids(token) for token in QWEN_TOKENS}
    config = t.Qwen2_5_VLConfig(
        text_config=text_of(number, rope={"mrope_section": [6, 5, 5]}),
        vision_config={
            "depth": 1, "hidden_size": 16, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": 64, "patch_size": 14,
            "fullatt_block_indexes": [0],
        },
        **visual_tokens(number),
    )  # fmt: skip
    vae = AutoencoderKLQwenImage(
        base_dim=12, z_dim=4, dim_mult=[1, 2, 4, 4], num_res_blocks=1, temperal_downsample=[False, True, True],
        latents_mean=[0.0] * 4, latents_std=[1.0] * 4,
    )  # fmt: skip
    transformer = QwenImageTransformer2DModel(
        patch_size=2, in_channels=16, out_channels=4, num_layers=2, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=64, axes_dims_rope=(8, 4, 4),
    )  # fmt: skip
    QwenImagePipeline(
        transformer=transformer.eval(), vae=vae.eval(), tokenizer=tokenizer,
        text_encoder=t.Qwen2_5_VLForConditionalGeneration(config).eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
    ).save_pretrained(folder)  # fmt: skip
    return folder


def z_image(folder: Path) -> Path:
    import torch
    import transformers as t
    from diffusers import FlowMatchEulerDiscreteScheduler, ZImagePipeline, ZImageTransformer2DModel

    torch.manual_seed(0)
    tokenizer = qwen_tokenizer()
    transformer = ZImageTransformer2DModel(
        in_channels=4, dim=32, n_layers=2, n_refiner_layers=1, n_heads=2, n_kv_heads=2, cap_feat_dim=16, axes_dims=[4, 6, 6],
        axes_lens=[1024, 64, 64],
    )  # fmt: skip
    ZImagePipeline(
        transformer=transformer.eval(), vae=plain_autoencoder(), tokenizer=tokenizer,
        text_encoder=t.Qwen3Model(t.Qwen3Config(**language(tokenizer, layers=3))).eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    ).save_pretrained(folder)  # fmt: skip
    return folder


KINDS = {
    "StableDiffusionPipeline": make_stable_diffusion, "StableDiffusionXLPipeline": make_stable_diffusion_xl,
    "StableDiffusion3Pipeline": stable_diffusion_3, "FluxPipeline": flux, "Flux2Pipeline": flux_2,
    "Flux2KleinPipeline": flux_2_klein, "QwenImagePipeline": qwen_image, "ZImagePipeline": z_image,
}  # fmt: skip


def t5(length: int, width: int = 32):
    """A tokenizer and its encoder."""
    from transformers import T5Config, T5EncoderModel

    tokenizer = t5_tokenizer(length)
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=width,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        pad_token_id=0,
        eos_token_id=1,
    )
    return tokenizer, T5EncoderModel(config).eval()


def plain_autoencoder():
    return autoencoder(scaling_factor=0.3611, shift_factor=0.1159, use_quant_conv=False, use_post_quant_conv=False)


def flux_2_autoencoder():
    from diffusers import AutoencoderKLFlux2

    return AutoencoderKLFlux2(
        block_out_channels=(8, 8, 16, 16), latent_channels=4, norm_num_groups=4, layers_per_block=1, sample_size=64
    ).eval()


def flux_2_transformer(guidance: bool):
    from diffusers import Flux2Transformer2DModel

    return Flux2Transformer2DModel(
        in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=48, timestep_guidance_channels=32, axes_dims_rope=(4, 4, 4, 4), guidance_embeds=guidance,
    ).eval()  # fmt: skip


def qwen_tokenizer():
    tokenizer = tokenizer_of(QWEN_TOKENS, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.chat_template = QWEN_TEMPLATE
    return tokenizer


def language(tokenizer, layers: int) -> dict:
    return {
        "vocab_size": VOCABULARY, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": layers,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "max_position_embeddings": 4096,
        "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id,
    }  # fmt: skip
