"""What is compared of two trainings."""

import json


def weights_of(folder):
    """All tensors of a model's or checkpoint's folder."""
    from safetensors.torch import load_file

    return {
        f"{path.relative_to(folder)} {name}": value
        for path in sorted(folder.rglob("*.safetensors"))
        for name, value in load_file(path).items()
    }


def same(one, other) -> bool:
    import torch

    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def losses(step) -> list[dict]:
    return [json.loads(line) for line in (step.folder / "loss.jsonl").read_text().splitlines()]
