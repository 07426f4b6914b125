"""What doctor finds where it looks for models."""

import json

from shared.doctor.examination import Examination

GIB = 2**30


def looked_at(tmp_path) -> Examination:
    from shared.run.config import load_config
    from shared.run.run import Run

    path = tmp_path / "run.yaml"
    step = {"type": "caption", "config": {"engine": "vllm", "model_path": str(tmp_path)}}
    path.write_text(json.dumps({"meta_path": "samples", "steps": [step]}))
    looked = Examination(Run(load_config(path), tmp_path / "out"))
    looked.forecasts = {1: looked.steps[0].worker.forecast()}
    return looked
