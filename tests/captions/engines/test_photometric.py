import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from shared.captions.engines.engine import Question, Sampling
from shared.captions.engines.photometric import Photometric
from shared.selection.scoring.photometric import PhotometricRater
from shared.worker import Loaded
from tests.decoding.test_shot import exif


@pytest.fixture
def item(tmp_path):
    """A photograph of nothing much, at which a flash was fired."""
    path = tmp_path / "party.jpg"
    picture = np.random.default_rng(0).integers(60, 120, (60, 90, 3), np.uint8)
    Image.fromarray(picture).save(
        path, exif=exif(seconds=IFDRational(1, 60), aperture=IFDRational(4), sensitivity=200, flash=1)
    )
    return {"key": "party", "image_path": str(path)}


def test_the_keywords_say_by_what_light_the_camera_took_it(item):
    engine = Photometric(seed=0)
    engine.setup()
    image = engine.prepare(engine.open(item, 10**6))
    engine.ask(Question("party", (), Sampling(), (image,), item=item))
    [(_, answer)] = engine.answers(0)
    assert "flash" in answer.text and answer.found["light"]["source"] == "flash"


def test_so_does_the_score(item):
    scorer = PhotometricRater()
    [found] = scorer.rate([Loaded(item, scorer.load(item))])
    assert found["light"]["source"] == "flash"
