"""The engines that a caption step may name: a row each. The file that a row names holds all the rest."""

import pkgutil
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from shared.captions.engines.engine import Engine

ENGINES = {
    "photometric": "photometric:Photometric",
    "vllm": "vllm:Vllm",
    "server": "server:Server",
    "transformers": "transformers:Transformers",
}
if TYPE_CHECKING:
    EngineName = str
else:
    EngineName = Literal[tuple(ENGINES)]


def find_engine(name: str) -> "type[Engine]":
    """The class of that name; what is heavy is imported by its setup()."""
    return pkgutil.resolve_name(f"shared.captions.engines.{ENGINES[name]}")
