import json

import pytest

from shared.captions.engines.tiles import tiles_of
from shared.errors import RunError
from tests import tiny_captioners
from tests.workers.describing import png


@pytest.mark.parametrize(
    ("architecture", "arguments"),
    [
        ("InternVLChatModel", {"max_dynamic_patch": 9}),
        ("InternVLForConditionalGeneration", {"max_patches": 9, "crop_to_patches": True}),
    ],
)
def test_each_architecture_has_its_own_words(tmp_path, architecture, arguments):
    (tmp_path / "config.json").write_text(json.dumps({"architectures": [architecture]}))
    assert tiles_of(str(tmp_path), 9) == arguments


def test_a_model_without_tiles_is_told(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["LlavaForConditionalGeneration"]}))
    with pytest.raises(RunError, match="has no tiles: its architecture is LlavaForConditionalGeneration"):
        tiles_of(str(tmp_path), 9)


def test_transformers_cuts_as_many_as_it_is_told(tmp_path):
    import io

    from PIL import Image

    from shared.captions.engines.engine import Message, Question, Sampling
    from shared.captions.engines.transformers import Transformers

    model = tiny_captioners.internvl_hf(tmp_path / "hf", "a barn")
    image = Image.open(io.BytesIO(png(0)))
    tokens = {}
    for tiles in (1, 6):
        engine = Transformers(str(model), dtype="float32", max_num=tiles)
        engine.setup()
        engine.ask(Question("a", (Message("user", "What?"),), Sampling(0.0, max_tokens=8), (image,)))
        [(_, answer)] = engine.answers(1.0)
        assert answer.text == "a barn"
        tokens[tiles] = answer.prompt_tokens
    assert tokens[6] - tokens[1] == 6 * 4  # 3 x 2 tiles and a thumbnail instead of the whole
