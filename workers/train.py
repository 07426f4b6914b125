"""Train a model that relights: InstructPix2Pix on triplets, by a family of models, on all GPUs together."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from shared.relighter.families.registry import FAMILIES, FROM_SCRATCH
from shared.relighter.training.options import TrainOptions
from shared.start import run

if TYPE_CHECKING:
    from shared.forecast import Forecast
    from shared.run.run import Step
    from shared.worker import Member

TRAIN_PACKAGES = ("torch", "torchvision", "diffusers", "transformers", "accelerate")


@dataclass
class Train(TrainOptions):
    """Teach a model to turn the degraded photograph into the original, as the keywords say."""

    runs_together: ClassVar[bool] = True

    def forecast(self) -> "Forecast":
        from shared.forecast import Forecast, Model

        family = FAMILIES[self.family]
        if family.base_model == FROM_SCRATCH:
            return Forecast()
        return Forecast([Model(self.model_path, "model_path", "diffusers", (*TRAIN_PACKAGES, *family.packages))])

    def left(self, step: "Step", processes: int | None = None) -> int:
        """Steps that are still to do, by so many processes or as many as there were; 0 only when the model is in place."""
        from shared.files.small_files import read_json
        from shared.relighter.training.checkpoints import Checkpoints, read_state
        from shared.relighter.training.rows import training_rows

        rows, _ = training_rows(step, self.columns)
        latest = Checkpoints(step.folder, None).latest()
        state = read_state(latest) if latest else {}
        done, seen = state.get("step", 0), state.get("seen", 0)
        group = self.batch_size * self.gradient_accumulation_steps * (processes or state.get("processes", 1))
        total = self.total_steps(len(rows), done, seen, group)
        if total > done:
            return total - done
        return 0 if read_json(step.model_folder / "model.json") else 1

    def work(self, together: "Member") -> None:
        from shared.relighter.training.rows import training_rows
        from shared.relighter.training.trainer import Trainer

        rows, held_out = training_rows(together.step, self.columns)
        Trainer(self, together, rows, held_out).run()


if __name__ == "__main__":
    run(Train)
