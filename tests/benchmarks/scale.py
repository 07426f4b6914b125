"""Many items against servers that answer at once: python -m tests.benchmarks.scale captions | downloads [items]

Whether the last thousand come as fast as the first, and what the worker's memory does meanwhile. The server has a process of
its own on the same cores.
"""

import argparse
import asyncio
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image

from shared.files.lookup import ROOT
from tests.benchmarks.machine import heading, table
from tests.chat_server import completion

SPAN = 1000  # items whose time is taken
WARM = 1000  # items before the first span
PACKAGES = ("httpx", "aiohttp", "pyarrow", "pillow", "orjson")


async def serve(body: bytes) -> None:
    """Answer every request with `body`, and say the port on standard output."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        models = json.dumps({"object": "list", "data": [{"id": "tiny", "object": "model"}]}).encode()
        try:
            while line := await reader.readline():
                length = 0
                while (header := await reader.readline()) != b"\r\n":
                    if header.lower().startswith(b"content-length:"):
                        length = int(header.split(b":")[1])
                await reader.readexactly(length)
                if b"/models " in line:
                    writer.write(head.replace(b"%d" % len(body), b"%d" % len(models)) + models)
                else:
                    writer.write(head + body)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


def photograph() -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    Image.fromarray(pixels).save(stream, "JPEG")
    return stream.getvalue()


def prepare_captions(folder: Path, items: int, url: str) -> Path:
    """A Parquet file of small photographs, and a config that asks the server about each."""
    import pyarrow as pa
    from pyarrow import parquet

    image = photograph()
    schema = pa.schema([("key", pa.string()), ("image", pa.binary())])
    with parquet.ParquetWriter(folder / "items.parquet", schema) as writer:
        for start in range(0, items, 10_000):
            keys = [f"part{start // 10_000:03d}/{number:07d}" for number in range(start, min(items, start + 10_000))]
            writer.write_table(pa.table({"key": keys, "image": [image] * len(keys)}, schema))
    config = folder / "run.yaml"
    config.write_text(
        f"meta_path: {folder / 'items.parquet'}\nsteps:\n  - type: caption\n    config: {{engine: server, vllm_url: {url}/v1, "
        "model_path: tiny, num_workers: 8, answers: any, max_words: null, text_key: vlm_caption}\n"
    )
    return config


def prepare_downloads(folder: Path, items: int, url: str) -> Path:
    with open(folder / "items.csv", "w") as file:
        file.write("key,url,caption,md5,tags,merged_tags\n")
        file.writelines(f"k{number},{url}/{number}.jpg,words {number},m,t,t\n" for number in range(items))
    config = folder / "run.yaml"
    config.write_text(
        f"meta_path: {folder / 'items.csv'}\nimage_key: null\nsteps:\n  - type: download\n    config: {{allow_private: true, "
        "transfers_per_host: 64}\n"
    )
    return config


class Memory(threading.Thread):
    """The resident memory of the workers of a run, in MB: the most of one of them, sampled with the time."""

    def __init__(self, output: Path):
        super().__init__(daemon=True)
        self.output, self.samples = output, list[tuple[float, float]]()
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.5):
            sizes = []
            for path in self.output.glob("step_1*/progress*.json"):
                try:
                    pid = json.loads(path.read_bytes())["pid"]
                    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                    sizes.append(pages * os.sysconf("SC_PAGE_SIZE") / 1e6)
                except (OSError, ValueError, KeyError):
                    continue
            if sizes:
                self.samples.append((time.time(), max(sizes)))


def measure(what: str, items: int, workers: int, place: str | None) -> None:
    body = json.dumps(completion()).encode() if what == "captions" else photograph()
    prepare = prepare_captions if what == "captions" else prepare_downloads
    with tempfile.TemporaryDirectory(dir=place) as name:
        folder = Path(name)
        (folder / "body").write_bytes(body)
        command = [sys.executable, "-m", "tests.benchmarks.scale", "serve", str(folder / "body")]
        with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE) as server:
            assert server.stdout
            config = prepare(folder, items, f"http://127.0.0.1:{int(server.stdout.readline())}")
            output = folder / "out"
            memory = Memory(output)
            memory.start()
            environment = os.environ | {
                "CONFIG": str(config), "OUTPUT_DIR": str(output), "LOG_DIR": str(folder / "logs"),
                "PYTHON": sys.executable, "GPU_COUNT": str(workers),
            }  # fmt: skip
            started = time.monotonic()
            done = subprocess.run([ROOT / "launcher.sh"], env=environment, capture_output=True, text=True)
            seconds = time.monotonic() - started
            memory.ended.set()
            server.kill()
        assert done.returncode == 0, done.stdout + done.stderr
        times = np.sort([path.stat().st_mtime for path in (output).glob("step_1*/records/**/*.json")])
    assert len(times) == items
    tell(what, items, workers, seconds, times, memory.samples)


def tell(
    what: str, items: int, workers: int, seconds: float, times: np.ndarray, samples: list[tuple[float, float]]
) -> None:
    first = SPAN / (times[WARM + SPAN] - times[WARM])
    last = SPAN / (times[-1] - times[-1 - SPAN])
    tenths = [(items // 10) / (part[-1] - part[0]) for part in np.array_split(times, 10)]
    early = max(size for at, size in samples if at <= times[items // 20])
    most = max(size for _, size in samples)
    print(heading(f"{items:,} {what}, {workers} workers", PACKAGES))
    rows = [
        ["whole run, with reading and tables", f"{items / seconds:.0f} items/s"],
        ["from the first record to the last", f"{items / (times[-1] - times[0]):.0f} items/s"],
        [f"items {WARM:,} to {WARM + SPAN:,}", f"{first:.0f} items/s"],
        [f"the last {SPAN:,}", f"{last:.0f} items/s, {last / first:.2f} of these"],
        ["tenth by tenth", f"{', '.join(f'{rate:.0f}' for rate in tenths)} items/s"],
        ["memory of a worker, up to a twentieth", f"{early:.0f} MB"],
        ["memory of a worker, at most", f"{most:.0f} MB"],
    ]
    print(table(["", "measured"], rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("captions", "downloads", "serve"))
    parser.add_argument("items", nargs="?", default="20000")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--place", help="folder for the run's files")
    arguments = parser.parse_args()
    if arguments.what == "serve":
        asyncio.run(serve(Path(arguments.items).read_bytes()))
    else:
        measure(arguments.what, int(arguments.items), arguments.workers, arguments.place)


if __name__ == "__main__":
    main()
