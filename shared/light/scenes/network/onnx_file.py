"""Small networks as ONNX files that cv2.dnn runs, their weights in sixteen bits or in eight."""

import io
from pathlib import Path

import numpy as np
import torch


def write_onnx(
    network: torch.nn.Module, pixels: torch.Tensor, out: Path, axes: dict[str, dict[int, str]], bits: int
) -> None:
    """Write a network that sees `pixels`; `axes` are the sizes that may vary of `pixels` and of each output, in their order.

    `bits`: 16 for half precision, 8 for whole numbers with a scale for each filter. Needs the package onnx.
    """
    import onnx
    from onnx import helper, numpy_helper

    written = io.BytesIO()
    torch.onnx.export(
        network, (pixels,), written, input_names=["pixels"], output_names=list(axes)[1:], dynamo=False, opset_version=13,
        dynamic_axes=axes,
    )  # fmt: skip
    model = onnx.load_from_string(written.getvalue())
    graph = model.graph
    for full in [tensor for tensor in graph.initializer if len(tensor.dims) > 1]:
        name, values = full.name, numpy_helper.to_array(full)
        graph.initializer.remove(full)
        if bits == 8 and values.ndim == 4:
            scale = np.maximum(np.abs(values).max((1, 2, 3), keepdims=True) / 127, 1e-12).astype(np.float32)
            parts = {f"{name}_few": np.rint(values / scale).astype(np.int8), f"{name}_scale": scale}
            cast = f"{name}_unscaled"
            graph.node.insert(0, helper.make_node("Mul", [cast, f"{name}_scale"], [name]))
        else:
            parts, cast = {f"{name}_few": values.astype(np.float16)}, name
        graph.node.insert(0, helper.make_node("Cast", [f"{name}_few"], [cast], to=onnx.TensorProto.FLOAT))
        graph.initializer.extend(numpy_helper.from_array(part, part_name) for part_name, part in parts.items())
    onnx.checker.check_model(model)
    onnx.save(model, out)
