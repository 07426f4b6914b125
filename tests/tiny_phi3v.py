"""A tiny Phi-3-vision as microsoft/Phi-3-vision-128k-instruct is kept, with code of its own; see tests/tiny_vlm.py.

vLLM knows the shape of its vision tower by heart and asserts its width and the number of its patches, so that only its layers
can be fewer and thinner.
"""

import json
from pathlib import Path

from tests.tiny_vlm import pieces_of, say, tokenizer_of

IMAGE_TOKEN, VOCABULARY = 32044, 32064  # which vLLM knows by heart too
SMALL_TOWER = {"num_hidden_layers": 2, "intermediate_size": 64}
TOKENS = ("<s>", "<|endoftext|>", "<|user|>", "<|assistant|>", "<|end|>")
CHAT_TEMPLATE = """{%- for m in messages %}<|{{ m.role }}|>
{{ m.content }}<|end|>
{% endfor %}{% if add_generation_prompt %}<|assistant|>
{% endif %}"""

CONFIG_CODE = """
from transformers import PretrainedConfig


class Phi3VConfig(PretrainedConfig):
    model_type = "phi3_v"
    keys_to_ignore_at_inference = ["past_key_values"]
"""

# A global view of 336 pixels beside as many crops of that size as `num_crops` allows in the image's own shape.
PROCESSOR_CODE = """
import torch
from torchvision.transforms.functional import pil_to_tensor
from transformers import BatchFeature, ProcessorMixin
from transformers.image_processing_utils import BaseImageProcessor

SIDE = 336


def crops_of(width, height, num_crops):
    across = 1
    ratio = max(width, height) / min(width, height)
    while (across + 1) * -(-(across + 1) // ratio) <= num_crops:
        across += 1
    along = max(1, round(across / ratio))
    return (across, along) if width >= height else (along, across)


class Phi3VImageProcessor(BaseImageProcessor):
    model_input_names = ["pixel_values"]

    def __init__(self, num_crops=1, **more):
        super().__init__(**more)
        self.num_crops = num_crops

    def calc_num_image_tokens_from_image_size(self, width, height):
        across, along = crops_of(width, height, self.num_crops)
        return (across * along + 1) * 144 + 1 + (along + 1) * 12

    def preprocess(self, images, return_tensors=None, num_crops=None, **more):
        values, sizes = [], []
        for image in images:
            across, along = crops_of(*image.size, num_crops or self.num_crops)
            whole = pil_to_tensor(image.convert("RGB").resize((SIDE, SIDE))) / 255
            tiles = pil_to_tensor(image.convert("RGB").resize((across * SIDE, along * SIDE))) / 255
            tiles = tiles.reshape(3, along, SIDE, across, SIDE).permute(1, 3, 0, 2, 4).flatten(0, 1)
            values.append(torch.cat([whole[None], tiles]))
            sizes.append(torch.tensor([along * SIDE, across * SIDE]))
        most = 1 + (num_crops or self.num_crops)
        values = [torch.cat([one, torch.zeros(most - len(one), 3, SIDE, SIDE)]) for one in values]
        return BatchFeature({"pixel_values": torch.stack(values), "image_sizes": torch.stack(sizes)})


class Phi3VProcessor(ProcessorMixin):
    attributes = ["image_processor", "tokenizer"]
    image_processor_class = "AutoImageProcessor"
    tokenizer_class = "AutoTokenizer"

    def __init__(self, image_processor, tokenizer, **more):
        super().__init__(image_processor, tokenizer)
        self.img_tokens = [f"<|image_{number + 1}|>" for number in range(9)]

    def calc_num_image_tokens_from_image_size(self, width, height):
        return self.image_processor.calc_num_image_tokens_from_image_size(width, height)

    def __call__(self, text=None, images=None, return_tensors=None, num_crops=None, **more):
        words = self.tokenizer(text, return_tensors=return_tensors)
        seen = self.image_processor.preprocess(images, num_crops=num_crops) if images else {}
        return BatchFeature({**words, **seen})
"""


