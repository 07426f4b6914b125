"""Questions as vLLM takes them, and its outputs as answers."""

from typing import Any

from shared.captions.engines.engine import Answer, Question


def rendered_by(renderer: Any, question: Question) -> Any:
    """The tokens and pixels of a question, as vLLM's chat entry point makes them."""
    from vllm.renderers import ChatParams

    arguments = {"add_generation_prompt": True, "continue_final_message": False, "tools": None, "tokenize": False}
    _, rendered = renderer.render_chat(
        [messages_of(question)],
        ChatParams(chat_template_kwargs=arguments),
        renderer.default_chat_tok_params.with_kwargs(add_special_tokens=False),
    )
    return rendered[0]


def messages_of(question: Question) -> list[dict]:
    """A conversation as vLLM's chat entry point takes it, the images before the first text of the user."""
    messages: list[dict] = []
    images = question.images
    for role, text in question.messages:
        if role == "user" and images:
            parts = [
                {"type": "image_pil", "image_pil": image, "uuid": f"{question.key} {number}"}
                for number, image in enumerate(images)
            ]
            messages.append({"role": role, "content": [*parts, {"type": "text", "text": text}]})
            images = ()
        else:
            messages.append({"role": role, "content": text})
    return messages


def parameters_of(question: Question, is_seeded: bool = True) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

    sampling = question.sampling._asdict()
    sampling["top_k"] = sampling["top_k"] or None
    given = {name: value for name, value in sampling.items() if value is not None and (is_seeded or name != "seed")}
    if question.schema:
        given["structured_outputs"] = StructuredOutputsParams(json=question.schema)
    return SamplingParams(output_kind=RequestOutputKind.FINAL_ONLY, **given)


def answer_of(output: Any) -> Answer:
    said = output.outputs[0]
    return Answer(said.text, said.finish_reason or "", len(output.prompt_token_ids or ()), len(said.token_ids))
