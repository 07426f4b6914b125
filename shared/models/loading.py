"""What goes wrong while a model is loaded, as one sentence that names the model and the way out."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.errors import RunError

LOG_IN = "accept its terms on https://huggingface.co/{model}, then log in with `hf auth login` or set HF_TOKEN"
UNKNOWN = "is neither a folder here nor a model on the Hub that this account may see; mend the name, or " + LOG_IN
NOT_HERE = (
    "is not on this machine and the Hub cannot be reached; download it where there is a network "
    "(`hf download {model}`), or name a folder that holds it"
)
NO_ROOM = "does not fit into what is free of this GPU's memory; free some, or name a smaller model"
SENTENCES = {  # by the exception that is in the chain; the first that fits is the person's way out
    "OutOfMemoryError": NO_ROOM,
    "GatedRepoError": "is gated: " + LOG_IN,
    "RepositoryNotFoundError": UNKNOWN,
    "HFValidationError": UNKNOWN,
    "LocalEntryNotFoundError": NOT_HERE,
    "OfflineModeIsEnabled": NOT_HERE,
    "ConnectError": NOT_HERE,
    "ConnectionError": NOT_HERE,
    "TimeoutException": NOT_HERE,
}


# What vLLM and transformers say of a model that is whole, and that they do not run as they were asked to.
UNSUPPORTED = re.compile(
    r"[Mm]odel architectures? (\[[^\]]*\]|\S+) (?:are not supported|was supported|is not supported)"
)
OWN_CODE = re.compile(r"trust_remote_code|custom code which must be executed")


@contextmanager
def loading(model: str, option: str) -> Iterator[None]:
    """Load `model` (a Hub id or a folder) inside this; `option` is the config's key that names it. Raises RunError."""
    try:
        yield
    except RunError:
        raise
    except Exception as error:
        raise RunError(f"{option} {model} {explain(error, model)}") from error


def reach(model: str, file: str) -> None:
    """Fetch one small file of a model on the Hub, inside loading(): the libraries hide why they could not."""
    if not Path(model).is_dir():
        from huggingface_hub import hf_hub_download

        hf_hub_download(model, file)


def explain(error: BaseException, model: str) -> str:
    """What a person should know of the error that loading `model` raised; libraries wrap the Hub's own."""
    chain = list(causes(error))
    missing = next((one.name for one in chain if isinstance(one, ImportError)), None)
    if missing:
        return f"needs the package {missing}, which is not installed: uv pip install -r requirements.txt"
    names = {kind.__name__ for one in chain for kind in type(one).__mro__}
    for name, sentence in SENTENCES.items():
        if name in names:
            return sentence.format(model=model)
    told = "\n".join(map(str, chain))
    if found := UNSUPPORTED.search(told):
        name = found[1].strip("[]'")
        return f"is of the architecture {name}, which vLLM does not run; take engine: transformers"
    if OWN_CODE.search(told):
        return "brings code of its own: read it, and allow it with trust_remote_code: true"
    reason = (str(error).strip().partition("\n")[0] or type(error).__name__).rstrip(".")
    if Path(model).is_dir():
        return f"cannot be loaded ({reason}); its files are incomplete or of another kind of model"
    return f"cannot be loaded ({reason}); download it again with `hf download {model}`"


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and what it was raised from, the last first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
