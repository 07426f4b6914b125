"""What a step has asked a model, and what it cost."""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from shared.captions.asking_options import AskingOptions
from shared.files.records import ADDED_UP

if TYPE_CHECKING:
    from shared.files.table import Table
    from shared.run.run import Step


def tell_spending(options: AskingOptions, rows: "Table", step: "Step", noun: str) -> Iterable[dict] | None:
    """Say how many questions and tokens the items took, which `noun` names; the rows with their costs where there is a price."""
    lost = step.records.spent_on_failures()
    spent = Counter(lost)
    for row in rows:
        spent.update({name: row.get(name, 0) for name in ADDED_UP})
    asked, prompt, completion = (spent[name] for name in ADDED_UP)
    if not asked:
        return None
    is_priced = options.price_prompt or options.price_completion
    failures = f" and {lost['failures']} failures" if lost else ""
    cost = f", {cost_of(options, prompt, completion):.2f} dollars" if is_priced else ""
    step.tell(
        f"{len(rows)} {noun}{failures}, {asked} questions to {options.model_path or options.vllm_url} by {options.engine}, "
        f"{prompt} + {completion} tokens{cost}"
    )
    if not is_priced:
        return None
    return (
        row | {"cost": round(cost_of(options, row.get("prompt_tokens", 0), row.get("completion_tokens", 0)), 6)}
        for row in rows
    )


def cost_of(options: AskingOptions, prompt_tokens: int, completion_tokens: int) -> float:
    """In dollars."""
    return (prompt_tokens * options.price_prompt + completion_tokens * options.price_completion) / 1e6
