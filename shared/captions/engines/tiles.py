"""What a model's architecture says of its images: how it is told the number of tiles, and whether it takes several."""

from functools import lru_cache
from typing import Any

from shared.errors import RunError

ARCHITECTURES = {
    # the repositories with code of their own: InternVL-Chat-V1-5, InternVL2, 2.5, 3, 3.5
    "InternVLChatModel": lambda most: {"max_dynamic_patch": most},
    # those of transformers, whose names end in -hf
    "InternVLForConditionalGeneration": lambda most: {"max_patches": most, "crop_to_patches": True},
}


# They were made for one image in a question.
ONE_IMAGE = {
    "Blip2ForConditionalGeneration", "InstructBlipForConditionalGeneration", "LlavaForConditionalGeneration",
    "PaliGemmaForConditionalGeneration", "MllamaForConditionalGeneration",
}  # fmt: skip


@lru_cache(maxsize=4)
def architectures_of(model: str) -> tuple[str, ...]:
    """The classes that a model's config.json names."""
    from transformers import PretrainedConfig

    config, _ = PretrainedConfig.get_config_dict(model)
    return tuple(config.get("architectures") or ["without a name"])


def takes_several(model: str) -> bool:
    """Whether the model was made for several images in a question."""
    return not ONE_IMAGE & set(architectures_of(model))


def tiles_of(model: str, most: int) -> dict[str, Any]:
    """The arguments of the model's processor; call it inside loading(). Raises RunError for a model without tiles."""
    names = architectures_of(model)
    arguments = next((ARCHITECTURES[name] for name in names if name in ARCHITECTURES), None)
    if arguments is None:
        raise RunError(
            f"max_num is {most}, and model_path {model} has no tiles: its architecture is {names[0]}, and those with tiles "
            f"are {', '.join(ARCHITECTURES)}; leave max_num (or MAX_NUM) out"
        )
    return arguments(most)
