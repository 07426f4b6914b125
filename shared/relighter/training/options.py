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

DecayRate = Annotated[float, Field(ge=0, lt=1)]


@dataclass
class TrainOptions(Worker):
    """What workers/train.py takes; how it is shared among processes is no matter of these."""

    family: Annotated[
        FamilyName, Field(description="kind of model, a row of shared/relighter/families/registry.py")
    ] = "sd15"
    model_path: Annotated[
        str, Field(description="the base model, on the Hub or a folder; nothing: the family's own")
    ] = ""
    columns: Annotated[Columns, Field(description="which fields of the rows are what")] = field(default_factory=Columns)
    resolution: Annotated[PositiveInt, Field(description="pixels of the square that is cut out of both images")] = 512
    center_crop: Annotated[
        bool, Field(description="cut the square out of the centre; else it lies where chance puts it")
    ] = False
    random_flip: Annotated[bool, Field(description="mirror half of them, and exchange left and right in the words")] = (
        False
    )

    batch_size: Annotated[
        PositiveInt, Field(description="triplets of each GPU at once; also spelled train_batch_size")
    ] = 8
    gradient_accumulation_steps: Annotated[PositiveInt, Field(description="batches of each GPU in one step")] = 1
    num_epochs: Annotated[PositiveInt, Field(description="times that every triplet is seen")] = 100
    max_train_steps: Annotated[
        PositiveInt | None, Field(description="steps in all, over num_epochs; null: as num_epochs says")
    ] = None
    learning_rate: Annotated[PositiveFloat, Field(description="step size of the optimizer, at its highest")] = 5e-5
    lr_scheduler: Annotated[
        Literal["constant", "constant_with_warmup", "linear", "cosine", "cosine_with_restarts", "polynomial"],
        Field(description="how the learning rate changes over the training, as diffusers names it"),
    ] = "constant"
    lr_warmup_steps: Annotated[NonNegativeInt, Field(description="steps over which the learning rate rises from 0")] = 0
    adam_beta1: Annotated[DecayRate, Field(description="decay of AdamW's mean of the gradients")] = 0.9
    adam_beta2: Annotated[DecayRate, Field(description="decay of AdamW's mean of their squares")] = 0.999
    adam_weight_decay: Annotated[NonNegativeFloat, Field(description="weight decay of AdamW")] = 1e-2
    adam_epsilon: Annotated[PositiveFloat, Field(description="added to AdamW's denominator")] = 1e-8
    max_grad_norm: Annotated[
        NonNegativeFloat, Field(description="longer gradients are made as short as this; 0: they are not clipped")
    ] = 1.0
    conditioning_dropout_prob: Annotated[
        float,
        Field(
            ge=0,
            le=1 / 3,
            description="share of the examples without the text, without the image, and without both: so much of each",
        ),
    ] = 0.05
    use_ema: Annotated[bool, Field(description="the model that is saved is the moving average of the weights")] = True
    ema_decay: Annotated[DecayRate, Field(description="how slowly the moving average follows the weights")] = 0.9999
    rank: Annotated[PositiveInt, Field(description="rank of the LoRA, where the family learns one")] = 16

    mixed_precision: Annotated[
        Literal["no", "fp16", "bf16"], Field(description="number format on GPUs; the CPU trains in float32")
    ] = "fp16"
    gradient_checkpointing: Annotated[bool, Field(description="less memory, a quarter more time")] = True
    use_8bit_adam: Annotated[bool, Field(description="less memory; needs bitsandbytes")] = False
    allow_tf32: Annotated[
        bool, Field(description="let GPUs multiply in TensorFloat-32, which is quicker and less exact")
    ] = True
    cache_latents: Annotated[bool, Field(description="keep latents and text embeddings on disk; needs center_crop")] = (
        False
    )

    checkpointing_steps: Annotated[PositiveInt, Field(description="steps between two checkpoints")] = 1000
    checkpoints_total_limit: Annotated[
        PositiveInt | None, Field(description="checkpoints that are kept, the newest; null keeps all")
    ] = 3
    resume_from_checkpoint: Annotated[
        str, Field(description="latest: a run goes on by itself; or a checkpoint-<step> of another run to begin with")
    ] = "latest"
    validation_steps: Annotated[NonNegativeInt, Field(description="steps between two validations; 0: never")] = 1000
    num_validation_images: Annotated[PositiveInt, Field(description="triplets that a validation relights")] = 4
    validation_inference_steps: Annotated[PositiveInt, Field(description="steps of the diffusion in a validation")] = 20
    image_guidance_scale: Annotated[
        NonNegativeFloat, Field(description="how closely a validation keeps to the photograph")
    ] = 1.5
    guidance_scale: Annotated[
        NonNegativeFloat, Field(description="how closely a validation follows the instruction")
    ] = 7.5
    report_to: Annotated[
        Literal["", "tensorboard", "wandb"],
        Field(description="tracker to report to, beside loss.jsonl and validation/"),
    ] = ""
    stall_seconds: Annotated[
        PositiveInt,
        Field(
            description="a training that takes no step for so long is started again; saving counts as standing still"
        ),
    ] = 7200
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
