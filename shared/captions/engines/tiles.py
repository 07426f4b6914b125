"""How models that cut a photograph into tiles are told how many: each architecture of InternVL in its own words."""

from typing import Any

from shared.errors import RunError

ARCHITECTURES = {
    # the repositories with code of their own: InternVL-Chat-V1-5, InternVL2, 2.5, 3, 3.5
    "InternVLChatModel": lambda most: {"max_dynamic_patch": most},
    # those of transformers, whose names end in -hf
    "InternVLForConditionalGeneration": lambda most: {"max_patches": most, "crop_to_patches": True},
}


def tiles_of(model: str, most: int) -> dict[str, Any]:
    """The arguments of the model's processor; call it inside loading(). Raises RunError for a model without tiles."""
    from transformers import PretrainedConfig

    config, _ = PretrainedConfig.get_config_dict(model)
    names = config.get("architectures") or ["without a name"]
    arguments = next((ARCHITECTURES[name] for name in names if name in ARCHITECTURES), None)
    if arguments is None:
        raise RunError(
            f"max_num is {most}, and model_path {model} has no tiles: its architecture is {names[0]}, and those with tiles "
            f"are {', '.join(ARCHITECTURES)}; leave max_num (or MAX_NUM) out"
        )
    return arguments(most)
