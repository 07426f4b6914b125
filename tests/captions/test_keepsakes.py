import threading

from PIL import Image

from shared.captions.keepsakes import Samples, write_queries
from shared.files.table import Table


def test_every_prompt_that_was_asked_can_be_found(tmp_path):
    write_queries(tmp_path, "aa", "Be brief.", ["What room?", "What light?"])
    write_queries(tmp_path, "bb", "", ["What?"])
    texts = {path.name: path.read_text() for path in (tmp_path / "queries").iterdir()}
    conversation = "Be brief.\n\nWhat room?\n\nWhat light?\n"
    assert texts == {"aa.txt": conversation, "bb.txt": "What?\n", "query.txt": "What?\n"}


def test_the_first_of_the_input_are_kept_whoever_comes_first(tmp_path):
    Table.write(tmp_path / "items.jsonl", ({"key": f"a/{number}"} for number in range(20)), tmp_path)
    samples = Samples(tmp_path, tmp_path / "items.jsonl", 5)
    image = Image.new("RGBA", (40, 30))
    threads = [threading.Thread(target=samples.keep, args=(f"a/{number}", image)) for number in reversed(range(20))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = sorted(path.relative_to(tmp_path / "images").as_posix() for path in (tmp_path / "images").rglob("*.jpg"))
    assert kept == [f"a/{number}.jpg" for number in range(5)]


def test_without_samples_nothing_is_read_and_no_folder_made(tmp_path):
    Samples(tmp_path, tmp_path / "nowhere.jsonl", 0).keep("a", Image.new("RGB", (4, 4)))
    assert not list(tmp_path.iterdir())
