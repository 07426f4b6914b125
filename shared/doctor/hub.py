"""The Hub: what is in its cache on this machine, and what it says of the rest where it can be reached."""

from pathlib import Path
from typing import Literal, NamedTuple

SECONDS_OF_HUB = 3.0


class HubAnswer(NamedTuple):
    state: Literal["there", "gated", "unknown", "silent"]
    bytes: int = 0  # of the weights, where it is there


class Hub:
    """Asks about models, until it turns out that nobody answers; `silence` then says why."""

    def __init__(self) -> None:
        self.silence = ""

    def cached(self, name: str) -> Path | None:
        """The folder of a model in the cache, which may be incomplete. Raises ImportError without huggingface_hub."""
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

        try:
            return Path(snapshot_download(name, local_files_only=True))
        except (LocalEntryNotFoundError, HFValidationError):
            return None

    def ask(self, name: str, file: str = "") -> HubAnswer:
        """Whether the model can be downloaded, and how large it is; or how large that one file of it is."""
        from huggingface_hub import HfApi, constants
        from huggingface_hub.errors import (
            GatedRepoError,
            HfHubHTTPError,
            HFValidationError,
            OfflineModeIsEnabled,
            RepositoryNotFoundError,
        )

        if constants.HF_HUB_OFFLINE:
            self.silence = "HF_HUB_OFFLINE is set"
        if self.silence:
            return HubAnswer("silent")
        try:
            info = HfApi().model_info(name, timeout=SECONDS_OF_HUB, files_metadata=True)
            sizes = {entry.rfilename: entry.size or 0 for entry in info.siblings or []}
            if info.gated:
                self._try_access(name, file or next(iter(sizes), "config.json"))
            return HubAnswer("there", sizes.get(file, 0) if file else size_of_weights(sizes))
        except GatedRepoError:
            return HubAnswer("gated")
        except (RepositoryNotFoundError, HFValidationError):
            return HubAnswer("unknown")
        except HfHubHTTPError as error:
            if error.response is not None and error.response.status_code in (401, 403):
                return HubAnswer("gated")
            self.silence = f"it answers {error.response.status_code if error.response is not None else error}"
        except OfflineModeIsEnabled:
            self.silence = "HF_HUB_OFFLINE is set"
        except Exception as error:  # no network, no name, no time: each version's HTTP client has its own
            self.silence = " ".join(str(error).split()) or type(error).__name__
        return HubAnswer("silent")

    def _try_access(self, name: str, file: str) -> None:
        """A gated model is listed for everybody; its files are not."""
        from huggingface_hub import get_hf_file_metadata, hf_hub_url

        get_hf_file_metadata(hf_hub_url(name, file), timeout=SECONDS_OF_HUB)


def size_of_weights(sizes: dict[str, int]) -> int:
    """Bytes of the files that a library would load, by their names: not the same weights in another form."""
    for suffix in (".safetensors", ".bin", ".pt"):
        weights = {
            name: count
            for name, count in sizes.items()
            if name.endswith(suffix) and ".fp16." not in name and not name.rpartition("/")[2].startswith("consolidated")
        }
        if weights:
            return sum(weights.values())
    return 0
