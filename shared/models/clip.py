"""CLIP: photographs and texts as vectors of one space, the photographs in batches on the GPU."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from shared.errors import RunError
from shared.models.clip_weights import Weights

if TYPE_CHECKING:
    import torch
    from PIL import Image

log = logging.getLogger("worker")


class Clip:
    """An open_clip model: on a GPU in bfloat16 (float16 where the GPU has none), on the CPU in float32.

    `texts` (k, d) are the vectors of the texts it was made with, and `logit_scale` is the model's; both come from the
    float32 weights. With `compiles` the GPU runs it through torch.compile, which takes half a minute. Raises RunError
    when the weights do not make the model.
    """

    def __init__(self, weights: Weights, texts: Sequence[str], device: "torch.device", compiles: bool = False):
        import torch

        self.name, self.device, self.dtype = weights.name, device, torch.float32
        model, tokenizer = build_clip(weights)
        with torch.inference_mode():
            self.texts = model.encode_text(tokenizer(list(texts)), normalize=True).to(device)
            self.logit_scale = float(model.logit_scale.exp())
        if device.type == "cuda":
            self.dtype = torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
            model = in_low_precision(model, weights, device, self.dtype)
        self.model = model
        self.transform, mean, std = preprocessing(model)
        self.mean, self.std = (torch.tensor(values, device=device).view(1, -1, 1, 1) for values in (mean, std))
        self.side = int(np.max(model.visual.image_size))  # of its input, in pixels
        self.is_compiled = compiles and device.type == "cuda"
        if self.is_compiled:
            # Its own method: the model may be compiled again for another batch size.
            model.encode_image = torch.compile(model.encode_image, dynamic=False)

    def prepare(self, image: "Image.Image") -> np.ndarray:
        """The model's view of a photograph, (height, width, 3) uint8: resized and cropped by open_clip's own transform.

        For threads ahead of embed(). What is opened with shorter_side = 2 * side looks the same as the original.
        """
        return np.asarray(self.transform(image))

    def embed(self, pixels: Sequence[np.ndarray], batch_size: int = 0) -> "torch.Tensor":
        """Vectors of unit length, (n, d) float32, of what prepare() made of n photographs; on a GPU queued only.

        A compiled model is given batches of `batch_size` always, so that it is compiled once.
        """
        import torch
        import torch.nn.functional as F

        is_cuda = self.device.type == "cuda"
        count = max(len(pixels), batch_size if self.is_compiled else 0)
        with torch.inference_mode():
            # One byte a value until it is on the GPU; torch holds the pinned memory until it is copied.
            host = torch.zeros((count, *pixels[0].shape), dtype=torch.uint8, pin_memory=is_cuda)
            np.stack(pixels, out=host.numpy()[: len(pixels)])
            images = host.to(self.device, non_blocking=True).permute(
                0, 3, 1, 2
            )  # in memory channels_last, as GPUs like it
            images = images.to(
                torch.float32, memory_format=torch.preserve_format if is_cuda else torch.contiguous_format
            )
            images = images.div_(255).sub_(self.mean).div_(self.std)
            vectors = self.model.encode_image(images.to(self.dtype))[: len(pixels)]
            return F.normalize(vectors.float(), dim=-1)

    def arriving(self, tensors: Sequence["torch.Tensor"]) -> Callable[[], list[np.ndarray]]:
        """Start to copy from the GPU; what is returned waits for these tensors, not for what is queued after them."""
        import torch

        if self.device.type != "cuda":
            return lambda: [tensor.numpy() for tensor in tensors]
        hosts = [torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True) for tensor in tensors]
        for host, tensor in zip(hosts, tensors, strict=True):
            host.copy_(tensor, non_blocking=True)
        event = torch.cuda.Event()
        event.record()

        def arrived() -> list[np.ndarray]:
            event.synchronize()
            return [host.numpy() for host in hosts]

        return arrived


def build_clip(weights: Weights, **options: Any) -> tuple[Any, Callable]:
    """The model in eval mode, and the tokenizer that belongs to it."""
    import open_clip

    settings = {
        "pretrained": weights.file,
        "force_quick_gelu": weights.quick_gelu,
        "force_preprocess_cfg": weights.preprocess,
        "pretrained_text": False,  # nor other weights for a part of it
        **options,
    }
    try:
        with only_errors():
            model = open_clip.create_model(weights.model, **settings)
            return model.eval().requires_grad_(False), open_clip.get_tokenizer(weights.model)
    except Exception as error:
        # open_clip, torch, safetensors and the Hub each have their own errors for what is one thing to a person.
        reason = str(error).partition("\n")[0] or type(error).__name__
        source = weights.file or weights.model.removeprefix("local-dir:")
        raise RunError(f"{source} cannot be loaded as the CLIP model {weights.name}: {reason}") from error


def in_low_precision(model: Any, weights: Weights, device: "torch.device", dtype: "torch.dtype") -> Any:
    """The same model with its large weights in `dtype`, in the layers that open_clip makes for it."""
    import torch

    precision = "bf16" if dtype == torch.bfloat16 else "fp16"
    fast, _ = build_clip(weights, precision=precision, device=device, load_weights=False)
    fast.load_state_dict(model.state_dict())
    return fast.to(memory_format=torch.channels_last)


def preprocessing(model: Any) -> tuple[Callable, Sequence[float], Sequence[float]]:
    """open_clip's transform without its last three stages (RGB, tensor, normalisation), and the mean and deviation."""
    import open_clip
    from open_clip.transform import MaybeConvertMode, MaybeToTensor, Normalize, PreprocessCfg, image_transform_v2
    from torchvision.transforms import Compose

    values = PreprocessCfg(**open_clip.get_model_preprocess_cfg(model))
    stages = image_transform_v2(values, is_train=False).transforms
    if [type(stage) for stage in stages[-3:]] != [MaybeConvertMode, MaybeToTensor, Normalize]:
        raise RuntimeError(
            f"open_clip {open_clip.__version__} prepares images in another way; see requirements.txt for ours"
        )
    return Compose(stages[:-3]), values.mean, values.std


@contextmanager
def only_errors() -> Iterator[None]:
    """Keep out of the log what open_clip tells the root logger, a dozen lines a model."""

    def is_error(line: logging.LogRecord) -> bool:
        return line.levelno >= logging.ERROR

    root = logging.getLogger()
    root.addFilter(is_error)
    try:
        yield
    finally:
        root.removeFilter(is_error)
