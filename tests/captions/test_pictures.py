import io
import json

import numpy as np
import pytest
from PIL import Image

from shared.captions.engines.engine import Engine, Message, Question, Sampling
from shared.captions.engines.server import chat_messages
from shared.captions.engines.tiles import takes_several
from shared.captions.engines.transformers import conversation_of
from shared.captions.engines.vllm_requests import messages_of
from shared.captions.pictures import contact_sheet, frames_of, is_video, pictures_of
from shared.errors import ImageError
from tests.web_server import photograph

av = pytest.importorskip("av")


def video(frames: int = 40, container: str = "mp4", codec: str = "mpeg4", size: tuple[int, int] = (64, 48)) -> bytes:
    """Grey frames that grow lighter: frame n has the value 5 n."""
    stream = io.BytesIO()
    with av.open(stream, "w", format=container) as out:
        track = out.add_stream(codec, rate=10)
        track.width, track.height, track.pix_fmt = *size, "yuv420p"
        for number in range(frames):
            pixels = np.full((size[1], size[0], 3), 5 * number, np.uint8)
            out.mux(track.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        out.mux(track.encode(None))
    return stream.getvalue()


def opened(source, max_pixels):
    class Any(Engine):
        setup = room = ask = answers = None

    return Engine.open(Any.__new__(type("One", (Any,), {"__abstractmethods__": frozenset()})), source, max_pixels)


@pytest.fixture
def item(tmp_path):
    (tmp_path / "a.jpg").write_bytes(photograph(1, size=(96, 64)))
    (tmp_path / "b.png").write_bytes(photograph(2, "PNG", (40, 80)))
    (tmp_path / "c.mp4").write_bytes(video())
    (tmp_path / "d.mp4").write_bytes(video()[:300])
    names = {"image": "a.jpg", "other": "b.png", "video": "c.mp4", "torn": "d.mp4"}
    return {"key": "k", **{f"{field}_path": str(tmp_path / name) for field, name in names.items()}}


@pytest.mark.parametrize(
    ("container", "codec"), [("mp4", "mpeg4"), ("matroska", "mpeg4"), ("avi", "mpeg4"), ("webm", "libvpx")]
)
def test_frames_come_from_the_middles_of_equal_parts(container, codec):
    try:
        data = video(container=container, codec=codec)
    except av.error.FFmpegError:
        pytest.skip(f"this build of PyAV does not write {codec}")
    assert is_video(data)
    values = [np.asarray(frame).mean() for frame in frames_of(data, 4, "a.mp4")]
    assert values == pytest.approx([5 * number for number in (5, 15, 25, 35)], abs=8)
    assert [frame.size for frame in frames_of(data, 4, "a.mp4")] == [(64, 48)] * 4


def test_a_stream_that_does_not_say_its_length_is_counted():
    data = video(container="m4v", codec="mpeg4")
    values = [np.asarray(frame).mean() for frame in frames_of(data, 2, "a.m4v")]
    assert values == pytest.approx([50, 150], abs=10)


def test_photographs_are_no_videos():
    assert not any(map(is_video, (photograph(1), photograph(1, "PNG"), photograph(1, "WEBP"), b"", b"no")))


def test_the_pictures_of_an_item_come_in_the_order_of_its_fields(item):
    found = pictures_of(item, ("other_path", "image_path"), 0, 10_000, opened)
    assert [image.size for image in found] == [(40, 80), (96, 64)]
    found = pictures_of(item, ("image_path", "video_path"), 3, 1_000_000, opened)
    assert [image.size for image in found] == [(96, 64), *[(64, 48)] * 3]


@pytest.mark.parametrize(
    ("field", "frames", "sentence"),
    [
        ("video_path", 0, "c.mp4 is a video; frames: 8 in the caption step asks about so many of its frames"),
        ("torn_path", 4, "d.mp4 is a video that cannot be decoded"),
        ("absent_path", 0, "k has no absent_path"),
    ],
)
def test_what_cannot_be_had_fails_with_a_sentence(item, field, frames, sentence):
    with pytest.raises(ImageError) as error:
        pictures_of(item, (field,), frames, 10_000, opened)
    assert sentence in str(error.value)


def test_a_contact_sheet_has_all_of_them_in_their_order_and_stays_small():
    images = [Image.new("RGB", (40, 30), (50 * number, 0, 0)) for number in range(5)]
    sheet = contact_sheet(images, 1_000_000)
    assert sheet.size == (3 * 40 + 16, 2 * 30 + 8)
    assert [sheet.getpixel((20 + 48 * (number % 3), 15 + 38 * (number // 3)))[0] for number in range(5)] == [
        0,
        50,
        100,
        150,
        200,
    ]
    small = contact_sheet(images, 2000)
    assert small.width * small.height <= 2000


def test_every_engine_puts_them_before_the_first_words_of_the_user():
    messages = (
        Message("system", "Be brief."),
        Message("user", "What?"),
        Message("assistant", "This."),
        Message("user", "Why?"),
    )
    question = Question("k", messages, Sampling(), ("one", "two"))
    for made, kind in ((messages_of, "image_pil"), (chat_messages, "image_url"), (conversation_of, "image")):
        told = made(question)
        kinds = [part["type"] for part in told[1]["content"]]
        assert kinds == [kind, kind, "text"], made
        assert "one" not in json.dumps(told[3])
    assert len({part.get("uuid") for part in messages_of(question)[1]["content"]}) == 3


def test_a_model_for_one_image_is_known_by_its_architecture(tmp_path):
    for name, several in (("LlavaForConditionalGeneration", False), ("Qwen3VLForConditionalGeneration", True)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"architectures": [name]}))
        assert takes_several(str(folder)) == several


def test_one_question_holds_what_a_step_is_told_to_ask_about(item):
    from shared.run.config import checked
    from shared.worker import Loaded
    from tests.chat_server import ChatServer
    from workers.caption import Caption

    with ChatServer() as server:
        options = {
            "engine": "server",
            "vllm_url": server.url,
            "model_path": "tiny",
            "images": ["image_path", "video_path"],
        }
        made = checked(Caption, options | {"frames": 3}, "step")
        made.check("step")
        made.fill_in("step")
        made.setup()
        [(_, found)] = made.stream(iter([Loaded(item, made.load(item))]))
        made._engine.close()
    assert found["lighting_keywords"]
    [body] = server.requests
    assert [part["type"] for part in body["messages"][-1]["content"]] == [*["image_url"] * 4, "text"]
