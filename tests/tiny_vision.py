"""Tiny random models in the forms in which the Hub has them: SAM 2 (both packages), SAM 3, Marigold, Depth Anything."""

from functools import cached_property
from pathlib import Path

ALPHABET_SIZE = 514  # letters, letters at a word's end, and the two special tokens
IMAGE, PATCH = 112, 14  # of SAM 3
SIZE = 128  # of SAM 2


def clip_tokenizer(length: int):
    """A CLIP tokenizer of single letters."""
    from tokenizers import pre_tokenizers
    from transformers import CLIPTokenizer

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    assert len(words) == ALPHABET_SIZE
    return CLIPTokenizer(vocab={word: number for number, word in enumerate(words)}, merges=[], model_max_length=length)


def text_settings(length: int) -> dict:
    return {
        "vocab_size": ALPHABET_SIZE, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "projection_dim": 32, "max_position_embeddings": length,
        "bos_token_id": ALPHABET_SIZE - 2, "eos_token_id": ALPHABET_SIZE - 1, "pad_token_id": ALPHABET_SIZE - 1,
    }  # fmt: skip


def make_sam3(folder: Path) -> Path:
    """A SAM 3 of 112 pixels with 5 queries."""
    import torch
    from transformers import Sam3Config, Sam3ImageProcessor, Sam3Model, Sam3Processor

    torch.manual_seed(0)
    layers = {"hidden_size": 32, "intermediate_size": 64, "num_layers": 1, "num_attention_heads": 4}
    backbone = {
        "model_type": "sam3_vit_model", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "image_size": IMAGE, "pretrain_image_size": IMAGE, "patch_size": PATCH,
        "window_size": 4, "global_attn_indexes": [1],
    }  # fmt: skip
    sizes = [[side, side] for side in (32, 16, 8)]
    config = Sam3Config(
        vision_config={
            "model_type": "sam3_vision_model", "fpn_hidden_size": 32, "backbone_feature_sizes": sizes,
            "backbone_config": backbone,
        },
        text_config=text_settings(32),
        geometry_encoder_config=layers,
        detr_encoder_config=layers,
        detr_decoder_config={**layers, "num_queries": 5},
        mask_decoder_config={"hidden_size": 32, "num_upsampling_stages": 2, "num_attention_heads": 4},
    )  # fmt: skip
    model = Sam3Model(config).eval()
    last = list(model.mask_decoder.mask_embedder.layers)[-1]
    last.weight.data *= 4000  # so that masks have an inside and an outside
    images = Sam3ImageProcessor(size={"height": IMAGE, "width": IMAGE})
    model.save_pretrained(folder)
    Sam3Processor(image_processor=images, tokenizer=clip_tokenizer(32), target_size=IMAGE).save_pretrained(folder)
    return folder


def make_sam2(folder: Path) -> Path:
    """A SAM 2.1 of 128 pixels as the sam2 package keeps it: a config and a checkpoint."""
    import sam2
    import torch
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    torch.manual_seed(0)
    config = OmegaConf.load(Path(sam2.__path__[0]) / "configs" / "sam2.1" / "sam2.1_hiera_t.yaml")
    tiny = {
        "image_size": SIZE,
        "image_encoder.trunk.embed_dim": 16,
        "image_encoder.trunk.stages": [1, 1, 2, 1],
        "image_encoder.trunk.global_att_blocks": [3],  # one that starts a stage divides by zero
        "image_encoder.neck.backbone_channel_list": [128, 64, 32, 16],
        "memory_attention.num_layers": 1,
        "memory_attention.layer.self_attention.feat_sizes": [8, 8],
        "memory_attention.layer.cross_attention.feat_sizes": [8, 8],
    }
    for name, value in tiny.items():
        OmegaConf.update(config, f"model.{name}", value)
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(config, folder / "sam2_tiny.yaml")
    OmegaConf.resolve(config)
    network = instantiate(config.model)
    for decoder in network.sam_mask_decoder.output_hypernetworks_mlps:
        decoder.layers[-1].weight.data *= 60  # so that masks have an inside and an outside
        decoder.layers[-1].bias.data *= 60
    torch.save({"model": network.state_dict()}, folder / "sam2_tiny.pt")
    return folder


def make_sam2_of_transformers(folder: Path) -> Path:
    """A SAM 2 as transformers keeps it, which the sam2 package cannot load."""
    import torch
    from transformers import (
        Sam2Config,
        Sam2HieraDetConfig,
        Sam2ImageProcessor,
        Sam2Model,
        Sam2Processor,
        Sam2VisionConfig,
    )

    torch.manual_seed(0)
    backbone = Sam2HieraDetConfig(
        hidden_size=16, num_attention_heads=1, image_size=[SIZE, SIZE], blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[16, 32, 64, 128], num_attention_heads_per_stage=[1, 2, 4, 8], global_attention_blocks=[3],
        window_positional_embedding_background_size=[4, 4],
    )  # fmt: skip
    vision = Sam2VisionConfig(
        backbone_config=backbone, backbone_channel_list=[128, 64, 32, 16],
        backbone_feature_sizes=[[32, 32], [16, 16], [8, 8]], fpn_hidden_size=32,
    )  # fmt: skip
    config = Sam2Config(
        vision_config=vision,
        prompt_encoder_config={"hidden_size": 32, "image_size": SIZE, "patch_size": 16, "mask_input_channels": 16},
        mask_decoder_config={
            "hidden_size": 32, "mlp_dim": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
            "iou_head_hidden_dim": 32,
        },
    )  # fmt: skip
    images = Sam2ImageProcessor(size={"height": SIZE, "width": SIZE}, mask_size={"height": 32, "width": 32})
    Sam2Model(config).save_pretrained(folder)
    Sam2Processor(image_processor=images, target_size=SIZE).save_pretrained(folder)
    return folder


