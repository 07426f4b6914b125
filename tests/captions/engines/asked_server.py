"""A captioner that asks a server on this machine."""

from shared.run.config import checked
from shared.worker import Loaded
from workers.caption import Caption

KEY = "sk-secret-of-the-test"


def caption(server, items, **options):
    worker = checked(Caption, {"engine": "server", "vllm_url": server.url, **options}, "step 3 (keywords)")
    worker.check("step 3 (keywords)")
    worker.fill_in("step 3 (keywords)")
    worker.seed = 7
    worker.setup()
    try:
        return {item["key"]: found for item, found in worker.stream(Loaded(item, worker.load(item)) for item in items)}
    finally:
        worker._engine.close()
