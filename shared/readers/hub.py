"""Datasets on the Hugging Face Hub, by their names."""

import re
from functools import lru_cache
from pathlib import Path

from shared.errors import DatasetError

DATASET_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


def is_dataset_name(text: str) -> bool:
    """Whether it may be `owner/name` of the Hub: no path of a folder that is here."""
    return bool(DATASET_NAME.fullmatch(text)) and not Path(text).parent.is_dir()


@lru_cache(maxsize=4)
def hub_dataset(name: str, places: str) -> Path:
    """The folder of Arrow files that the datasets library makes of it, downloaded once. Raises DatasetError; `places` are
    those where no file of that name was found.
    """
    try:
        from datasets import load_dataset_builder

        builder = load_dataset_builder(name)
        builder.download_and_prepare()
        return Path(builder.cache_dir)
    except ImportError:
        raise DatasetError(
            f"there is no {places}; to read {name} from the Hub takes the package datasets: uv pip install -r requirements.txt"
        ) from None
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DatasetError(
            f"there is no {places}, and no dataset of that name on the Hub that can be read ({reason})"
        ) from None
