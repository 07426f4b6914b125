"""Tiny models of the captioners in Dataflow-Gen's document, and of some that people take today; see tests/tiny_vlm.py."""

from pathlib import Path

from tests import tiny_vlm
from tests.tiny_captioners import name_as_on_the_hub, qwen2_of
from tests.tiny_vlm import QWEN_TOKENS, VOCABULARY, pieces_of, save, say, tokenizer_of

LLAVA_TOKENS = ("<pad>", "</s>", "<s>", "<unk>", "<image>", "<video>")
TILES = [[64, 128], [128, 64], [128, 128]]


def template(image: str, before: str = "", after: str = "\n") -> str:
    """A chat in which `image` stands for one."""
    return (
        "{%- for m in messages %}" + before + "{{ m.role }}\n{% if m.content is string %}{{ m.content }}{% else %}"
        "{% for c in m.content %}{% if c.type in ('image','image_url') or 'image' in c %}" + image + "\n"
        "{% elif 'text' in c %}{{ c.text }}{% endif %}{% endfor %}{% endif %}" + after + "{% endfor %}"
        "{% if add_generation_prompt %}" + before + "assistant\n{% endif %}"
    )


def llava_tokenizer(sentence: str | None):
    return tokenizer_of(
        LLAVA_TOKENS, pieces_of(sentence) if sentence else (), eos_token="</s>", pad_token="<pad>", bos_token="<s>",
        unk_token="<unk>", extra_special_tokens={"image_token": "<image>", "video_token": "<video>"},
    )  # fmt: skip


def llama_of(tokenizer) -> dict:
    number = tokenizer.convert_tokens_to_ids
    return {
        "model_type": "llama", "vocab_size": VOCABULARY, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 4096, "bos_token_id": number("<s>"),
        "eos_token_id": number("</s>"), "pad_token_id": number("<pad>"),
    }  # fmt: skip


CLIP = {
    "model_type": "clip_vision_model", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 2, "image_size": 64, "patch_size": 16, "projection_dim": 64,
}  # fmt: skip


def llava(folder: Path, sentence: str | None = None) -> Path:
    """As llava-hf/llava-1.5-7b-hf is kept."""
    return with_old_names(tiny_vlm.llava(folder, sentence))


def joycaption(folder: Path, sentence: str | None = None) -> Path:
    """As fancyfeast/llama-joycaption-beta-one-hf-llava is kept: a LLaVA that sees by SigLIP."""
    import torch
    import transformers as t

    tokenizer = llava_tokenizer(sentence)
    torch.manual_seed(0)
    tower = {"model_type": "siglip_vision_model", "vision_use_head": False}
    model = t.LlavaForConditionalGeneration(
        t.LlavaConfig(
            vision_config={name: value for name, value in CLIP.items() if name != "projection_dim"} | tower,
            text_config=llama_of(tokenizer), image_token_index=tokenizer.convert_tokens_to_ids("<image>"), image_seq_length=16,
            vision_feature_layer=-2, vision_feature_select_strategy="full", tie_word_embeddings=False,
        )
    )  # fmt: skip
    processor = t.LlavaProcessor(
        image_processor=t.SiglipImageProcessor(size={"height": 64, "width": 64}), tokenizer=tokenizer, patch_size=16,
        vision_feature_select_strategy="full", num_additional_image_tokens=0, chat_template=template("<image>"),
    )  # fmt: skip
    return with_old_names(save(model, processor, folder, sentence, "</s>", "<pad>"))


def llava_next(folder: Path, sentence: str | None = None) -> Path:
    """As llava-hf/llava-v1.6-mistral-7b-hf is kept."""
    import torch
    import transformers as t

    tokenizer = llava_tokenizer(sentence)
    torch.manual_seed(0)
    model = t.LlavaNextForConditionalGeneration(
        t.LlavaNextConfig(
            vision_config=CLIP, text_config=llama_of(tokenizer), image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
            image_grid_pinpoints=TILES, vision_feature_layer=-2, vision_feature_select_strategy="default",
            tie_word_embeddings=False,
        )
    )  # fmt: skip
    images = t.LlavaNextImageProcessor(
        size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64}, image_grid_pinpoints=TILES
    )
    processor = t.LlavaNextProcessor(
        image_processor=images, tokenizer=tokenizer, patch_size=16, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=template("<image>"),
    )  # fmt: skip
    return with_old_names(save(model, processor, folder, sentence, "</s>", "<pad>"))


