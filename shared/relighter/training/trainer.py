"""The training loop: InstructPix2Pix on triplets, on one GPU or several, stopped and resumed at any step."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs, ProjectConfiguration
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel

from shared.errors import RunError, is_out_of_memory
from shared.files.whole_folder import WholeFolder
from shared.machine import collect_seldom
from shared.models.device import find_device
from shared.relighter.families.family import Batch, Family
from shared.relighter.training.batches import Batches
from shared.relighter.training.checkpoints import Checkpoints, read_state, sync_files
from shared.relighter.training.examples import Examples
from shared.relighter.training.latents import LatentCache
from shared.relighter.training.optimizer import make_optimizer
from shared.relighter.training.options import TrainOptions
from shared.relighter.training.order import Order
from shared.relighter.training.pace import Pace
from shared.relighter.training.rows import Chosen
from shared.relighter.training.validation import Validation
from shared.worker import Member

log = logging.getLogger("worker")

DTYPES = {"no": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
HOURS_TO_WAIT = 2  # of the others for the first, which validates and saves


class Trainer:
    """One process's part; `rows` are the triplets to learn, `held_out` those to validate on."""

    def __init__(self, options: TrainOptions, together: Member, rows: Chosen, held_out: Sequence[dict]):
        self.options, self.together, self.rows = options, together, rows
        self.folder = together.folder
        self.checkpoints = Checkpoints(self.folder, options.checkpoints_total_limit)
        self.step = self.seen = 0  # optimizer steps, and positions of the order that they took
        device = find_device(f"the {options.family} trainer")
        precision = options.mixed_precision if device.type == "cuda" else "no"
        self.accelerator = Accelerator(
            mixed_precision=precision, cpu=device.type == "cpu", log_with=options.report_to or None,
            project_config=ProjectConfiguration(project_dir=str(self.folder), logging_dir=str(self.folder / "logs")),
            kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(hours=HOURS_TO_WAIT))],
        )  # fmt: skip
        torch.manual_seed(options.seed)  # of weights that begin at random
        torch.backends.cuda.matmul.allow_tf32 = options.allow_tf32
        self.family: Family = options.make_family()
        self.family.load(self.accelerator.device, DTYPES[precision], options.gradient_checkpointing)
        collect_seldom(False)
        self.weights = [one for one in self.family.trained.parameters() if one.requires_grad]
        self.optimizer = self.accelerator.prepare(make_optimizer(options, self.weights))
        self.model = self.accelerator.prepare(self.family.trained)
        self.ema = EMAModel(self.weights, decay=options.ema_decay, use_ema_warmup=True) if options.use_ema else None
        self.empty = self.family.encode_texts([""])
        self.validation = Validation(self.family, options, held_out, self.folder)

    @property
    def group(self) -> int:
        """Examples of one step of the optimizer, over all processes."""
        return self.options.batch_size * self.accelerator.num_processes * self.options.gradient_accumulation_steps

    def run(self) -> bool:
        """Train to the end or until a stop is requested; returns whether the end was reached."""
        self.resume()
        total = self.options.total_steps(len(self.rows), self.step, self.seen, self.group)
        self.schedule = get_scheduler(
            self.options.lr_scheduler, self.optimizer.optimizer, num_warmup_steps=self.options.lr_warmup_steps,
            num_training_steps=max(total, 1),
        )  # fmt: skip
        if self.step:
            self.schedule.load_state_dict(self.saved["schedule"])
            for group, rate in zip(self.optimizer.param_groups, self.schedule.get_last_lr(), strict=True):
                group["lr"] = rate  # which a schedule that is made anew has set to that of its first step
        log.info(
            "%d triplets, %d of %d steps of %d examples done, %.1f million weights to train",
            len(self.rows), self.step, total, self.group, sum(one.numel() for one in self.weights) / 1e6,
        )  # fmt: skip
        self._start_trackers()
        examples = self._examples()
        batches = Batches(
            examples, self.seen, self.options.batch_size, self.options.batch_size * self.accelerator.num_processes,
            self.accelerator.process_index * self.options.batch_size, self.options.load_threads or self.together.cores,
            pins=self.accelerator.device.type == "cuda",
        )  # fmt: skip
        self.pace = Pace(self, batches, total)
        try:
            is_trained = self._train(batches, total)
        finally:
            batches.close()
        self.save()
        if is_trained:
            self.finish()
            self.together.mark_end(self.step)
        self.pace.close("ended" if is_trained else "stopped")
        return is_trained

    def _train(self, batches: Batches, total: int) -> bool:
        while self.step < total:
            if self.together.stop_requested():
                reason = self.together.control.reason or "asked to"
                log.info("stopped at step %d of %d: %s", self.step, total, reason)
                return False
            self.take_step(batches)
            if self.step % self.options.checkpointing_steps == 0 and self.step < total:
                self.save()
            if self.options.validation_steps and self.step % self.options.validation_steps == 0:
                self.validate()
        return True

    def take_step(self, batches: Batches) -> None:
        """One step of the optimizer, over `gradient_accumulation_steps` batches of each process."""
        parts = self.options.gradient_accumulation_steps
        loss = torch.zeros((), device=self.accelerator.device)
        try:
            for part in range(parts):
                # Gradients travel between the GPUs once, with the last part.
                waits = self.accelerator.no_sync(self.model) if part < parts - 1 else nullcontext()
                with waits:
                    batch = self.prepare(next(batches))
                    with self.accelerator.autocast():
                        one = self.family.loss(self.model, batch) / parts
                    self.accelerator.backward(one)
                loss += one.detach()
            if self.options.max_grad_norm:
                self.accelerator.clip_grad_norm_(self.weights, self.options.max_grad_norm)
            self.optimizer.step()
            self.schedule.step()
            self.optimizer.zero_grad(set_to_none=True)
        except Exception as error:
            if is_out_of_memory(error):
                raise RunError(
                    f"the GPU's memory does not hold train_batch_size {self.options.batch_size} at resolution "
                    f"{self.options.resolution}; lower train_batch_size and raise gradient_accumulation_steps, or set "
                    "gradient_checkpointing: true, cache_latents: true or use_8bit_adam: true"
                ) from error
            raise
        if self.ema:
            self.ema.step(self.weights)
        self.step += 1
        self.seen += self.group
        self.pace.count(loss)

    def prepare(self, batch: dict[str, Any]) -> Batch:
        """A batch of examples on the device: images as latents, words as states, dropped ones taken out."""
        place = {"device": self.accelerator.device, "non_blocking": True}
        images = {}
        for name in ("source", "target"):
            values = batch[name].to(**place)
            images[name] = (
                self.family.encode_images(values.float() / 127.5 - 1) if values.dtype == torch.uint8 else values
            )
        found = batch["states"] if "states" in batch else self.family.encode_texts(batch["text"])
        drops = batch["drops_text"].to(**place)
        texts = {}
        for name, states in found.items():
            states = states.to(**place)
            shape = (-1,) + (1,) * (states.dim() - 1)
            texts[name] = torch.where(drops.view(shape), self.empty[name].to(states.dtype), states)
        return Batch(
            images["source"], images["target"], texts, batch["noise"].to(**place), batch["posterior_noise"].to(**place),
            batch["moment"].to(**place), 1.0 - batch["drops_image"].to(**place).float(),
        )  # fmt: skip

    # ---- Checkpoints ----

    def resume(self) -> None:
        """From the latest checkpoint here, else from the one that the options name, else from the beginning."""
        checkpoint = self.checkpoints.latest()
        if checkpoint is None and self.options.resume_from_checkpoint not in ("latest", ""):
            checkpoint = Path(self.options.resume_from_checkpoint)
            if not (checkpoint / "optimizer.pt").exists():
                raise RunError(
                    f"resume_from_checkpoint {checkpoint} is no checkpoint; it should be a folder checkpoint-<step>"
                )
        self.saved: dict[str, Any] = {}
        if checkpoint:
            state = read_state(checkpoint)
            self.step, self.seen = state["step"], state["seen"]
            self.family.load_weights(checkpoint)
            self.saved = torch.load(checkpoint / "optimizer.pt", map_location="cpu", weights_only=True)
            self.optimizer.load_state_dict(self.saved["optimizer"])
            if self.ema:
                self.ema.load_state_dict(self.saved["ema"] or self.ema.state_dict())
            if self.accelerator.scaler and self.saved["scaler"]:
                self.accelerator.scaler.load_state_dict(self.saved["scaler"])
            log.info("going on from %s", checkpoint.name)
        if self.ema:
            self.ema.to(self.accelerator.device)

    def save(self) -> None:
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process and self.step and self.step not in self.checkpoints.steps():
            if not all(torch.isfinite(one).all() for one in self.weights):
                raise self.pace.no_number()
            state = {"step": self.step, "seen": self.seen, "processes": self.accelerator.num_processes}
            self.checkpoints.save(self.step, state, self._write)
            log.info("saved checkpoint-%d", self.step)
        self.accelerator.wait_for_everyone()

    def _write(self, folder: Path) -> None:
        self.family.save_weights(folder)
        scaler = self.accelerator.scaler
        state = {
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "ema": self.ema.state_dict() if self.ema else None,
            "scaler": scaler.state_dict() if scaler else None,
        }
        torch.save(state, folder / "optimizer.pt")

    def finish(self) -> None:
        """Put the trained model in place, with the averaged weights where they are kept."""
        if self.accelerator.is_main_process:
            with WholeFolder(self.together.step.model_folder) as whole, self.averaged():
                self.family.save(whole.new)
                sync_files(whole.new)
            log.info("trained: %s", self.together.step.model_folder)
        self.accelerator.wait_for_everyone()
        self.accelerator.end_training()

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The exponential moving average in the model's place, while this lasts."""
        if not self.ema:
            yield
            return
        self.ema.store(self.weights)
        self.ema.copy_to(self.weights)
        try:
            yield
        finally:
            self.ema.restore(self.weights)

    # ---- What people see ----

    def validate(self) -> None:
        if self.accelerator.is_main_process and self.validation.rows:
            self.family.trained.eval()
            with self.averaged(), torch.no_grad(), self.accelerator.autocast():
                values = self.validation.run(self.step, self.accelerator.trackers)
            self.family.trained.train()
            self.accelerator.log(values, step=self.step)
        self.accelerator.wait_for_everyone()

    def _start_trackers(self) -> None:
        if self.options.report_to:
            self.accelerator.init_trackers("relight", config=self.options.plain_options())

    def _examples(self) -> Examples:
        options = self.options
        order = Order(len(self.rows), options.seed, options.conditioning_dropout_prob)
        examples = Examples(self.rows, order, options.columns, options.geometry, self.family.noise_shape())
        if not options.cache_latents:
            return examples
        cache = LatentCache(self.folder / "cache", examples, self.family)
        if self.accelerator.is_main_process:
            cache.forget_other_rows(self.rows.digest)
        self.accelerator.wait_for_everyone()
        cache.fill(self.accelerator.process_index, self.accelerator.num_processes, self.options.batch_size)
        self.accelerator.wait_for_everyone()
        return cache.examples()
