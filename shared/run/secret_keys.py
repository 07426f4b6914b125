"""`api_key` in a config: the name of an environment variable, or a gap to be filled in; never the key itself."""

import re
from typing import Any

from shared.errors import ConfigError

VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?")
PLACEHOLDER = re.compile(
    r"(?i)(<.*>|x+|\*+|\.+|your[_ -].*|.*[_ -]your[_ -].*|.*api[_ -]?key[_ -]here.*|changeme|none|empty)?"
)
USUAL_VARIABLE = "OPENAI_API_KEY"


def without_key(options: dict[str, Any], label: str) -> dict[str, Any]:
    """The options with `key_variable` for their `api_key`. Raises ConfigError, without the key, where one stands there.

    $NAME is the variable NAME; what documents print for a gap, as your_api_key_here, leaves the preset's.
    """
    if "api_key" not in options:
        return options
    written = options["api_key"]
    rest = {name: value for name, value in options.items() if name != "api_key"}
    text = "" if written is None else str(written).strip()
    if found := VARIABLE.fullmatch(text):
        return rest | {"key_variable": found[1]}
    if PLACEHOLDER.fullmatch(text):
        return rest
    variable = rest.get("key_variable") or USUAL_VARIABLE
    raise ConfigError(
        f"{label}: api_key holds a key, which would stand in files that others read; write api_key: ${variable}, and say the "
        f"key in the environment: export {variable}=... (one that was in a file is better replaced)"
    )