def llava_onevision(folder: Path, sentence: str | None = None) -> Path:
    """As llava-hf/llava-onevision-qwen2-7b-ov-hf is kept."""
    import torch
    import transformers as t

    tiles = [[64, 64], *TILES]
    tokenizer = tokenizer_of(
        (*QWEN_TOKENS, "<image>", "<video>"), pieces_of(sentence) if sentence else (), eos_token="<|im_end|>",
        pad_token="<|endoftext|>", extra_special_tokens={"image_token": "<image>", "video_token": "<video>"},
    )  # fmt: skip
    number = tokenizer.convert_tokens_to_ids
    torch.manual_seed(0)
    model = t.LlavaOnevisionForConditionalGeneration(
        t.LlavaOnevisionConfig(
            vision_config={
                "model_type": "siglip_vision_model", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
                "num_attention_heads": 2, "image_size": 64, "patch_size": 16, "vision_use_head": False,
            },
            text_config=qwen2_of(tokenizer) | {"model_type": "qwen2"}, image_token_index=number("<image>"),
            video_token_index=number("<video>"), image_grid_pinpoints=tiles, vision_feature_layer=-1,
            vision_feature_select_strategy="full", vision_aspect_ratio="anyres_max_4", tie_word_embeddings=False,
        )
    )  # fmt: skip
    processor = t.LlavaOnevisionProcessor(
        image_processor=t.LlavaOnevisionImageProcessor(size={"height": 64, "width": 64}, image_grid_pinpoints=tiles),
        tokenizer=tokenizer, video_processor=t.LlavaOnevisionVideoProcessor(size={"height": 64, "width": 64}),
        num_image_tokens=16, vision_feature_select_strategy="full", vision_aspect_ratio="anyres_max_4",
        chat_template=template("<image>", "<|im_start|>", "<|im_end|>\n"),
    )  # fmt: skip
    return with_old_names(save(model, processor, folder, sentence, "<|im_end|>", "<|endoftext|>"))


def mllama(folder: Path, sentence: str | None = None) -> Path:
    """As meta-llama/Llama-3.2-11B-Vision-Instruct is kept."""
    import torch
    import transformers as t

    special = ("<pad>", "<|eot_id|>", "<|begin_of_text|>", "<unk>", "<|image|>")
    tokenizer = tokenizer_of(
        special, pieces_of(sentence) if sentence else (), eos_token="<|eot_id|>", pad_token="<pad>",
        bos_token="<|begin_of_text|>", extra_special_tokens={"image_token": "<|image|>"},
    )  # fmt: skip
    number = tokenizer.convert_tokens_to_ids
    torch.manual_seed(0)
    model = t.MllamaForConditionalGeneration(
        t.MllamaConfig(
            vision_config={
                "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_global_layers": 1, "attention_heads": 2,
                "num_attention_heads": 2, "image_size": 64, "patch_size": 16, "max_num_tiles": 2,
                "supported_aspect_ratios": [[1, 1], [1, 2], [2, 1]], "intermediate_layers_indices": [0, 1],
                "vision_output_dim": 64 * 3,
            },
            text_config={
                "vocab_size": VOCABULARY, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3,
                "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 4096, "cross_attention_layers": [1],
                "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}, "bos_token_id": number("<|begin_of_text|>"),
                "eos_token_id": number("<|eot_id|>"), "pad_token_id": number("<pad>"), "tie_word_embeddings": False,
            },
            image_token_index=number("<|image|>"), tie_word_embeddings=False,
        )
    )  # fmt: skip
    processor = t.MllamaProcessor(
        image_processor=t.MllamaImageProcessor(size={"height": 64, "width": 64}, max_image_tiles=2), tokenizer=tokenizer,
        chat_template=template("<|image|>"),
    )  # fmt: skip
    return save(model, processor, folder, sentence, "<|eot_id|>", "<pad>")


