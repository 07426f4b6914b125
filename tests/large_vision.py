"""SAM 3, SAM 2 and Marigold intrinsics at full size with random weights, in the forms in which the Hub has them."""

from pathlib import Path

from tests.tiny_vision import appearance_properties, clip_tokenizer, lighting_properties


def make_sam3(folder: Path) -> str:
    """facebook/sam3: 0.84 thousand million parameters, 1008 pixels."""
    import torch
    from transformers import Sam3Config, Sam3ImageProcessor, Sam3Model, Sam3Processor

    torch.manual_seed(0)
    Sam3Model(Sam3Config()).save_pretrained(folder)
    Sam3Processor(image_processor=Sam3ImageProcessor(), tokenizer=clip_tokenizer(32)).save_pretrained(folder)
    return str(folder)


def make_sam2(folder: Path) -> str:
    """facebook/sam2.1-hiera-large: 224 million parameters, 1024 pixels."""
    import sam2
    import torch
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    torch.manual_seed(0)
    config = OmegaConf.load(Path(sam2.__path__[0]) / "configs" / "sam2.1" / "sam2.1_hiera_l.yaml")
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(config, folder / "sam2.1_hiera_l.yaml")
    OmegaConf.resolve(config)
    torch.save({"model": instantiate(config.model).state_dict()}, folder / "sam2.1_hiera_large.pt")
    return str(folder)


def make_marigold(folder: Path, kind: str) -> str:
    """prs-eth/marigold-iid-appearance-v1-1 or -lighting-v1-1: Stable Diffusion 2, 768 pixels, 4 steps."""
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, MarigoldIntrinsicsPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    properties = {"appearance": appearance_properties, "lighting": lighting_properties}[kind]()
    pipeline = MarigoldIntrinsicsPipeline(
        unet=UNet2DConditionModel(**unet_settings(len(properties["target_names"]))),
        vae=AutoencoderKL(
            block_out_channels=(128, 256, 512, 512), down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4, layers_per_block=2, latent_channels=4, sample_size=768,
        ),
        scheduler=DDIMScheduler(
            prediction_type="v_prediction", set_alpha_to_one=False, steps_offset=1, beta_schedule="scaled_linear",
            clip_sample=False,
        ),
        text_encoder=CLIPTextModel(
            CLIPTextConfig(hidden_size=1024, intermediate_size=4096, num_hidden_layers=23, num_attention_heads=16)
        ),
        tokenizer=clip_tokenizer(77), prediction_type="intrinsics", target_properties=properties,
        default_denoising_steps=4, default_processing_resolution=768,
    )  # fmt: skip
    pipeline.to(torch.float16).save_pretrained(folder, variant="fp16")
    return str(folder)


def unet_settings(targets: int) -> dict:
    """Stable Diffusion 2's, with the photograph's latents in front of the targets'."""
    return {
        "sample_size": 96, "in_channels": 4 * (1 + targets), "out_channels": 4 * targets, "layers_per_block": 2,
        "block_out_channels": (320, 640, 1280, 1280), "attention_head_dim": [5, 10, 20, 20],
        "cross_attention_dim": 1024, "use_linear_projection": True,
    }  # fmt: skip
