import hashlib
import textwrap
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.dataset import Source
from shared.errors import DatasetError
from shared.images import open_image, read_bytes
from tests.workers.describing import png


def source(folder, code: str, **more) -> Source:
    (folder / "my_reader.py").write_text(textwrap.dedent(code))
    (folder / "data").mkdir(exist_ok=True)
    return Source(str(folder / "data"), reader="my_reader.py", config_folder=folder, **more)


def test_rows_name_files(tmp_path):
    made = source(
        tmp_path,
        """
        def read(path):
            for number in range(3):
                yield {"name": f"n{number}", "photo": f"{number}.png", "words": "web"}
        """,
        image_key="photo",
        key_column="name",
    )
    (tmp_path / "data" / "1.png").write_bytes(png(1))
    items = list(made.items())
    assert [item["key"] for item in items] == ["n0", "n1", "n2"] and items[1]["words"] == "web"
    assert open_image(items[1]).size == (96, 64)


HOLDS = """
from tests.workers.describing import png

def read(path):
    for number in range(200):
        yield {"key": f"n{number}", "image": png(number)}
"""
LOADS = """
import io
from PIL import Image
from tests.workers.describing import png

def read(path):
    return ({"key": f"n{number}", "place": number} for number in range(200))

def load(row):
    return Image.open(io.BytesIO(png(row["place"])))
"""


@pytest.mark.parametrize("code", [HOLDS, LOADS])
def test_photographs_that_the_reader_gives_are_read_in_any_order(tmp_path, code):
    items = list(source(tmp_path, code).items())
    assert len(items) == 200 and all(isinstance(item, dict) for item in items)
    order = [*range(100, 160), 5, 199, *range(50)]
    with ThreadPoolExecutor(4) as pool:
        images = list(pool.map(lambda place: open_image(items[place]), order))
    expected = [open_image({"key": "x", "image_path": write(tmp_path, place)}) for place in order]
    assert [digest(image) for image in images] == [digest(image) for image in expected]


def digest(image) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()


def write(folder, place: int) -> str:
    path = folder / f"{place}.png"
    path.write_bytes(png(place))
    return str(path)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("def load(row): pass", r"my_reader.py has no function read\(path\)"),
        ("import nothing_of_that_name", "cannot be run: ModuleNotFoundError"),
        ("def read(path): return [3]", "gave a int for row 1; it should be a dict"),
        (
            "def read(path):\n    yield {'key': 'a', 'image': 'a.png'}\n    1 / 0",
            "failed after row 1: ZeroDivisionError",
        ),
        ("def read(path): return [{'image': b'x'}]", "row 1 has no 'key', and nothing else names its photograph"),
        ("def read(path): return [{'key': 'a', 'picture': 'a.png'}]", 'no column "image" in'),
        ("def read(path): return []", "there is nothing|holds no photographs"),
    ],
)
def test_what_is_wrong_with_a_reader_is_said(tmp_path, code, sentence):
    with pytest.raises(DatasetError, match=sentence):
        list(source(tmp_path, code).items())


def test_a_photograph_that_cannot_be_given_is_its_own_fault(tmp_path):
    code = """
    def read(path): return [{"key": "a"}]
    def load(row): raise KeyError("gone")
    """
    [item] = source(tmp_path, code).items()
    with pytest.raises(DatasetError, match=r"load\(\) failed: KeyError"):
        read_bytes(item)


def test_the_input_is_another_when_the_reader_changes(tmp_path):
    made = source(tmp_path, HOLDS)
    before = made.digest()
    (tmp_path / "my_reader.py").write_text(HOLDS + "\n# more\n")
    assert made.digest() != before
