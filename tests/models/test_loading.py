"""What a person is told of a model that cannot be loaded."""

import pytest

from shared.errors import RunError
from shared.models.loading import loading


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            "Model architectures ['MllamaForConditionalGeneration'] are not supported for now. Supported architectures: ...",
            "is of the architecture MllamaForConditionalGeneration, which vLLM does not run; take engine: transformers",
        ),
        (
            "Model architecture MllamaForConditionalGeneration was supported in vLLM until v0.10.2, and is not supported anymore.",
            "is of the architecture MllamaForConditionalGeneration, which vLLM does not run; take engine: transformers",
        ),
        (
            "The repository a/b contains custom code which must be executed to correctly load the model.",
            "brings code of its own: read it, and allow it with trust_remote_code: true",
        ),
        (
            "no file named model.safetensors",
            "cannot be loaded (no file named model.safetensors); download it again with",
        ),
    ],
)
@pytest.mark.parametrize("is_wrapped", [False, True])
def test_a_model_that_cannot_be_loaded_is_named_with_the_way_out(said, sentence, is_wrapped):
    error: Exception = ValueError(said)
    if is_wrapped and "no file" not in said:
        error, cause = RuntimeError("Engine core initialization failed. See root cause above."), error
        error.__cause__ = cause
    with pytest.raises(RunError) as caught, loading("a/b", "model_path"):
        raise error
    assert str(caught.value).startswith(f"model_path a/b {sentence}")
