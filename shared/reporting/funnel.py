"""How many items each step took, lost and why, down to the triplets."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from shared.files.small_files import read_json
from shared.files.states import count_states, item_states
from shared.files.table import Table
from shared.run.run import Run, Step
from shared.splits import SPLITS


@dataclass
class Loss:
    """`kind` is failed, dropped or left; `reason` says why in words."""

    kind: str
    count: int
    reason: str
    percent: float = 0.0  # of the items that the run read


@dataclass
class FunnelStage:
    """A step as the funnel shows it: taken = kept + losses."""

    step: Step
    is_begun: bool = False
    taken: int = 0
    kept: int = 0
    foreign: int = 0
    kept_percent: float = 0.0  # of the items that the run read
    losses: list[Loss] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        return self.is_begun and self.lost("left") == 0

    @property
    def has_unselected(self) -> bool:
        """True where items were looked at one by one, and not all of them passed on."""
        has_looked = self.step.worker.has_records or (self.step.folder / "passed_over.csv").exists()
        return has_looked and bool(self.lost("dropped")) and self.step.result_path.exists()

    def lost(self, kind: str) -> int:
        return sum(loss.count for loss in self.losses if loss.kind == kind)


def stages_of(run: Run, items: int) -> list[FunnelStage]:
    """One stage a step, complete or not; `items` is how many the run read."""
    stages = [stage_of(step) for step in run.steps]
    for stage in stages:
        stage.kept_percent = 100 * stage.kept / max(items, 1)
        for loss in stage.losses:
            loss.percent = 100 * loss.count / max(items, 1)
    return stages


def stage_of(step: Step) -> FunnelStage:
    if not step.folder.is_dir() or not step.table_path.exists():
        return FunnelStage(step)
    taken = len(Table(step.table_path))
    proof: dict | None = step.read_proof()
    if (
        not step.result_path.exists() or not proof or proof.get("items") != taken
    ):  # not collected yet, or items came since
        proof = None
    if not step.worker.has_records:
        return collected_stage(step, taken, proof)
    recorded, failed, left = counts(step, proof)
    rows = proof["rows"] if proof else recorded
    losses = [
        Loss("failed", failed, "failed"),
        Loss("dropped", recorded - rows, why_not_selected(step)),
        Loss("left", left, "not done yet"),
    ]
    foreign = proof["foreign"] if proof else 0
    return FunnelStage(step, True, taken, rows, foreign, losses=[loss for loss in losses if loss.count > 0])


def collected_stage(step: Step, taken: int, proof: dict | None) -> FunnelStage:
    """A step without work per item, such as merge: it is made as a whole or not at all."""
    if proof is None:
        return FunnelStage(step, True, taken, losses=[Loss("left", taken, "not made yet")])
    dropped = max(0, taken - proof["rows"])
    losses = [Loss("dropped", dropped, why_dropped(step))] if dropped else []
    return FunnelStage(step, True, taken, proof["rows"], losses=losses)


def why_dropped(step: Step) -> str:
    """`left out (3 without lighting_keywords)`, as merging counted it."""
    reasons: Counter[str] = Counter()
    for split in ("", *SPLITS):
        reasons.update(read_json(step.folder / split / "stats.json").get("dropped", {}))
    words = ", ".join(f"{count:,} {reason}" for reason, count in sorted(reasons.items()))
    return f"left out ({words})" if words else "left out"


def why_not_selected(step: Step) -> str:
    """`not selected (3 near-duplicates)`, as the filter counted those that it passes over whatever their score."""
    reasons = read_json(step.folder / "selection.json").get("passed_over", {})
    words = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
    return f"not selected ({words})" if words else "not selected"


def counts(step: Step, proof: dict | None) -> tuple[int, int, int]:
    """Items that are recorded, failed and left: as collecting proved, or as the files say now."""
    if proof:
        return proof["recorded"], proof["failed"], proof["missing"]
    left, recorded, failed = count_states(item_states(Table(step.table_path), step.records))
    return recorded, failed, left


def triplet_counts(run: Run) -> dict[str, int]:
    """Triplets of each split, from the tables that the trainer reads; empty where no step has made any."""
    for step in reversed(run.steps):
        tables = {split or "all": step.folder / split / "metadata.jsonl" for split in (*SPLITS, "")}
        lines = {split: lines_in(path) for split, path in tables.items() if path.is_file()}
        if lines:
            return lines
    return {}


def lines_in(path: Path) -> int:
    with open(path, "rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
