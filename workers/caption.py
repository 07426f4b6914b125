"""Ask about each photograph: its lighting keywords, from pixels or from a vision-language model."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.captions.engines.registry import find_engine
from shared.captions.options import CaptionOptions
from shared.files.records import ADDED_UP
from shared.start import run
from shared.worker import Loaded

if TYPE_CHECKING:
    from shared.captions.asking import Interview, Plan
    from shared.files.table import Table
    from shared.run.run import Step

CAPTION_COLUMNS = ("image_path", "lighting_score", "output_image_path")  # and then what the step found


@dataclass
class Caption(CaptionOptions):
    """Say in a few words what light each photograph was taken in: the edit instruction of the training data."""

    @property
    def notes_sources(self) -> bool:
        return not self.lean_records

    def begin(self, step: "Step") -> None:
        from shared.captions.keepsakes import write_queries

        if find_engine(self.engine).reads_prompts:
            write_queries(step.folder, step.fingerprint, self.system_prompt, self.prompts)

    def setup(self) -> None:
        from shared.captions.keepsakes import Samples

        self._samples = Samples(self.folder, self.table_path, self.sample_images)
        super().setup()

    def load(self, item: dict) -> Any:
        # The photograph, never the degraded image: the words describe the light that the model has to bring back.
        from shared.captions.pictures import contact_sheet, pictures_of

        pictures = pictures_of(item, self.images, self.frames, self.max_pixels, self._engine.open)
        first = pictures[0]
        if len(pictures) > 1 and not self._engine.takes_several():
            pictures = [contact_sheet(pictures, self.max_pixels)]
        self._samples.keep(item["key"], first)
        hint = self._hint(item, first) if self.hints else ""
        sizes = missing_sizes(item, first.info.get("full_size", first.size)) if self.measure_sizes else {}
        return tuple(map(self._engine.prepare, pictures)), hint, sizes

    def stream(self, loaded: Iterator[Loaded]) -> Iterator[tuple[dict, dict | Exception]]:
        from shared.captions.asking import ask

        for item, found in ask(self._engine, loaded, self._begin, self.text_key):
            yield item, self._record(item, found) if isinstance(found, dict) else found

    def collect(self, rows: "Table", step: "Step") -> Iterable[dict] | None:
        from shared.captions.spending import tell_spending
        from shared.exports.per_split import write_split_tables

        columns = {column: column for column in (*CAPTION_COLUMNS, self.text_key)}
        write_split_tables(step, rows, "{split}images_with_albedo_with_keywords.csv", columns)
        return tell_spending(self, rows, step, "photographs")

    def plan(self) -> "Plan":
        """What is asked of every photograph."""
        from shared.captions.answers import Wanted
        from shared.captions.asking import Plan
        from shared.captions.structured import SCHEMA

        is_checked = find_engine(self.engine).reads_prompts
        return Plan(
            prompts=self.prompts,
            sampling=self.sampling,
            wanted=Wanted(self.min_words, self.max_words, self.answers or "") if is_checked else Wanted(),
            system_prompt=self.system_prompt,
            schema=SCHEMA if self.structured and is_checked else None,
            retries=self.retries,
            captions=self.repeat_time,
            seed=self.seed,
        )

    def _record(self, item: dict, found: dict) -> dict:
        """What the record holds of an item's captions."""
        web = {"web_caption": item.get(self.web_caption_key)} if self.web_caption_key else {}
        kept = {name: value for name, value in found.items() if not (self.lean_records and name in ADDED_UP)}
        return web | kept

    def _begin(self, one: Loaded) -> "Interview":
        from shared.captions.asking import Interview

        images, hint, sizes = one.data
        return Interview(self._plan, one.item, images, hint, sizes)

    def _hint(self, item: dict, image: Any) -> str:
        from shared.captions.prompts import hint

        if not item.get("light"):
            import numpy as np

            from shared.captions.engines.photometric import LONGEST_SIDE
            from shared.light.describe import describe

            small = image.copy()
            small.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
            return hint(describe(np.asarray(small), shot=image.info.get("shot")).as_dict())
        return hint(item["light"])


def missing_sizes(item: dict, full_size: tuple[int, int]) -> dict[str, int]:
    """Those that the input does not say, in pixels: of the photograph as it is stored, which nobody has made smaller."""
    sides = dict(zip(("width", "height"), full_size, strict=True))
    sizes = sides | {f"original_{name}": size for name, size in sides.items()}
    return {name: size for name, size in sizes.items() if not item.get(name)}


if __name__ == "__main__":
    run(Caption)
elif __name__ == "__mp_main__":  # a process of the vLLM engine, which imports this file before anything else
    from shared.machine import end_with_parent

    end_with_parent()