def smolvlm(folder: Path, sentence: str | None = None) -> Path:
    """As HuggingFaceTB/SmolVLM2-500M-Video-Instruct is kept."""
    import torch
    import transformers as t

    special = (
        "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>",
    )  # fmt: skip
    named = {
        "image_token": "<image>",
        "fake_image_token": "<fake_token_around_image>",
        "global_image_token": "<global-img>",
    }
    tokenizer = tokenizer_of(
        special, pieces_of(sentence) if sentence else (), eos_token="<end_of_utterance>", pad_token="<|endoftext|>",
        extra_special_tokens=named,
    )  # fmt: skip
    number = tokenizer.convert_tokens_to_ids
    torch.manual_seed(0)
    model = t.SmolVLMForConditionalGeneration(
        t.SmolVLMConfig(
            vision_config={
                "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 64,
                "patch_size": 16,
            },
            text_config=llama_text(tokenizer), image_token_id=number("<image>"), scale_factor=2, tie_word_embeddings=False,
            pad_token_id=number("<|endoftext|>"),
        )
    )  # fmt: skip
    size = {"longest_edge": 64}
    processor = t.SmolVLMProcessor(
        image_processor=t.SmolVLMImageProcessor(size=size, max_image_size=size, do_image_splitting=True), tokenizer=tokenizer,
        video_processor=t.SmolVLMVideoProcessor(size=size, max_image_size=size), image_seq_len=4,
        chat_template=template("<image>"),
    )  # fmt: skip
    return save(model, processor, folder, sentence, "<end_of_utterance>", "<|endoftext|>")


def llama_text(tokenizer) -> dict:
    number = tokenizer.convert_tokens_to_ids
    return {
        "model_type": "llama", "vocab_size": VOCABULARY, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 4096,
        "bos_token_id": number("<|im_start|>"), "eos_token_id": number("<end_of_utterance>"),
        "pad_token_id": number("<|endoftext|>"),
    }  # fmt: skip


def with_old_names(folder: Path) -> Path:
    """vLLM reads the names of the Hub's repositories."""
    name_as_on_the_hub(folder / "model.safetensors")
    return folder


def blip2(folder: Path, sentence: str | None = None) -> Path:
    """As Salesforce/blip2-opt-2.7b is kept: from before there were chats, its question ends with `Answer:`."""
    import torch
    import transformers as t

    special = ("<pad>", "</s>", "<s>", "<unk>", "<image>")
    tokenizer = tokenizer_of(
        special,
        pieces_of(sentence) if sentence else (),
        eos_token="</s>",
        pad_token="<pad>",
        bos_token="<s>",
        unk_token="<unk>",
    )
    number = tokenizer.convert_tokens_to_ids
    torch.manual_seed(0)
    layers = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = t.Blip2ForConditionalGeneration(
        t.Blip2Config(
            vision_config={**layers, "intermediate_size": 128, "image_size": 64, "patch_size": 16},
            qformer_config={**layers, "vocab_size": VOCABULARY, "intermediate_size": 128, "encoder_hidden_size": 64},
            text_config={
                **layers, "model_type": "opt", "vocab_size": VOCABULARY, "ffn_dim": 128, "word_embed_proj_dim": 64,
                "bos_token_id": number("<s>"), "eos_token_id": number("</s>"), "pad_token_id": number("<pad>"),
                "tie_word_embeddings": False,
            },
            num_query_tokens=8, image_token_index=number("<image>"), tie_word_embeddings=False,
        )
    )  # fmt: skip
    processor = t.Blip2Processor(
        image_processor=t.BlipImageProcessor(size={"height": 64, "width": 64}), tokenizer=tokenizer, num_query_tokens=8
    )
    if sentence:
        with torch.no_grad():
            for name, weight in model.language_model.named_parameters():
                if any(part in name for part in ("out_proj", "fc2", "embed_positions")):
                    weight.zero_()
        say(model, tokenizer, sentence, "</s>", begin=":")
    return save(model, processor, folder, None, "</s>", "<pad>")
