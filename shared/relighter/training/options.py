"""The options of a training, and what follows from them."""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from shared.errors import ConfigError
from shared.relighter.families.registry import FAMILIES, FamilyName, find_family
from shared.relighter.training.geometry import Geometry
from shared.triplets.roles import Columns
from shared.worker import Worker

if TYPE_CHECKING:
    from shared.relighter.families.family import Family

Share = Annotated[float, Field(ge=0, lt=1)]


@dataclass
class TrainOptions(Worker):
    """What workers/train.py takes; how it is shared among processes is no matter of these."""

    family: FamilyName = "sd15"
    model_path: str = ""  # the base model, on the Hub or a folder; nothing: the family's own
    columns: Columns = field(default_factory=Columns)  # which fields of the rows are what
    resolution: PositiveInt = 512  # pixels of the square that is cut out of both images
    center_crop: bool = False  # else the square lies where chance puts it
    random_flip: bool = False  # mirror half of them, and exchange left and right in the words

    batch_size: PositiveInt = 8  # triplets of each GPU at once; also spelled train_batch_size
    gradient_accumulation_steps: PositiveInt = 1  # batches of each GPU in one step
    num_epochs: PositiveInt = 100
    max_train_steps: PositiveInt | None = None  # over num_epochs
    learning_rate: PositiveFloat = 5e-5
    lr_scheduler: Literal[
        "constant", "constant_with_warmup", "linear", "cosine", "cosine_with_restarts", "polynomial"
    ] = "constant"
    lr_warmup_steps: NonNegativeInt = 0
    adam_beta1: Share = 0.9
    adam_beta2: Share = 0.999
    adam_weight_decay: NonNegativeFloat = 1e-2
    adam_epsilon: PositiveFloat = 1e-8
    max_grad_norm: NonNegativeFloat = 1.0  # 0: gradients are not clipped
    conditioning_dropout_prob: Annotated[float, Field(ge=0, le=1 / 3)] = 0.05  # of each: text, image, both
    use_ema: bool = True  # the model that is saved is the moving average of the weights
    ema_decay: Share = 0.9999
    rank: PositiveInt = 16  # of the LoRA, where the family learns one

    mixed_precision: Literal["no", "fp16", "bf16"] = "fp16"  # on GPUs; the CPU trains in float32
    gradient_checkpointing: bool = True  # less memory, a quarter more time
    use_8bit_adam: bool = False  # less memory; needs bitsandbytes
    allow_tf32: bool = True
    cache_latents: bool = False  # keep latents and text embeddings on disk; needs center_crop

    checkpointing_steps: PositiveInt = 1000
    checkpoints_total_limit: PositiveInt | None = 3  # the oldest go; nothing keeps all
    resume_from_checkpoint: str = (
        "latest"  # a run goes on by itself; or a checkpoint-<step> of another run to begin with
    )
    validation_steps: NonNegativeInt = 1000  # 0: never
    num_validation_images: PositiveInt = 4
    validation_inference_steps: PositiveInt = 20
    image_guidance_scale: NonNegativeFloat = 1.5
    guidance_scale: NonNegativeFloat = 7.5
    report_to: Literal["", "tensorboard", "wandb"] = ""  # beside loss.jsonl and validation/
    stall_seconds: PositiveInt = 7200  # validation and saving count as standing still
    max_attempts: PositiveInt = field(init=False, default=1)  # there are no items that could be tried again

    aliases: ClassVar[dict[str, str]] = {
        "train_batch_size": "batch_size",
        "num_train_epochs": "num_epochs",
        "pretrained_model_name_or_path": "model_path",
        "dataloader_num_workers": "load_threads",
    }
    speed_options: ClassVar[frozenset[str]] = (Worker.speed_options - {"batch_size"}) | {
        "num_epochs", "max_train_steps", "checkpointing_steps", "checkpoints_total_limit", "validation_steps",
        "num_validation_images", "validation_inference_steps", "report_to", "gradient_checkpointing", "cache_latents",
    }  # fmt: skip

    def check(self, label: str) -> None:
        multiple = FAMILIES[self.family].size_multiple
        if self.resolution % multiple:
            raise ConfigError(f"{label}: resolution {self.resolution} should be a multiple of {multiple}")
        if self.cache_latents and not self.center_crop:
            raise ConfigError(f"{label}: cache_latents needs center_crop: true; a crop by chance is another every time")

    def fill_in(self, label: str) -> None:
        self.model_path = self.model_path or FAMILIES[self.family].base_model

    @property
    def geometry(self) -> Geometry:
        return Geometry(self.resolution, self.center_crop, self.random_flip)

    def make_family(self) -> "Family":
        return find_family(self.family)(self.model_path, self.resolution, self.rank)

    def total_steps(self, count: int, step: int, seen: int, group: int) -> int:
        """Steps of the optimizer in all, of which `step` are done and have seen `seen` triplets; a step sees `group`."""
        left = max(0, math.ceil((count * self.num_epochs - seen) / group))
        return min(step + left, self.max_train_steps or step + left)

    def plain_options(self) -> dict[str, Any]:
        """The options as trackers take them."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: value for name, value in values.items() if isinstance(value, (int, float, str, bool))}
