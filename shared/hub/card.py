"""The card of a dataset: what its rows are, what made them, and what one may do with them."""

from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path

from jinja2 import Environment

CARD = """---
license: {{ license }}
pretty_name: {{ title }}
configs:
- config_name: default
  data_files: data/*.parquet
---
# {{ title }}

{{ rows }} rows{% if date %}, of {{ date }}{% endif %}. {{ failures }} items have none: their photograph, or every answer,
was refused.

| Column | From |
|---|---|
{% for column, field in columns.items() -%}
| `{{ column }}` | `{{ field }}` |
{% endfor %}
No image is in it{% if with_images %} but those in the column `image`{% endif %}.
{% if model %}
## How it was made

- Model: {{ model }}{% if engine %}, by {{ engine }}{% endif %}
- Sampling: {{ sampling }}
{% for prompt in prompts %}
~~~text
{{ prompt }}
~~~
{% endfor %}{% endif %}
## Licences

- Source: {{ source_license or "unknown; see where the photographs come from" }}
- Model: {{ model_license or "unknown; see the page of the model" }}
"""


def write_card(values: Mapping[str, object]) -> str:
    """`values`: license, title, rows, date, failures, columns, with_images, model, engine, sampling, prompts and the licences."""
    return Environment(autoescape=False, keep_trailing_newline=True).from_string(CARD).render(**values)


def day_of(paths: list[Path]) -> str:
    """The day on which the newest was written, in UTC; a card of the same parts is the same card."""
    newest = max((path.stat().st_mtime for path in paths), default=None)
    return "" if newest is None else f"{datetime.fromtimestamp(newest, timezone.utc):%Y-%m-%d}"
