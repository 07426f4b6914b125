"""A vision-language model at full size with random weights, in the form in which the Hub has it."""

from pathlib import Path

from tests.tiny_vlm import QWEN_TEMPLATE, QWEN_TOKENS, name_visual_tokens, pieces_of, save, tokenizer_of, visual_tokens

# Qwen/Qwen3-VL-4B-Instruct, but for a head of its own, which a sentence needs: 4.8 thousand million weights.
FULL = {
    "text": {
        "hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36, "num_attention_heads": 32,
        "num_key_value_heads": 8,
    },
    "vision": {
        "depth": 24, "hidden_size": 1024, "intermediate_size": 4096, "num_heads": 16, "num_position_embeddings": 2304,
        "deepstack_visual_indexes": [5, 11, 17],
    },
}  # fmt: skip
# The same, and small enough for a CPU, but for its vocabulary.
SMALL = {
    "text": {
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
    },
    "vision": {
        "depth": 2, "hidden_size": 64, "intermediate_size": 128, "num_heads": 2, "num_position_embeddings": 64,
        "deepstack_visual_indexes": [0],
    },
}  # fmt: skip
VOCABULARY = 151936


def qwen3vl(folder: Path, shape: dict = FULL, sentence: str | None = None) -> Path:
    """Everything but the weights, for `load_format: dummy`; with a sentence weights too, which say it (10 GB)."""
    import torch
    import transformers as t

    words = pieces_of(sentence) if sentence else ()
    # Words that no text is made of, so that whatever a random model says can be read.
    spare = tuple(f" word{number}" for number in range(VOCABULARY - 256 - len(QWEN_TOKENS) - len(words)))
    tokenizer = tokenizer_of(QWEN_TOKENS, words + spare, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    name_visual_tokens(tokenizer)
    assert len(tokenizer) == VOCABULARY
    number = {token: tokenizer.convert_tokens_to_ids(token) for token in QWEN_TOKENS}
    config = config_of(shape, number)
    settings = {"patch_size": 16, "temporal_patch_size": 2, "merge_size": 2}
    bounds = {"shortest_edge": 256 * 256, "longest_edge": 4096 * 4096}
    processor = t.Qwen3VLProcessor(
        image_processor=t.Qwen2VLImageProcessor(**settings, size=bounds, image_mean=[0.5] * 3, image_std=[0.5] * 3),
        video_processor=t.Qwen3VLVideoProcessor(**settings, size=bounds),
        tokenizer=tokenizer,
        chat_template=QWEN_TEMPLATE,
    )
    if sentence:
        torch.manual_seed(0)
        with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
            model = t.AutoModelForImageTextToText.from_config(config, dtype=torch.bfloat16)
            return save(model, processor, folder, sentence, "<|im_end|>", "<|endoftext|>")
    config.save_pretrained(folder)
    ends = {"eos_token_id": number["<|im_end|>"], "pad_token_id": number["<|endoftext|>"]}
    t.GenerationConfig(**ends).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def config_of(shape: dict, number: dict[str, int]):
    import transformers as t

    return t.Qwen3VLConfig(
        text_config={
            **shape["text"], "head_dim": 128, "vocab_size": VOCABULARY, "max_position_embeddings": 262144,
            "rope_parameters": {
                "rope_type": "default", "rope_theta": 5e6, "mrope_section": [24, 20, 20], "mrope_interleaved": True,
            },
            "bos_token_id": number["<|endoftext|>"], "eos_token_id": number["<|im_end|>"],
            "pad_token_id": number["<|endoftext|>"], "tie_word_embeddings": False,
        },
        vision_config={
            **shape["vision"], "in_channels": 3, "patch_size": 16, "spatial_merge_size": 2, "temporal_patch_size": 2,
            "out_hidden_size": shape["text"]["hidden_size"],
        },
        architectures=["Qwen3VLForConditionalGeneration"], dtype="bfloat16", **visual_tokens(number),
    )  # fmt: skip
