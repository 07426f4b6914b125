"""Tiny vision-language models in the Hub's format: random weights, or weights that say one given sentence."""

from itertools import pairwise
from pathlib import Path

QWEN_TOKENS = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
LLAVA_TOKENS = ("<pad>", "</s>", "<s>", "<unk>", "<image>")
VOCABULARY = 320  # 256 bytes, the special tokens, and room for words
SENTENCE = "soft window light from the left, quiet living room"

QWEN_TEMPLATE = """{%- for m in messages %}<|im_start|>{{ m.role }}
{% if m.content is string %}{{ m.content }}{% else %}{% for c in m.content %}\
{% if c.type in ('image','image_url') or 'image' in c %}<|vision_start|><|image_pad|><|vision_end|>\
{% elif 'text' in c %}{{ c.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
LLAVA_TEMPLATE = """{%- for m in messages %}{{ m.role }}
{% if m.content is string %}{{ m.content }}{% else %}{% for c in m.content %}\
{% if c.type in ('image','image_url') or 'image' in c %}<image>
{% elif 'text' in c %}{{ c.text }}{% endif %}{% endfor %}{% endif %}
{% endfor %}{% if add_generation_prompt %}assistant
{% endif %}"""


def tokenizer_of(special: tuple[str, ...], words: tuple[str, ...] = (), **named: str):
    """Every byte is a token, so every text encodes; `words` can only be said."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    known = [*alphabet, *special, *(word.replace(" ", "Ġ") for word in words)]
    tokenizer = Tokenizer(models.BPE(vocab={token: number for number, token in enumerate(known)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(special))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named)


def pieces_of(sentence: str) -> tuple[str, ...]:
    """Words with the space before them; a piece is told from another by a second space if it comes twice."""
    words = sentence.split(" ")
    assert len(set(words)) == len(words), "each word follows from the one before, so none may come twice"
    return tuple(f" {word}" if number else word for number, word in enumerate(words))


def say(model, tokenizer, sentence: str, end: str, layers: str = "language_model.layers", begin: str = "Ċ") -> None:
    """Make the weights say `sentence`, whatever was asked: layers add nothing, and each token calls the next."""
    import torch

    with torch.no_grad():
        for name, weight in model.named_parameters():
            if layers in name and name.endswith(("o_proj.weight", "out_proj.weight", "down_proj.weight")):
                weight.zero_()
        embedding = model.get_input_embeddings().weight
        embedding.copy_(torch.nn.functional.normalize(torch.randn(embedding.shape), dim=1))
        head = model.get_output_embeddings().weight
        head.zero_()
        chain = [begin, *(piece.replace(" ", "Ġ") for piece in pieces_of(sentence)), end]
        numbers = tokenizer.convert_tokens_to_ids(chain)
        for before, after in pairwise(numbers):
            head[after] = 20 * embedding[before]


def save(model, processor, folder: Path, sentence: str | None, end: str, padding: str, begin: str = "Ċ") -> Path:
    import torch

    if sentence:
        say(model, processor.tokenizer, sentence, end, begin=begin)
    model = model.to(torch.bfloat16).eval()
    model.generation_config.eos_token_id = processor.tokenizer.convert_tokens_to_ids(end)
    model.generation_config.pad_token_id = processor.tokenizer.convert_tokens_to_ids(padding)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def qwen3vl(folder: Path, sentence: str | None = None) -> Path:
    """A Qwen3-VL of 0.3 million weights, which vLLM and transformers load as they load the real one."""
    import torch
    import transformers as t

    words = pieces_of(sentence) if sentence else ()
    tokenizer = tokenizer_of(QWEN_TOKENS, words, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    number = {token: tokenizer.convert_tokens_to_ids(token) for token in QWEN_TOKENS}
    torch.manual_seed(0)
    model = t.Qwen3VLForConditionalGeneration(
        t.Qwen3VLConfig(
            text_config=text_of(number, rope={"mrope_section": [6, 5, 5], "mrope_interleaved": True}) | {"head_dim": 32},
            vision_config={
                "depth": 2, "hidden_size": 64, "intermediate_size": 128, "num_heads": 2, "in_channels": 3, "patch_size": 16,
                "spatial_merge_size": 2, "temporal_patch_size": 2, "out_hidden_size": 64, "num_position_embeddings": 64,
                "deepstack_visual_indexes": [0],
            },
            **visual_tokens(number),
        )
    )  # fmt: skip
    size = {"shortest_edge": 32 * 32, "longest_edge": 128 * 128}
    settings = {"patch_size": 16, "temporal_patch_size": 2, "merge_size": 2, "size": size}
    images = t.Qwen2VLImageProcessor(**settings, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    videos = t.Qwen3VLVideoProcessor(**settings)
    name_visual_tokens(tokenizer)
    processor = t.Qwen3VLProcessor(
        image_processor=images, tokenizer=tokenizer, video_processor=videos, chat_template=QWEN_TEMPLATE
    )
    return save(model, processor, folder, sentence, "<|im_end|>", "<|endoftext|>")


def qwen2vl(folder: Path, sentence: str | None = None) -> Path:
    import torch
    import transformers as t

    words = pieces_of(sentence) if sentence else ()
    tokenizer = tokenizer_of(QWEN_TOKENS, words, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    number = {token: tokenizer.convert_tokens_to_ids(token) for token in QWEN_TOKENS}
    torch.manual_seed(0)
    model = t.Qwen2VLForConditionalGeneration(
        t.Qwen2VLConfig(
            text_config=text_of(number, rope={"mrope_section": [6, 5, 5]}),
            vision_config={
                "depth": 2, "embed_dim": 64, "hidden_size": 64, "mlp_ratio": 2, "num_heads": 2, "in_channels": 3,
                "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2,
            },
            **visual_tokens(number),
        )
    )  # fmt: skip
    size = {"shortest_edge": 28 * 28, "longest_edge": 112 * 112}
    settings = {"patch_size": 14, "temporal_patch_size": 2, "merge_size": 2, "size": size}
    name_visual_tokens(tokenizer)
    processor = t.Qwen2VLProcessor(
        image_processor=t.Qwen2VLImageProcessor(**settings),
        tokenizer=tokenizer,
        video_processor=t.Qwen2VLVideoProcessor(**settings),
        chat_template=QWEN_TEMPLATE,
    )
    return save(model, processor, folder, sentence, "<|im_end|>", "<|endoftext|>")


def llava(folder: Path, sentence: str | None = None) -> Path:
    import torch
    import transformers as t

    words = pieces_of(sentence) if sentence else ()
    tokenizer = tokenizer_of(
        LLAVA_TOKENS, words, eos_token="</s>", pad_token="<pad>", bos_token="<s>", unk_token="<unk>",
        extra_special_tokens={"image_token": "<image>"},
    )  # fmt: skip
    number = {token: tokenizer.convert_tokens_to_ids(token) for token in LLAVA_TOKENS}
    torch.manual_seed(0)
    model = t.LlavaForConditionalGeneration(
        t.LlavaConfig(
            vision_config={
                "model_type": "clip_vision_model", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
                "num_attention_heads": 2, "image_size": 64, "patch_size": 16, "projection_dim": 64,
            },
            text_config={
                "model_type": "llama", "vocab_size": VOCABULARY, "hidden_size": 64, "intermediate_size": 128,
                "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 4096,
                "bos_token_id": number["<s>"], "eos_token_id": number["</s>"], "pad_token_id": number["<pad>"],
            },
            image_token_index=number["<image>"], image_seq_length=16, vision_feature_layer=-2,
            vision_feature_select_strategy="default", tie_word_embeddings=False,
        )
    )  # fmt: skip
    processor = t.LlavaProcessor(
        image_processor=t.CLIPImageProcessor(size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64}),
        tokenizer=tokenizer, patch_size=16, vision_feature_select_strategy="default", num_additional_image_tokens=1,
        chat_template=LLAVA_TEMPLATE,
    )  # fmt: skip
    return save(model, processor, folder, sentence, "</s>", "<pad>")


def text_of(number: dict[str, int], rope: dict) -> dict:
    return {
        "vocab_size": VOCABULARY, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 4096,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, **rope},
        "bos_token_id": number["<|endoftext|>"], "eos_token_id": number["<|im_end|>"],
        "pad_token_id": number["<|endoftext|>"], "tie_word_embeddings": False,
    }  # fmt: skip


def visual_tokens(number: dict[str, int]) -> dict:
    return {
        "image_token_id": number["<|image_pad|>"], "video_token_id": number["<|video_pad|>"],
        "vision_start_token_id": number["<|vision_start|>"], "vision_end_token_id": number["<|vision_end|>"],
        "tie_word_embeddings": False,
    }  # fmt: skip


def name_visual_tokens(tokenizer) -> None:
    tokenizer.image_token, tokenizer.video_token = "<|image_pad|>", "<|video_pad|>"


def blip2(folder: Path) -> Path:
    """A model from before there were chats: its processor has no template."""
    import torch
    import transformers as t

    special = ("<pad>", "</s>", "<s>", "<unk>", "<image>")
    tokenizer = tokenizer_of(special, eos_token="</s>", pad_token="<pad>", bos_token="<s>", unk_token="<unk>")
    number = {token: tokenizer.convert_tokens_to_ids(token) for token in special}
    torch.manual_seed(0)
    layers = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = t.Blip2ForConditionalGeneration(
        t.Blip2Config(
            vision_config={**layers, "intermediate_size": 128, "image_size": 64, "patch_size": 16},
            qformer_config={**layers, "vocab_size": VOCABULARY, "intermediate_size": 128, "encoder_hidden_size": 64},
            text_config={
                **layers, "model_type": "opt", "vocab_size": VOCABULARY, "ffn_dim": 128, "word_embed_proj_dim": 64,
                "bos_token_id": number["<s>"], "eos_token_id": number["</s>"], "pad_token_id": number["<pad>"],
            },
            num_query_tokens=8, image_token_index=number["<image>"],
        )
    )  # fmt: skip
    images = t.BlipImageProcessor(size={"height": 64, "width": 64})
    processor = t.Blip2Processor(image_processor=images, tokenizer=tokenizer, num_query_tokens=8)
    return save(model, processor, folder, None, "</s>", "<pad>")
