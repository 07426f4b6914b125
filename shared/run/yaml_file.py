"""A YAML file of keys and values, with the line and the way out where it is none."""

import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from shared.errors import ConfigError

ENTRY = re.compile(r"( *)(- +)[\w.-]+:(\s|$)")  # `- type: caption`


def read_yaml(path: Path, known_keys: Sequence[str]) -> dict:
    """Raises ConfigError; `known_keys` are named where there are no keys at all."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        others = ", ".join(sorted(str(other) for other in path.parent.glob("*.yaml"))) or "none"
        raise ConfigError(f"no config {path}; there are: {others}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    try:
        values = yaml.load(text, StrictLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        if advice := misplaced_line(text, mark.line if mark else 0):
            raise ConfigError(f"{path} is not valid YAML: {advice}") from None
        raise ConfigError(f"{path}{line} is not valid YAML: {problem}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path} should hold keys and values; the keys are {', '.join(known_keys)}")
    return values


def misplaced_line(text: str, at_most: int) -> str:
    """Of a list whose entry goes on to the left of its first key: the line, and the indentation that would be right."""
    lines = text.splitlines()
    for number in range(min(at_most, len(lines) - 1) + 1):
        entry = ENTRY.match(lines[number])
        if not entry:
            continue
        dash, wanted = len(entry[1]), len(entry[1]) + len(entry[2])
        following = next((place for place in range(number + 1, len(lines)) if lines[place].strip()), None)
        if following is None:
            continue
        line = lines[following]
        indent = len(line) - len(line.lstrip(" "))
        is_key = re.match(r"\s*[\w.-]+:(\s|$)", line)
        if is_key and dash < indent < wanted:
            shown = line.strip()
            if re.search("(?i)key|token|secret", shown):
                shown = shown.partition(":")[0] + ": ..."
            return (
                f"line {following + 1} ({shown}) begins in column {indent + 1}; what belongs to the entry in line "
                f"{number + 1} ({lines[number].strip()}) is indented by {wanted} spaces: "
                f"{(' ' * wanted + shown)!r}, and so are the lines below it, by {wanted - indent} more than now"
            )
    return ""


class StrictLoader(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error instead of the last one winning."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", key_node.start_mark
                )
            if isinstance(key, str):
                seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node):
        """YAML 1.1 reads `time: 12:00:00` as a number of seconds, to the base of sixty; here it is what was written."""
        return node.value if ":" in node.value else super().construct_yaml_int(node)


StrictLoader.add_constructor("tag:yaml.org,2002:int", StrictLoader.construct_yaml_int)
