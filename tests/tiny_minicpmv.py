"""A tiny MiniCPM-V 4.6 in the Hub's format; see tests/tiny_vlm.py."""

from pathlib import Path

from tests.tiny_vlm import QWEN_TEMPLATE, VOCABULARY, pieces_of, save, tokenizer_of

TOKENS = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|image_pad|>", "<|video_pad|>", "<image>", "</image>", "<slice>",
    "</slice>", "<image_id>", "</image_id>",
)  # fmt: skip
NAMED = {
    "image_token": "<|image_pad|>", "video_token": "<|video_pad|>", "image_start_token": "<image>",
    "image_end_token": "</image>", "slice_start_token": "<slice>", "slice_end_token": "</slice>",
    "image_id_start_token": "<image_id>", "image_id_end_token": "</image_id>",
}  # fmt: skip


def minicpmv(folder: Path, sentence: str | None = None) -> Path:
    """As openbmb/MiniCPM-V-4.6 is kept: slices of the image at its own shape, and a language model of two kinds of layers."""
    import torch
    import transformers as t

    words = pieces_of(sentence) if sentence else ()
    tokenizer = tokenizer_of(
        TOKENS, words, eos_token="<|im_end|>", pad_token="<|endoftext|>", extra_special_tokens=NAMED
    )
    number = {token: tokenizer.convert_tokens_to_ids(token) for token in TOKENS}
    torch.manual_seed(0)
    model = t.MiniCPMV4_6ForConditionalGeneration(
        t.MiniCPMV4_6Config(
            text_config={
                "model_type": "qwen3_5_text", "vocab_size": VOCABULARY, "hidden_size": 64, "intermediate_size": 128,
                "num_hidden_layers": 2, "layer_types": ["linear_attention", "full_attention"], "num_attention_heads": 2,
                "num_key_value_heads": 1, "head_dim": 64, "linear_num_key_heads": 2, "linear_num_value_heads": 2,
                "linear_key_head_dim": 128, "linear_value_head_dim": 128, "max_position_embeddings": 4096,
                "rope_parameters": {
                    "rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.25,
                    "mrope_section": [3, 3, 2], "mrope_interleaved": True,
                },
                "bos_token_id": number["<|endoftext|>"], "eos_token_id": number["<|im_end|>"],
                "pad_token_id": number["<|endoftext|>"], "tie_word_embeddings": False,
            },
            vision_config={
                "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2,
                "image_size": 112, "patch_size": 14,
            },
            insert_layer_id=0, image_size=112, image_token_id=number["<|image_pad|>"],
            video_token_id=number["<|video_pad|>"],
        )
    )  # fmt: skip
    settings = {"scale_resolution": 112, "patch_size": 14, "max_slice_nums": 4}
    processor = t.MiniCPMV4_6Processor(
        image_processor=t.MiniCPMV4_6ImageProcessor(**settings), tokenizer=tokenizer,
        video_processor=t.MiniCPMV4_6VideoProcessor(**settings),
        chat_template=QWEN_TEMPLATE.replace("<|vision_start|>", "").replace("<|vision_end|>", "\n"),
    )  # fmt: skip
    return save(model, processor, folder, sentence, "<|im_end|>", "<|endoftext|>")
