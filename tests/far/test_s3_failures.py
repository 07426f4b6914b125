"""What S3 answers when it has no answer: what passes is tried again, and what does not is a sentence."""

import pytest

from shared.errors import DatasetError, ImageError
from shared.images import read_bytes
from tests.far.made import parquet, tar
from tests.readers.reading import items
from tests.web_server import photograph


@pytest.mark.parametrize("statuses", [[503], [500, 503], [503] * 4])
def test_what_passes_is_tried_again(bucket, statuses):
    address = bucket.put("a.jpg", photograph(1))
    bucket.fails("a.jpg", *statuses)
    assert read_bytes(address) == photograph(1)
    bucket.put("rows.tar", tar({"a.jpg": photograph(2)}))
    bucket.fails("rows.tar", *statuses)
    [item] = items(f"{bucket.url}/rows.tar")
    bucket.fails("rows.tar", *statuses)
    assert read_bytes(item) == photograph(2)


def test_a_range_of_parquet_is_tried_again_and_its_error_is_a_sentence(bucket):
    rows = [{"key": f"k{number}", "image": {"bytes": photograph(number)}} for number in range(4)]
    address = bucket.put("rows.parquet", parquet(rows))
    bucket.fails("rows.parquet", 503, 500, methods=("GET",))
    found = items(address)
    bucket.fails("rows.parquet", 503, 500, methods=("GET",))
    assert read_bytes(found[2]) == photograph(2)
    bucket.fails("rows.parquet", *[403] * 9, methods=("GET",))
    with pytest.raises(DatasetError, match=rf"^{address} may not be read, or is not there: AWS_ACCESS_KEY_ID"):
        items(address)


def test_a_server_that_stays_busy_is_said_to(bucket):
    address = bucket.put("a.jpg", photograph(1))
    bucket.fails("a.jpg", *[503] * 99)
    with pytest.raises(ImageError, match=rf"^{address} could not be read in 5 tries: 503 Service Unavailable$"):
        read_bytes(address)
    assert bucket.asked("HEAD", "a.jpg") == 5


def test_what_is_forbidden_fails_at_once_with_the_way_out(bucket):
    address = bucket.put("a.jpg", photograph(1))
    bucket.fails("a.jpg", 403)
    sentence = (
        "may not be read, or is not there: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, say who asks; "
        "FSSPEC_S3_ANON=1 asks a public bucket"
    )
    with pytest.raises(ImageError, match=rf"^{address} {sentence}$") as caught:
        read_bytes(address)
    assert bucket.asked("HEAD", "a.jpg") == 1 and "secret-of-the-test" not in str(caught.value)


def test_who_has_no_credentials_is_told_how_to_say_them(bucket, monkeypatch, tmp_path):
    address = bucket.put("a.jpg", photograph(1))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(ImageError, match="AWS_ACCESS_KEY_ID"):
        read_bytes(address)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "there is nothing at {url}"),
        ("none/", "there is nothing at {url}/none"),
        ("none.csv", "{url}/none.csv does not exist"),
        ("a.bin", "{url}/a.bin is of no kind we read: a folder, a table, Parquet or a tar"),
        ("a.csv.gz", "{url}/a.csv.gz is compressed; unpack it first, for photographs are read from inside it"),
        ("texts", "the folder {url}/texts holds no photographs; looked for"),
    ],
)
def test_an_input_that_is_none_is_said_to_be(bucket, name, sentence):
    if name:
        for other in ("a.bin", "a.csv.gz", "texts/a.txt"):
            bucket.put(other, b"of no kind")
    with pytest.raises(DatasetError, match=sentence.format(url=bucket.url)):
        items(f"{bucket.url}/{name}")


def test_a_bucket_that_is_not_there_is_said_to_be(bucket):
    with pytest.raises(
        DatasetError, match=r"^s3://no-such-bucket/in does not exist$|^there is nothing at s3://no-such-bucket/in$"
    ):
        items("s3://no-such-bucket/in")
