"""How many files a run will make, by what its steps keep."""

from dataclasses import dataclass

import pytest

from shared.doctor.examination import Examination
from shared.forecast import Forecast
from shared.worker import ImageMaker
from tests.run.test_advance import Bench, Upper


@dataclass
class Draws(ImageMaker):
    """Makes two images of each item."""

    def forecast(self):
        return Forecast(images=2)


@pytest.mark.parametrize(
    ("options", "files"),
    [({}, 5 + 5 * 3), ({"records": "packed"}, 5 + 5 * 2), ({"images": "tar"}, 5), ({"records": "json"}, 20)],
)
def test_they_are_records_and_images_where_these_are_files(tmp_path, options, files):
    bench = Bench(tmp_path)
    bench.items(*"abcde")
    examination = Examination(bench.run(Upper(), Draws(**options)))
    assert [finding for finding in examination.obstacles(print) if finding.mark == "FAIL"] == []
    assert examination.expected_files() == files
