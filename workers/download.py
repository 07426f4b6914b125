"""Fetch the photograph of each row of a table of addresses, into the folder that img2dataset would write."""

import atexit
import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, PositiveFloat, PositiveInt

from shared.start import run
from shared.worker import Loaded, Worker

if TYPE_CHECKING:
    from shared.files.table import Table
    from shared.run.run import Step

WITH_ROOM, WITHOUT_ROOM = 0.02, 0.2  # seconds: with places free, the next rows are looked after more often
RENAMED = {"key": "original_key"}  # what the source calls its key; the key of a file is that of its row
SUFFIX_OF = {
    "JPEG": ".jpg", "PNG": ".png", "WebP": ".webp", "TIFF": ".tif", "BMP": ".bmp", "GIF": ".gif", "AVIF": ".avif",
    "HEIC": ".heic", "JPEG 2000": ".jp2", "JPEG XL": ".jxl",
}  # fmt: skip


NOT_CARRIED = frozenset({"image_path", "image_member", "unreadable"})
OF_A_FILE = ("image_path", "width", "height", "original_width", "original_height", "exif", "sha256")
ROWS_LOOKED_AT = 1000  # for the columns of the tables


@dataclass
class Download(Worker):
    """Download photographs from the web, and keep with each what its row says: images/<shard>/<nine digits>.jpg, .json, .txt."""

    url_key: Annotated[str, Field(description="the column of the addresses")] = "url"
    caption_key: Annotated[str, Field(description="the column of the captions; empty: there are none")] = "caption"
    batch_size: Annotated[PositiveInt, Field(description="rows that wait for one of the transfers")] = 256
    transfers: Annotated[PositiveInt, Field(description="transfers at once, of all workers together")] = 64
    transfers_per_host: Annotated[PositiveInt, Field(description="of these from one host at most")] = 8
    timeout: Annotated[PositiveFloat, Field(description="seconds for a whole transfer, redirects included")] = 30
    max_mebibytes: Annotated[PositiveFloat, Field(description="a larger file is not taken")] = 64
    tries: Annotated[
        PositiveInt, Field(description="requests for a file in one run, where the server is busy or the net is down")
    ] = 3
    max_attempts: Annotated[
        PositiveInt, Field(description="runs that try an address before its failure is final; 404 and 410 are at once")
    ] = 100
    heed_robots: Annotated[bool, Field(description="leave out what says noai or noindex in its X-Robots-Tag")] = True
    allow_private: Annotated[
        bool,
        Field(
            description="go also to addresses that are not of the public internet, as of this machine or this network"
        ),
    ] = False

    aliases: ClassVar[dict[str, str]] = {"threads": "transfers"}
    speed_options: ClassVar[frozenset[str]] = Worker.speed_options | {
        "transfers", "transfers_per_host", "timeout", "tries",
    }  # fmt: skip

    def setup(self) -> None:
        from shared.web.fetcher import Fetcher, TransferLimits

        limits = TransferLimits(
            transfers=max(1, self.transfers // self.world_size),
            per_host=max(1, self.transfers_per_host // self.world_size),
            seconds=self.timeout, max_bytes=int(self.max_mebibytes * 2**20), tries=self.tries,
            allow_private=self.allow_private, heed_robots=self.heed_robots,
        )  # fmt: skip
        self._fetcher = Fetcher(limits, measure, threads=self.cores)
        atexit.register(self._fetcher.close)

    def stream(self, loaded: Iterator[Loaded]) -> Iterator[tuple[dict, dict | Exception]]:
        """Keeps as many rows under way as there are transfers for them, and yields each as it comes."""
        from shared.web.fetcher import LetGo

        ready = getattr(loaded, "ready", lambda: True)
        is_stopping = getattr(loaded, "is_stopping", lambda: False)
        fetcher, is_ended = self._fetcher, False
        while True:
            while fetcher.in_flight < self.batch_size and not is_ended and (not fetcher.in_flight or ready()):
                one = next(loaded, None)
                if one is None:
                    is_ended = True
                elif problem := self._misplaced(one.item, number := loaded.index_of(one.item)):  # type: ignore[attr-defined]
                    yield one.item, problem
                else:
                    fetcher.ask((one.item, number), one.item.get(self.url_key))
            if not fetcher.in_flight:
                return
            if is_stopping():
                fetcher.hurry()
            has_room = fetcher.in_flight < self.batch_size and not is_ended
            for (item, number), found in fetcher.finished(WITH_ROOM if has_room else WITHOUT_ROOM):
                if not isinstance(found, LetGo):  # whose item stays open
                    yield item, found if isinstance(found, Exception) else self._record(item, number, *found)

    def collect(self, rows: "Table", step: "Step") -> None:
        from shared.exports.img2dataset import write_download_tables
        from shared.files.table import Table

        some = islice(Table(step.table_path), ROWS_LOOKED_AT)
        columns = dict.fromkeys(name for row in some for name in self._carried(row))
        last = [name for name in ("caption", "url") if name in columns]
        write_download_tables(
            step.folder, [*(name for name in columns if name not in last), *last], self._all_rows(rows, step)
        )

    def _all_rows(self, rows: "Table", step: "Step") -> Iterator[dict]:
        """Of every item, in the input's order, what the tables hold."""
        from shared.exports.img2dataset import key_of_row
        from shared.files.table import Table

        recorded = iter(rows)
        following = next(recorded, None)
        for number, item in enumerate(Table(step.table_path)):
            if following is not None and following["key"] == item["key"]:
                outcome = {"status": "success", **{name: following.get(name) for name in OF_A_FILE}, "http_status": 200}
                following = next(recorded, None)
            else:
                failure = step.records.read_failure(item["key"]) or {}
                reached = failure.get("error") == "DownloadError"
                outcome = {
                    "status": "failed_to_download" if reached else "failed_to_resize",
                    "error_message": failure.get("message", ""),
                    "http_status": failure.get("http_status", 0),
                }
            yield {"number": number, **self._carried(item), "key": key_of_row(number), **outcome}

    def _carried(self, item: dict) -> dict:
        """The columns of the input as they are carried: the address and the caption under the names that img2dataset uses."""
        names = {self.url_key: "url", **({self.caption_key: "caption"} if self.caption_key else {})}
        left_out = NOT_CARRIED | ({"key"} if "original_key" in item else set())
        return {names.get(name, RENAMED.get(name, name)): value for name, value in item.items() if name not in left_out}

    def _record(self, item: dict, number: int, data: bytes, suffix: str, measured: dict) -> dict:
        from shared.exports.img2dataset import key_of_row, place_of_row, sidecar
        from shared.images import ImageFile

        carried = self._carried(item)
        meta = {**carried, "key": key_of_row(number), "status": "success", "error_message": None, **measured}
        files = {"image_path": ImageFile(place_of_row(number, suffix), data)}
        if self.caption_key and carried.get("caption") is not None:
            text = str(carried["caption"]).encode("utf-8", "replace")
            files["caption_path"] = ImageFile(place_of_row(number, ".txt"), text, is_spare=True)
        files["metadata_path"] = ImageFile(place_of_row(number, ".json"), sidecar(meta), is_spare=True)
        return {**files, **measured}

    def _misplaced(self, item: dict, number: int) -> Exception | None:
        """A row whose place in images/ another row has, because rows of the input have moved."""
        from shared.errors import DownloadError
        from shared.exports.img2dataset import place_of_row

        try:
            there = json.loads((self.folder / place_of_row(number, ".json")).read_bytes())
        except (OSError, ValueError):
            return None
        if there.get("url") == item.get(self.url_key):
            return None
        return DownloadError(
            f"the place of row {number + 1} holds the file of {there.get('url')}: rows of the input have moved; new rows "
            "go to its end, or take a new OUTPUT_DIR"
        )


def measure(data: bytes) -> tuple[bytes, str, dict]:
    """A file that has come, the suffix that fits it, and what is measured of it. Raises NotOpened for what is no photograph."""
    from shared.decoding.decode import decode
    from shared.decoding.formats import format_of

    name = format_of(data)
    width, height = decode(data, longest_side=1).full_size  # a smaller decode tells all the same whether it is whole
    measured = {
        "width": width, "height": height, "original_width": width, "original_height": height, "exif": exif_of(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }  # fmt: skip
    return data, SUFFIX_OF[name], measured


def exif_of(data: bytes) -> str | None:
    """The tags of the camera as JSON, name: text; None where there are none or they are damaged."""
    from PIL import ExifTags, Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            tags = image.getexif()
        named = {ExifTags.TAGS.get(tag, str(tag)): str(value).strip("\0 ")[:200] for tag, value in tags.items()}
        return json.dumps(named) if named else None
    except Exception:
        return None


if __name__ == "__main__":
    run(Download)