def make_marigold(folder: Path, kind: str) -> Path:
    """A Marigold of 64 pixels: `appearance` (albedo, material), `lighting` (albedo, shading, residual) or `normals`."""
    import torch
    from diffusers import (
        AutoencoderKL,
        DDIMScheduler,
        MarigoldIntrinsicsPipeline,
        MarigoldNormalsPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    made = {"appearance": appearance_properties, "lighting": lighting_properties}.get(kind)
    properties = made() if made else None
    targets = len(properties["target_names"]) if properties else 1
    network = UNet2DConditionModel(
        block_out_channels=(32, 64), layers_per_block=1, sample_size=32, in_channels=4 * (1 + targets),
        out_channels=4 * targets, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=32, attention_head_dim=8,
        norm_num_groups=32, use_linear_projection=True,
    )  # fmt: skip
    autoencoder = AutoencoderKL(
        block_out_channels=(32, 64), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2, latent_channels=4, sample_size=32,
    )  # fmt: skip
    scheduler = DDIMScheduler(
        prediction_type="v_prediction", set_alpha_to_one=False, steps_offset=1, beta_schedule="scaled_linear",
        clip_sample=False,
    )  # fmt: skip
    parts = {
        "unet": network.eval(), "vae": autoencoder.eval(), "scheduler": scheduler,
        "text_encoder": CLIPTextModel(CLIPTextConfig(**text_settings(77))).eval(), "tokenizer": clip_tokenizer(77),
        "default_denoising_steps": 2, "default_processing_resolution": 64,
    }  # fmt: skip
    if properties:
        pipeline = MarigoldIntrinsicsPipeline(**parts, prediction_type="intrinsics", target_properties=properties)
    else:
        pipeline = MarigoldNormalsPipeline(**parts, prediction_type="normals", use_full_z_range=True)
    pipeline.save_pretrained(folder)
    return folder


def make_depth(folder: Path) -> Path:
    """A Depth Anything of 56 pixels."""
    import torch
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config, DPTImageProcessor

    torch.manual_seed(0)
    backbone = Dinov2Config(
        hidden_size=32, num_hidden_layers=4, num_attention_heads=2, image_size=56, patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"], reshape_hidden_states=False, apply_layernorm=True,
    )  # fmt: skip
    config = DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=32, neck_hidden_sizes=[8, 16, 32, 32], fusion_hidden_size=16,
        head_hidden_size=8, patch_size=14,
    )  # fmt: skip
    DepthAnythingForDepthEstimation(config).eval().save_pretrained(folder)
    size = {"height": 56, "width": 56}
    DPTImageProcessor(size=size, keep_aspect_ratio=True, ensure_multiple_of=14).save_pretrained(folder)
    return folder


def appearance_properties() -> dict:
    """What prs-eth/marigold-iid-appearance-v1-1 says of its two layers."""
    return {
        "target_names": ["albedo", "material"],
        "albedo": {"prediction_space": "srgb", "up_to_scale": False},
        "material": {"prediction_space": "stack", "sub_target_names": ["roughness", "metallicity", None]},
        "roughness": {"prediction_space": "linear", "up_to_scale": False},
        "metallicity": {"prediction_space": "linear", "up_to_scale": False},
    }


def lighting_properties() -> dict:
    """What prs-eth/marigold-iid-lighting-v1-1 says of its three layers."""
    return {
        "target_names": ["albedo", "shading", "residual"],
        "albedo": {"prediction_space": "linear", "up_to_scale": False},
        "shading": {"prediction_space": "linear", "up_to_scale": True},
        "residual": {"prediction_space": "linear", "up_to_scale": False},
    }


class TinyModels:
    """The folders of the tiny models, each made when it is first asked for."""

    def __init__(self, folder: Path):
        self.folder = folder

    @cached_property
    def sam3(self) -> str:
        return str(make_sam3(self.folder / "sam3"))

    @cached_property
    def sam2(self) -> str:
        return str(make_sam2(self.folder / "sam2"))

    @cached_property
    def sam2_of_transformers(self) -> str:
        return str(make_sam2_of_transformers(self.folder / "sam2_of_transformers"))

    @cached_property
    def appearance(self) -> str:
        return str(make_marigold(self.folder / "appearance", "appearance"))

    @cached_property
    def marigold_normals(self) -> str:
        return str(make_marigold(self.folder / "marigold_normals", "normals"))

    @cached_property
    def depth(self) -> str:
        return str(make_depth(self.folder / "depth"))

    @cached_property
    def lighting(self) -> str:
        return str(make_marigold(self.folder / "lighting", "lighting"))
