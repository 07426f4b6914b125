"""Random CLIP models as the Hub keeps them: a config and the weights beside it."""

import json
from pathlib import Path

TINY = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}
PREPROCESS = {
    "mean": [0.48145466, 0.4578275, 0.40821073],
    "std": [0.26862954, 0.26130258, 0.27577711],
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}


def write_clip(folder: Path, model: dict = TINY, preprocess: dict = PREPROCESS, seed: int = 0) -> Path:
    """Write a CLIP of this architecture with random weights; returns the folder."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    sections = {name: value for name, value in model.items() if name != "custom_text"}
    clip = open_clip.CLIP(**sections)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": model, "preprocess_cfg": preprocess}))
    tensors = {name: value.contiguous() for name, value in clip.state_dict().items()}
    save_file(tensors, folder / "open_clip_model.safetensors")
    return folder


def known_architecture(name: str) -> dict:
    """The architecture that open_clip knows by this name."""
    import open_clip

    return open_clip.get_model_config(name)
