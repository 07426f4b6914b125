"""A tiny network in U²-Net's shape as an ONNX file: red stands out. Written by hand, so that no package is needed for it."""

from pathlib import Path

import numpy as np

INTEGER, TEXT, INTEGERS = 2, 3, 7  # AttributeProto.AttributeType
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def make_saliency(path: Path) -> Path:
    """Seven maps of 320 x 320, the first of which is 1 where red is brighter than green by half of the range.

    An encoder that halves the picture, a decoder that brings it back beside what was not halved, and six other outputs,
    which say the contrary: who takes another than the first finds the background.
    """
    rednesses = np.zeros((1, 3, 3, 3), np.float32)
    rednesses[0, 0], rednesses[0, 1] = DEVIATION[0] / 9, -DEVIATION[1] / 9  # over 3 x 3 pixels
    mean = np.float32([MEAN[0] - MEAN[1]])
    tensors = [
        tensor("redness", rednesses), tensor("mean", mean),
        tensor("both", np.full((1, 2, 1, 1), 20, np.float32)), tensor("half", np.float32([-20])),
        tensor("regions", np.zeros(0, np.float32)), tensor("scales", np.float32([1, 1, 2, 2])),
    ]  # fmt: skip
    nodes = [
        node("Conv", ["picture", "redness", "mean"], ["shallow"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("MaxPool", ["shallow"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Resize", ["pooled", "regions", "scales"], ["deep"], mode="linear"),
        node("Concat", ["shallow", "deep"], ["beside"], axis=1),
        node("Conv", ["beside", "both", "half"], ["logits"], kernel_shape=[1, 1]),
        node("Neg", ["logits"], ["contrary"]),
        *(node("Sigmoid", ["contrary"], [f"side{place}"]) for place in range(6)),
        node("Sigmoid", ["logits"], ["fused"]),
    ]
    shape = (1, 1, 320, 320)
    outputs = {"fused": shape} | {f"side{place}": shape for place in range(6)}
    return write_network(path, nodes, tensors, {"picture": (1, 3, 320, 320)}, outputs)


def write_network(
    path: Path, nodes: list[bytes], tensors: list[bytes], inputs: dict[str, tuple], outputs: dict[str, tuple]
) -> Path:
    """An ONNX file of operator set 11; `inputs` and `outputs` have their shapes."""
    parts = [
        *(field(1, one) for one in nodes),
        field(2, b"network"),
        *(field(5, one) for one in tensors),
        *(field(11, value(name, shape)) for name, shape in inputs.items()),
        *(field(12, value(name, shape)) for name, shape in outputs.items()),
    ]
    path.write_bytes(field(1, 6) + field(7, b"".join(parts)) + field(8, field(1, b"") + field(2, 11)))
    return path


def node(operator: str, inputs: list[str], outputs: list[str], **attributes) -> bytes:
    content = b"".join([field(1, name.encode()) for name in inputs] + [field(2, name.encode()) for name in outputs])
    content += field(3, outputs[0].encode()) + field(4, operator.encode())
    return content + b"".join(field(5, attribute(name, given)) for name, given in attributes.items())


def attribute(name: str, given: int | str | list[int]) -> bytes:
    if isinstance(given, int):
        return field(1, name.encode()) + field(3, given) + field(20, INTEGER)
    if isinstance(given, str):
        return field(1, name.encode()) + field(4, given.encode()) + field(20, TEXT)
    return field(1, name.encode()) + b"".join(field(8, one) for one in given) + field(20, INTEGERS)


def tensor(name: str, values: np.ndarray) -> bytes:
    sizes = b"".join(field(1, size) for size in values.shape)
    return sizes + field(2, 1) + field(8, name.encode()) + field(9, values.astype("<f4").tobytes())


def value(name: str, shape: tuple[int, ...]) -> bytes:
    sizes = b"".join(field(1, field(1, size)) for size in shape)
    return field(1, name.encode()) + field(2, field(1, field(1, 1) + field(2, sizes)))


def field(number: int, content: int | bytes) -> bytes:
    """A field of a protocol buffer: a whole number, or bytes with their length."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(number: int) -> bytes:
    groups = bytearray()
    while True:
        number, group = number >> 7, number & 127
        groups.append(group | (128 if number else 0))
        if not number:
            return bytes(groups)
