"""Where a CLIP model's weights are: a tag's in the cache or on the Hub, or a file or folder of one's own."""

import difflib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.errors import RunError
from shared.models.loading import loading

log = logging.getLogger("worker")

WEIGHT_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")  # as open_clip names them on the Hub
CONFIG_FILE = "open_clip_config.json"
CHECKPOINT_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")


@dataclass(frozen=True)
class Weights:
    """What open_clip needs for a model: `model` with its schema, and for a bare architecture the file of weights."""

    model: str  # ViT-B-32, or local-dir:<folder>, or hf-hub:<organisation>/<name>
    name: str  # for people and records
    file: str | None = None
    quick_gelu: bool = False  # the activation that the weights were trained with; the other gives other numbers
    preprocess: dict[str, Any] = field(default_factory=dict)  # mean, std, interpolation, resize_mode of the tag


def is_path(checkpoint: str) -> bool:
    """Whether `checkpoint` means a file or folder; otherwise it is a pretrained tag."""
    return (
        os.sep in checkpoint
        or checkpoint.startswith(".")
        or checkpoint.endswith(CHECKPOINT_SUFFIXES)
        or os.path.exists(checkpoint)
    )


def find_weights(model_name: str, checkpoint: str) -> Weights:
    """Find the weights, and fetch those of a tag where they are not in the cache. Raises RunError.

    model_name: as OpenAI writes it (ViT-B/32) or any name of open_clip; a folder in the Hub's format has its own
    architecture, and model_name says nothing then.
    """
    with loading(model_name, "model_name"):
        import open_clip

    if is_path(checkpoint):
        path = Path(checkpoint)
        folder = path if path.is_dir() else path.parent
        if path.is_dir() or (path.name in WEIGHT_FILES and (folder / CONFIG_FILE).is_file()):
            return in_folder(folder)
        if not path.is_file():
            raise RunError(
                f"the checkpoint {checkpoint} does not exist; it should be a file of weights or a folder from the Hub"
            )
    if model_name.startswith(("hf-hub:", "local-dir:")):
        return Weights(model_name, model_name)
    name = model_name.replace("/", "-")
    if name not in open_clip.list_models():
        close = difflib.get_close_matches(name, open_clip.list_models(), 3)
        raise RunError(
            f"open_clip has no model {model_name!r}" + (f"; did you mean {' or '.join(close)}?" if close else "")
        )
    if is_path(checkpoint):
        if f"{name}-quickgelu" in open_clip.list_models():
            log.info(
                "%s is taken for a %s; weights of OpenAI's training need model_name: %s-quickgelu",
                checkpoint,
                name,
                name,
            )
        return Weights(name, model_name, checkpoint)
    tag = open_clip.get_pretrained_cfg(name, checkpoint)
    if not tag:
        known = ", ".join(open_clip.list_pretrained_tags_by_model(name)) or "none"
        raise RunError(f"{model_name} has no weights {checkpoint!r}; there are {known}, or name a file or folder")
    preprocess = {key: tag[key] for key in ("mean", "std", "interpolation", "resize_mode") if tag.get(key) is not None}
    file = fetch(tag, f"the CLIP weights {checkpoint!r} of {model_name}")
    return Weights(name, model_name, file, bool(tag.get("quick_gelu")), preprocess)


def in_folder(folder: Path) -> Weights:
    """A model as the Hub keeps it: its config, and its weights beside it."""
    if not (folder / CONFIG_FILE).is_file():
        raise RunError(
            f"the checkpoint {folder} has no {CONFIG_FILE}; name a file of weights, or a folder from the Hub"
        )
    if not any(path.suffix in CHECKPOINT_SUFFIXES for path in folder.iterdir()):
        raise RunError(
            f"the checkpoint {folder} has no weights beside its {CONFIG_FILE}; it should have {WEIGHT_FILES[0]}"
        )
    return Weights(f"local-dir:{folder}", folder.resolve().name)


def fetch(tag: dict, what: str) -> str:
    """The file of a tag's weights: out of the cache without asking the network, or downloaded."""
    import open_clip
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, LocalEntryNotFoundError

    repository, file = os.path.split(tag.get("hf_hub", ""))
    names: Sequence[str] = (file,) if file else WEIGHT_FILES
    cached = [try_to_load_from_cache(repository, name) for name in names] if repository else []
    for path in cached:
        if isinstance(path, str):
            return path
    try:
        for name in names if repository else ():
            try:
                return hf_hub_download(repository, name)
            except LocalEntryNotFoundError:
                raise  # the network is not there
            except EntryNotFoundError:
                continue
        return open_clip.download_pretrained(tag, prefer_hf_hub=False)
    except GatedRepoError:
        raise RunError(
            f"{what} are gated: accept the licence at https://huggingface.co/{repository} and set HF_TOKEN, or set "
            "checkpoint to a file or folder"
        ) from None
    except (OSError, RuntimeError) as error:
        way = (
            f"run `hf download {repository} --local-dir clip` where there is a network" if repository else "fetch them"
        )
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise RunError(f"{what} are not on this machine; {way} and set checkpoint: clip ({reason})") from None
