"""Tiny Gemma 3, InternVL and Florence-2 in the Hub's format; see tests/tiny_vlm.py."""

import json
from pathlib import Path

from tests.tiny_vlm import VOCABULARY, pieces_of, save, say, tokenizer_of

INTERNVL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>", "<video>")
GEMMA_TOKENS = (
    "<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<image_soft_token>",
    "<end_of_image>", "\n", "\n\n", "\n\n\n", "\n\n\n\n",
)  # fmt: skip

# Of InternVL's own repositories: the tokens of the image are put in by vLLM, and the template of the chat by the tokenizer.
CHAT_TEMPLATE = """{%- for m in messages %}<|im_start|>{{ m.role }}
{% if m.content is string %}{{ m.content }}{% else %}{% for c in m.content %}\
{% if c.type in ('image','image_url') or 'image' in c %}IMAGE
{% elif 'text' in c %}{{ c.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
GEMMA_TEMPLATE = "<bos>" + (
    CHAT_TEMPLATE.replace("<|im_start|>", "<start_of_turn>").replace("<|im_end|>\n", "<end_of_turn>\n")
).replace("IMAGE\n", "<start_of_image>")

# What such a repository brings along, and what transformers does not run unless it is told to.
CONFIG_CODE = """
from transformers import PretrainedConfig, Qwen2Config


class InternVisionConfig(PretrainedConfig):
    model_type = "intern_vit_6b"


class InternVLChatConfig(PretrainedConfig):
    model_type = "internvl_chat"
    is_composition = True

    def __init__(self, vision_config=None, llm_config=None, **more):
        super().__init__(**more)
        self.vision_config = InternVisionConfig(**(vision_config or {}))
        self.llm_config = Qwen2Config(**(llm_config or {}))