def shrink_tower_of_vllm() -> None:
    from vllm.model_executor.models.phi3v import CLIP_VIT_LARGE_PATCH14_336_CONFIG as tower

    for name, value in SMALL_TOWER.items():
        setattr(tower, name, value)


def phi3v(folder: Path, sentence: str) -> Path:
    tokenizer = tokenizer_of(
        TOKENS, pieces_of(sentence), eos_token="<|end|>", pad_token="<|endoftext|>", bos_token="<s>"
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    (folder / "configuration_phi3_v.py").write_text(CONFIG_CODE)
    (folder / "processing_phi3_v.py").write_text(PROCESSOR_CODE)
    end = tokenizer.convert_tokens_to_ids("<|end|>")
    text = {
        "vocab_size": VOCABULARY, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 8192,
        "bos_token_id": tokenizer.bos_token_id, "eos_token_id": end, "pad_token_id": tokenizer.pad_token_id,
        "tie_word_embeddings": False,
    }  # fmt: skip
    auto_map = {"AutoConfig": "configuration_phi3_v.Phi3VConfig"}
    processors = {
        "AutoProcessor": "processing_phi3_v.Phi3VProcessor",
        "AutoImageProcessor": "processing_phi3_v.Phi3VImageProcessor",
    }
    config = text | {
        "architectures": ["Phi3VForCausalLM"], "auto_map": auto_map, "model_type": "phi3_v", "torch_dtype": "bfloat16",
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
        "embd_layer": {
            "embedding_cls": "image", "hd_transform_order": "sub_glb", "projection_cls": "mlp", "use_hd_transform": True,
            "with_learnable_separator": True,
        },
        "img_processor": {
            "image_dim_out": 1024, "model_name": "openai/clip-vit-large-patch14-336", "name": "clip_vision_model",
            "num_img_tokens": 144, "layer_idx": -2, "type_feature": "patch",
        },
    }  # fmt: skip
    images = {"auto_map": processors, "image_processor_type": "Phi3VImageProcessor", "num_crops": 4}
    named = {"auto_map": processors, "processor_class": "Phi3VProcessor"}
    for name, values in (
        ("config", config), ("generation_config", {"eos_token_id": end}), ("preprocessor_config", images),
        ("processor_config", named),
    ):  # fmt: skip
        (folder / f"{name}.json").write_text(json.dumps(values))
    save_weights(folder, tokenizer, sentence, text)
    return folder


def save_weights(folder: Path, tokenizer, sentence: str, text: dict) -> None:
    import torch
    import transformers as t
    from safetensors.torch import save_file

    torch.manual_seed(0)
    language = t.LlamaForCausalLM(t.LlamaConfig(**text))
    say(language, tokenizer, sentence, "<|end|>", layers="model.layers")
    tower = t.CLIPVisionModel(
        t.CLIPVisionConfig(
            hidden_size=1024, image_size=336, num_attention_heads=16, patch_size=14, projection_dim=768, **SMALL_TOWER
        )
    )
    weights = dict(language.state_dict())
    place = "model.vision_embed_tokens"
    weights |= {
        f"{place}.img_processor.vision_model.{name.removeprefix('vision_model.')}": weight
        for name, weight in tower.state_dict().items()
    }
    weights |= {
        f"{place}.glb_GN": torch.zeros(1, 1, 4096), f"{place}.sub_GN": torch.zeros(1, 1, 1, 4096),
        f"{place}.img_projection.0.weight": torch.randn(64, 4096) * 0.01, f"{place}.img_projection.0.bias": torch.zeros(64),
        f"{place}.img_projection.2.weight": torch.randn(64, 64) * 0.01, f"{place}.img_projection.2.bias": torch.zeros(64),
    }  # fmt: skip
    save_file(
        {name: weight.to(torch.bfloat16).contiguous() for name, weight in weights.items()}, folder / "model.safetensors"
    )
