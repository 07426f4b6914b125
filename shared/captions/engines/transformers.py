"""The engine for what vLLM does not serve, for CPUs and for small GPUs: transformers, in batches."""

import json
import logging
from collections import deque
from collections.abc import Sequence
from typing import Any, ClassVar

from shared.captions.engines.engine import OF_SERVERS, Answer, Engine, Question
from shared.captions.engines.row_sampling import penalty_of, row_sampler
from shared.captions.engines.tiles import takes_several, tiles_of
from shared.errors import is_out_of_memory
from shared.forecast import Forecast, Model
from shared.machine import free_gpu_memory
from shared.models.device import find_device
from shared.models.loading import loading

log = logging.getLogger("worker")

TRANSFORMERS_PACKAGES = ("torch", "torchvision", "transformers", "huggingface_hub", "accelerate")


class Transformers(Engine):
    """Any model that AutoModelForImageTextToText loads; where `images` is 0, AutoModelForCausalLM's too.

    A batch that does not fit the GPU's memory is halved, and stays so.

    `offload` keeps on the CPU what the GPU has no room for. `options` are further arguments of from_pretrained.
    """

    without_use: ClassVar[frozenset[str]] = OF_SERVERS | {
        "max_num_seqs",
        "gpu_memory_utilization",
        "tensor_parallel_size",
        "max_model_len",
    }

    def __init__(
        self,
        model: str,
        *,
        batch_size: int = 8,
        dtype: str = "auto",
        trust_remote_code: bool = False,
        offload: bool = False,
        max_num: int | None = None,
        images: int = 1,
        options: dict[str, Any] | None = None,
    ):
        self.name, self.batch_size, self.dtype, self.offload = model, batch_size, dtype, offload
        self.trust_remote_code, self.options = trust_remote_code, options or {}
        self.max_num, self.images, self.tiles = max_num, images, dict[str, Any]()
        self.waiting: deque[Question] = deque()
        self.model: Any = None
        self.grammars: Any = None

    @classmethod
    def made_for(cls, options: Any) -> "Transformers":
        return cls(
            options.model_path, batch_size=options.batch_size, dtype=options.dtype,
            trust_remote_code=options.trust_remote_code, offload=options.offload, max_num=getattr(options, "max_num", None),
            images=options.most_images, options=options.engine_options,
        )  # fmt: skip

    @classmethod
    def forecast(cls, options: Any) -> Forecast:
        model = Model(
            options.model_path, "model_path", "transformers" if options.most_images else "language",
            TRANSFORMERS_PACKAGES,
            is_halved=options.dtype in ("bfloat16", "float16"), may_offload=options.offload,
        )  # fmt: skip
        return Forecast([model])

    def setup(self) -> None:
        with loading(self.name, "model_path"):
            from transformers import AutoProcessor

            self.tiles = tiles_of(self.name, self.max_num) if self.max_num else {}
            self.device = find_device(self.name)
            trust = {"trust_remote_code": self.trust_remote_code}
            self.processor = AutoProcessor.from_pretrained(self.name, **trust)
            place = {"device_map": "auto"} if self.offload else {}
            self.model = (
                self._model_class()
                .from_pretrained(self.name, dtype=self.dtype, **trust, **place, **self.options)
                .eval()
            )
            if not self.offload:
                self.model.to(self.device)
        tokenizer = self.tokenizer = getattr(self.processor, "tokenizer", self.processor)
        tokenizer.padding_side = "left"  # answers follow the prompts, which must all end at the same column
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        ends = self.model.generation_config.eos_token_id
        ends = tokenizer.eos_token_id if ends is None else ends
        self.ends = {ends} if isinstance(ends, int) else set(ends or ())

    def _model_class(self) -> Any:
        """A model of text alone has no images to speak of, but one that has them can be asked about text too."""
        from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

        if self.images:
            return AutoModelForImageTextToText
        config = AutoConfig.from_pretrained(self.name, trust_remote_code=self.trust_remote_code)
        is_of_images = type(config) in AutoModelForImageTextToText._model_mapping
        return AutoModelForImageTextToText if is_of_images else AutoModelForCausalLM

    def takes_several(self) -> bool:
        return takes_several(self.name)

    def room(self) -> int:
        return self.batch_size - len(self.waiting)

    def ask(self, question: Question) -> None:
        self.waiting.append(question)

    def answers(self, seconds: float) -> list[tuple[Question, Answer | Exception]]:
        batch: list[Question] = []
        while self.waiting and len(batch) < self.batch_size:
            if batch and self.waiting[0].schema != batch[0].schema:
                break  # a grammar holds for a whole batch
            batch.append(self.waiting.popleft())
        return self._answer(batch) if batch else []

    def close(self) -> None:
        self.model = None
        free_gpu_memory()

    def _answer(self, batch: list[Question]) -> list[tuple[Question, Answer | Exception]]:
        try:
            return list(zip(batch, self._generate(batch), strict=True))
        except Exception as error:
            if len(batch) == 1:
                return [(batch[0], error)]
            if is_out_of_memory(error):
                self.batch_size = (len(batch) + 1) // 2
                log.warning(
                    "out of GPU memory with %d images: going on with batches of %d", len(batch), self.batch_size
                )
                self.waiting.extendleft(reversed(batch))
                batch = []
            else:
                log.warning("a batch of %d failed (%s): trying its items one by one", len(batch), error)
        free_gpu_memory()  # only now, when the error no longer holds the tensors
        return [answered for question in batch for answered in self._answer([question])]

    def _generate(self, batch: Sequence[Question]) -> list[Answer]:
        import torch
        from transformers import LogitsProcessorList

        inputs = self._inputs(batch).to(self.device)
        for name, value in inputs.items():
            if value.is_floating_point():
                inputs[name] = value.to(self.model.dtype)
        samplings = [question.sampling for question in batch]
        longest = max(sampling.max_tokens for sampling in samplings)
        steps = (penalty_of(samplings), self._grammar(batch), row_sampler(samplings, self.device))
        processors = LogitsProcessorList(step for step in steps if step is not None)
        with torch.inference_mode():
            tokens = self.model.generate(
                **inputs,
                max_new_tokens=longest,
                do_sample=False,
                # What the model's own settings would add is for its way of sampling, and not for ours.
                temperature=None,
                top_p=None,
                top_k=None,
                repetition_penalty=None,
                logits_processor=processors,
            )
        start = (
            1 if self.model.config.is_encoder_decoder else inputs["input_ids"].shape[1]
        )  # a decoder begins with a token
        return [
            self._read(row, sampling.max_tokens, int(prompt))
            for row, sampling, prompt in zip(tokens[:, start:], samplings, inputs["attention_mask"].sum(1), strict=True)
        ]

    def _grammar(self, batch: Sequence[Question]) -> Any:
        """What holds a batch to its schema (xgrammar, which vLLM brings along); None where there is no schema."""
        if batch[0].schema is None:
            return None
        import xgrammar
        from xgrammar.contrib.hf import LogitsProcessor

        if self.grammars is None:
            size = self.model.config.get_text_config().vocab_size
            info = xgrammar.TokenizerInfo.from_huggingface(self.tokenizer, vocab_size=size)
            self.grammars = xgrammar.GrammarCompiler(info)
        grammar = self.grammars.compile_json_schema(json.dumps(batch[0].schema), any_whitespace=False)
        return LogitsProcessor([grammar] * len(batch))

    def _inputs(self, batch: Sequence[Question]) -> Any:
        """Tokens and pixels, padded on the left."""
        if self.processor is self.tokenizer and self.tokenizer.chat_template:
            return self.tokenizer.apply_chat_template(
                [[{"role": role, "content": text} for role, text in one.messages] for one in batch],
                tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt", padding=True,
            )  # fmt: skip
        if self.processor is self.tokenizer:
            return self.tokenizer(
                [one_after_another(question) for question in batch], padding=True, return_tensors="pt"
            )
        if getattr(self.processor, "chat_template", None):
            return self.processor.apply_chat_template(
                [conversation_of(question) for question in batch],
                tokenize=True,
                add_generation_prompt=True,
                return_dict=True,
                return_tensors="pt",
                processor_kwargs={"padding": True, **self.tiles},
            )
        # A model from before there were chats, such as BLIP-2, is given the texts one after another.
        join = one_after_another if self.model.config.model_type != "blip-2" else questions_and_answers
        texts = [join(question) for question in batch]
        images = [image for question in batch for image in question.images]
        return self.processor(images=images, text=texts, padding=True, return_tensors="pt")

    def _read(self, row: Any, max_tokens: int, prompt_tokens: int) -> Answer:
        said = row.tolist()
        end = next((place for place, token in enumerate(said) if token in self.ends), len(said))
        reason = "stop" if end < len(said) and end < max_tokens else "length"
        text = self.tokenizer.decode(said[: min(end, max_tokens)], skip_special_tokens=True)
        return Answer(text, reason, prompt_tokens, min(end + (reason == "stop"), max_tokens))


def one_after_another(question: Question) -> str:
    return "\n".join(message.text for message in question.messages)


def questions_and_answers(question: Question) -> str:
    """The form that BLIP-2 was trained on, as vLLM's template for it has it."""
    parts = [
        f"{'Answer' if role == 'assistant' else 'Question'}: {text} "
        for role, text in question.messages
        if role != "system"
    ]
    return "".join(parts) + "Answer:"


def conversation_of(question: Question) -> list[dict]:
    """A conversation as chat templates take it, the images before the first text of the user."""
    messages: list[dict] = []
    images = question.images
    for role, text in question.messages:
        content: list[dict] = [{"type": "text", "text": text}]
        if role == "user":
            content = [*({"type": "image", "image": image} for image in images), *content]
            images = ()
        messages.append({"role": role, "content": content})
    return messages