"""


def internvl_chat(folder: Path, sentence: str | None = None) -> Path:
    """As OpenGVLab/InternVL-Chat-V1-5 and its followers are kept, with code of their own."""
    words = pieces_of(sentence) if sentence else ()
    tokenizer = tokenizer_of(INTERNVL_TOKENS, words, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.chat_template = CHAT_TEMPLATE.replace("IMAGE", "<image>")
    tokenizer.save_pretrained(folder)
    (folder / "configuration_internvl_chat.py").write_text(CONFIG_CODE)
    config = {
        "architectures": ["InternVLChatModel"],
        "auto_map": {"AutoConfig": "configuration_internvl_chat.InternVLChatConfig"},
        "model_type": "internvl_chat", "torch_dtype": "bfloat16", "downsample_ratio": 0.5, "dynamic_image_size": True,
        "force_image_size": 64, "min_dynamic_patch": 1, "max_dynamic_patch": 12, "ps_version": "v2", "select_layer": -1,
        "template": "internlm2-chat", "use_thumbnail": True, "tie_word_embeddings": False,
        "vision_config": {
            "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 64,
            "patch_size": 16, "qkv_bias": True, "qk_normalization": False, "layer_norm_eps": 1e-6, "hidden_act": "gelu",
            "norm_type": "layer_norm", "initializer_factor": 0.1, "drop_path_rate": 0.0, "num_channels": 3,
        },
        "llm_config": qwen2_of(tokenizer) | {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2"},
    }  # fmt: skip
    ends = {"eos_token_id": tokenizer.convert_tokens_to_ids("<|im_end|>")}
    images = {"size": 64, "crop_size": 64, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
    for name, values in (("config", config), ("generation_config", ends), ("preprocessor_config", images)):
        (folder / f"{name}.json").write_text(json.dumps(values))
    save_internvl_weights(folder, tokenizer, sentence)
    return folder


def save_internvl_weights(folder: Path, tokenizer, sentence: str | None) -> None:
    import torch
    import transformers as t
    from safetensors.torch import save_file

    torch.manual_seed(0)
    language = t.Qwen2ForCausalLM(t.Qwen2Config(**qwen2_of(tokenizer)))
    if sentence:
        say(language, tokenizer, sentence, "<|im_end|>", layers="model.layers")
    shapes = {
        "vision_model.embeddings.class_embedding": (1, 1, 64), "vision_model.embeddings.position_embedding": (1, 17, 64),
        "vision_model.embeddings.patch_embedding.weight": (64, 3, 16, 16), "vision_model.embeddings.patch_embedding.bias": (64,),
        "mlp1.0.weight": (256,), "mlp1.0.bias": (256,), "mlp1.1.weight": (64, 256), "mlp1.1.bias": (64,),
        "mlp1.3.weight": (64, 64), "mlp1.3.bias": (64,),
    }  # fmt: skip
    for layer in (0, 1):
        shapes |= {
            f"vision_model.encoder.layers.{layer}.{name}": shape
            for name, shape in {
                "attn.qkv.weight": (192, 64), "attn.qkv.bias": (192,), "attn.proj.weight": (64, 64), "attn.proj.bias": (64,),
                "mlp.fc1.weight": (128, 64), "mlp.fc1.bias": (128,), "mlp.fc2.weight": (64, 128), "mlp.fc2.bias": (64,),
                "norm1.weight": (64,), "norm1.bias": (64,), "norm2.weight": (64,), "norm2.bias": (64,), "ls1": (64,),
                "ls2": (64,),
            }.items()
        }  # fmt: skip
    weights = {name: torch.randn(shape) * 0.02 for name, shape in shapes.items()}
    weights |= {f"language_model.{name}": weight for name, weight in language.state_dict().items()}
    save_file(
        {name: weight.to(torch.bfloat16).contiguous() for name, weight in weights.items()}, folder / "model.safetensors"
    )


def internvl_hf(folder: Path, sentence: str | None = None) -> Path:
    """As the repositories whose names end in -hf."""
    import torch
    import transformers as t

    words = pieces_of(sentence) if sentence else ()
    named = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>"}
    tokenizer = tokenizer_of(
        INTERNVL_TOKENS, words, eos_token="<|im_end|>", pad_token="<|endoftext|>",
        extra_special_tokens=named | {"video_token": "<video>"},
    )  # fmt: skip
    torch.manual_seed(0)
    model = t.InternVLForConditionalGeneration(
        t.InternVLConfig(
            vision_config={
                "model_type": "internvl_vision", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
                "num_attention_heads": 2, "image_size": [64, 64], "patch_size": [16, 16], "use_qk_norm": False,
            },
            text_config=qwen2_of(tokenizer) | {"model_type": "qwen2"}, image_seq_length=4, downsample_ratio=0.5,
            image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"), tie_word_embeddings=False,
        )
    )  # fmt: skip
    processor = t.InternVLProcessor(
        image_processor=t.GotOcr2ImageProcessor(size={"height": 64, "width": 64}, crop_to_patches=True, max_patches=12),
        tokenizer=tokenizer, video_processor=t.InternVLVideoProcessor(size={"height": 64, "width": 64}), image_seq_length=4,
        chat_template=CHAT_TEMPLATE.replace("IMAGE", "<IMG_CONTEXT>"),
    )  # fmt: skip
    return save(model, processor, folder, sentence, "<|im_end|>", "<|endoftext|>")


def gemma3(folder: Path, sentence: str | None = None) -> Path:
    """As google/gemma-3-4b-it is kept."""
    import torch
    import transformers as t

    words = pieces_of(sentence) if sentence else ()
    named = {"image_token": "<image_soft_token>", "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>"}
    tokenizer = tokenizer_of(
        GEMMA_TOKENS, words, eos_token="<eos>", pad_token="<pad>", bos_token="<bos>", unk_token="<unk>",
        extra_special_tokens=named,
    )  # fmt: skip
    number = {token: tokenizer.convert_tokens_to_ids(token) for token in GEMMA_TOKENS}
    torch.manual_seed(0)
    model = t.Gemma3ForConditionalGeneration(
        t.Gemma3Config(
            text_config={
                "vocab_size": VOCABULARY, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
                "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32, "query_pre_attn_scalar": 32,
                "max_position_embeddings": 4096, "sliding_window": 64,
                "layer_types": ["sliding_attention", "full_attention"], "bos_token_id": number["<bos>"],
                "eos_token_id": number["<eos>"], "pad_token_id": number["<pad>"], "tie_word_embeddings": False,
            },
            vision_config={
                "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2,
                "image_size": 64, "patch_size": 8, "vision_use_head": False,
            },
            mm_tokens_per_image=16, boi_token_index=number["<start_of_image>"], eoi_token_index=number["<end_of_image>"],
            image_token_index=number["<image_soft_token>"], tie_word_embeddings=False,
        )
    )  # fmt: skip
    processor = t.Gemma3Processor(
        image_processor=t.Gemma3ImageProcessor(size={"height": 64, "width": 64}, image_seq_length=16),
        tokenizer=tokenizer, image_seq_length=16, chat_template=GEMMA_TEMPLATE,
    )  # fmt: skip
    save(model, processor, folder, sentence, "<eos>", "<pad>", begin="\n")  # a token of its own here
    name_as_on_the_hub(folder / "model.safetensors")
    return folder


def name_as_on_the_hub(path: Path) -> None:
    """The repositories are older than the names that transformers gives today."""
    from safetensors.torch import load_file, save_file

    weights = load_file(path)
    renamed = {name.replace("vision_tower.", "vision_tower.vision_model."): weight for name, weight in weights.items()}
    save_file(renamed, path, metadata={"format": "pt"})


def qwen2_of(tokenizer) -> dict:
    number = tokenizer.convert_tokens_to_ids
    return {
        "vocab_size": VOCABULARY, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 4096,
        "bos_token_id": number("<|endoftext|>"), "eos_token_id": number("<|im_end|>"),
        "pad_token_id": number("<|endoftext|>"), "tie_word_embeddings": False,
    }  # fmt: skip


def florence2(folder: Path, sentence: str | None = None) -> Path:
    """As florence-community/Florence-2-large is kept: an encoder of images and texts, and a decoder."""
    import torch
    import transformers as t

    special = ("<s>", "<pad>", "</s>", "<unk>", "<image>")
    tokenizer = tokenizer_of(
        special, pieces_of(sentence) if sentence else (), eos_token="</s>", pad_token="<pad>", bos_token="<s>",
        unk_token="<unk>", extra_special_tokens={"image_token": "<image>"},
    )  # fmt: skip
    number = tokenizer.convert_tokens_to_ids
    torch.manual_seed(0)
    model = t.Florence2ForConditionalGeneration(
        t.Florence2Config(
            text_config={
                "model_type": "bart", "vocab_size": VOCABULARY, "d_model": 64, "encoder_layers": 1, "decoder_layers": 1,
                "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 128, "decoder_ffn_dim": 128,
                "max_position_embeddings": 1024, "bos_token_id": number("<s>"), "eos_token_id": number("</s>"),
                "pad_token_id": number("<pad>"), "decoder_start_token_id": number("</s>"), "forced_eos_token_id": None,
                "forced_bos_token_id": None,
            },
            vision_config={
                "embed_dim": [16, 16, 32, 64], "num_heads": [2, 2, 2, 2], "num_groups": [2, 2, 2, 2], "depths": [1, 1, 1, 1],
                "projection_dim": 64, "window_size": 2,
            },
            image_token_id=number("<image>"), is_encoder_decoder=True, tie_word_embeddings=False,
        )
    )  # fmt: skip
    if sentence:
        say_by_position(model, [number(piece.replace(" ", "Ġ")) for piece in pieces_of(sentence)] + [number("</s>")])
    images = t.CLIPImageProcessor(size={"height": 64, "width": 64}, do_center_crop=False, resample=3)
    images.image_seq_length = 5
    processor = t.Florence2Processor(image_processor=images, tokenizer=tokenizer, num_additional_image_tokens=0)
    return save(model, processor, folder, None, "</s>", "<pad>")


def say_by_position(model, numbers: list[int]) -> None:
    """Make a decoder with learned positions say these tokens, whatever it is shown: each place calls its own."""
    import torch

    decoder = model.model.language_model.decoder
    with torch.no_grad():
        for name, weight in decoder.named_parameters():
            if any(part in name for part in ("out_proj", "fc2", "embed_tokens")):
                weight.zero_()
        places = decoder.embed_positions.weight
        places.copy_(torch.nn.functional.normalize(torch.randn(places.shape), dim=1))
        head = model.lm_head.weight
        head.zero_()
        for place, token in enumerate(numbers):
            head[token] += 20 * torch.nn.functional.layer_norm(
                places[place + decoder.embed_positions.offset], places.shape[1:]
            )
