"""People from any side and at any distance: MediaPipe's selfie segmentation, where its detectors have seen somebody.

What is firm and was not seen by them is looked at by the network of shared/light/sights.py.

Where the segmentation is undecided, colours decide; the outline then follows the edges of the full photograph.
"""

from typing import NamedTuple

import numpy as np

from shared.errors import RunError
from shared.light.enlarge import shrink
from shared.light.sights import look_around
from shared.masks.detectors import Sighting, find_faces, find_people, interpreter
from shared.masks.edges import HAZE, opacity_along_edges
from shared.masks.instance import Instance
from shared.masks.packaged import PEOPLE_PACKAGE, network_file
from shared.masks.undecided import decided
from shared.masks.unseen import looks_like_people, without_things

SELFIE_SIDE = 256  # pixels; the network sees a square, as it was trained
WHOLE_SIDE, CLOSER_SIDE = 512, 1536  # px of the long side: what the outline is drawn on, and what crops are taken from
PERHAPS, SURELY = 0.3, 0.7  # likelihood of a place that is looked at again, and of one that a person cannot do without
CROPS = 4  # at most so many second looks
MARGIN = 0.5  # of a place's longer side, all around it
FEATHER = 0.12  # of a crop's sides, over which its look goes over into the first one
LEAST_PART = 0.001  # of the photograph: smaller spots, and holes, are the network's mistakes
PEOPLES_SHARES = (0.005, 0.95)  # of the photograph: less or more than that is no subject
FIRM_AND_ALL = 0.8, 0.2  # likelihoods whose areas tell how firm an outline is
LEAST_FIRMNESS = 0.45  # people have more
LEAST_SEEN = 0.2  # of a part of the mask that must lie in somebody's box
FIRM_COMPANY = 0.7  # firmness of a part that no detector has seen, beside one that has been seen
SHOULDERS, HAIR, HEADS = 2.1, 0.7, 7.5  # of a person, in widths and heights of the face, from its middle and its top

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels


class TwoSizes(NamedTuple):
    """A photograph (uint8 RGB) in the two sizes in which it is looked at."""

    whole: np.ndarray
    closer: np.ndarray

    @classmethod
    def of(cls, photograph: np.ndarray) -> "TwoSizes":
        closer = shrink(photograph, CLOSER_SIDE)
        return cls(shrink(closer, WHOLE_SIDE), closer)


def people(photograph: np.ndarray, model: str = "") -> tuple[np.ndarray, float] | None:
    """Opacity (HxW uint8, exactly 0 off the people) of everybody in a uint8 RGB photograph (HxWx3), and how firm it is.

    None where there is nobody: a mask is believed where a detector has seen a person or a face, too, or where it looks like
    people to another network. `model`: a TFLite file, instead of the package's. Raises RunError where there is none.
    """
    views = TwoSizes.of(photograph)
    likely, seen = look_twice(views, model)
    found = everybody_in(likely, seen) if seen else None
    if found is None:
        found = likely_shape(likely)
        if not looks_like_people(found, views.closer):
            return None
    mask = with_a_core(decided(found.values, views.whole), found.values)
    mask = without_things(mask, views.closer)
    if (mask > 0.5).mean() < PEOPLES_SHARES[0]:
        return None
    return edged(Instance(mask, found.score), photograph), found.score


def load_networks(model: str = "") -> None:
    """Load what people() needs, by a picture of nothing. Raises RunError where it is not there, or another network."""
    nothing = np.zeros((SELFIE_SIDE, SELFIE_SIDE, 3), np.uint8)
    seen_in(nothing)
    likelihood(nothing, model)
    look_around(nothing)


def seen_in(photograph: np.ndarray) -> list[Sighting]:
    """Boxes around people, of the detector of people or around the faces that the other one sees, at last in a mirror."""
    seen = [*find_people(photograph), *map(person_around, find_faces(photograph))]
    if seen:
        return seen
    width = photograph.shape[1]
    faces = find_faces(np.ascontiguousarray(photograph[:, ::-1]))
    return [person_around(face._replace(left=width - face.right, right=width - face.left)) for face in faces]


def person_around(face: Sighting) -> Sighting:
    """About where the person is who has this face."""
    middle = (face.left + face.right) / 2
    return Sighting(
        middle - SHOULDERS * face.width,
        face.top - HAIR * face.height,
        middle + SHOULDERS * face.width,
        face.top + HEADS * face.height,
        face.score,
    )


def look_twice(views: TwoSizes, model: str = "") -> tuple[np.ndarray, list[Sighting]]:
    """How likely each pixel of views.whole (hxw float32, 0..1) is a person's, and where detectors see people in it.

    Who is small is looked at again, by the detectors too where these have not seen anybody.
    """
    import cv2

    likely, seen = likelihood(views.whole, model), seen_in(views.whole)
    height, width = likely.shape
    scale = views.closer.shape[0] / height
    boxes = small_people(likely)
    inside: list[Box] = [
        (max(0, int(one.left)), max(0, int(one.top)), min(width, int(one.right)), min(height, int(one.bottom)))
        for one in seen
    ]
    unseen = [box for box in boxes if not any(overlap(box, other) for other in inside)]
    boxes += [box for box in inside if is_small(box, likely.shape) and not any(overlap(box, other) for other in boxes)]
    for box in boxes[:CROPS]:
        # The first look may have seen no more than a part of somebody whom a detector has seen whole.
        whole = around([box, *(other for other in inside if overlap(box, other))])
        left, top, right, bottom = whole if is_small(whole, likely.shape) else box
        rows, columns = (slice(int(a * scale), int(b * scale)) for a, b in ((top, bottom), (left, right)))
        crop = views.closer[rows, columns]
        if box in unseen:
            seen += [one.in_whole(left, top, scale) for one in seen_in(crop)]
        closer = likelihood(crop, model)
        closer = cv2.resize(closer, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
        weight = feather(closer.shape, (left > 0, top > 0, right < width, bottom < height))
        first = likely[top:bottom, left:right]
        likely[top:bottom, left:right] = weight * closer + (1 - weight) * first
    return likely, seen


def likelihood(photograph: np.ndarray, model: str = "") -> np.ndarray:
    """Of each pixel of a uint8 RGB photograph (HxWx3), float32 0..1; its shape is squashed, as in training."""
    import cv2

    path = network_file(PEOPLE_PACKAGE, model)
    network = interpreter(path)
    sight, answer = network.get_input_details()[0], network.get_output_details()[0]
    if tuple(sight["shape"]) != (1, SELFIE_SIDE, SELFIE_SIDE, 3) or tuple(answer["shape"])[:3] != (
        1,
        SELFIE_SIDE,
        SELFIE_SIDE,
    ):
        raise RunError(
            f"mask_model {path} answers with {' x '.join(map(str, answer['shape']))} values, not one for each pixel"
        )
    pixels = cv2.resize(photograph, (SELFIE_SIDE, SELFIE_SIDE), interpolation=cv2.INTER_AREA)
    network.set_tensor(sight["index"], pixels[np.newaxis].astype(np.float32) / 255)
    network.invoke()
    height, width = photograph.shape[:2]
    found = network.get_tensor(answer["index"])[0, ..., 0]
    return cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR)


def small_people(likely: np.ndarray) -> list[Box]:
    """Boxes (left, top, right, bottom) around what may be people that are small in a photograph, the largest first."""
    import cv2

    _, _, parts, _ = cv2.connectedComponentsWithStats((likely > PERHAPS).astype(np.uint8))
    boxes = [
        (int(x), int(y), int(x + w), int(y + h)) for x, y, w, h, area in parts[1:] if area >= LEAST_PART * likely.size
    ]
    for _ in range(len(boxes)):  # what lies near to one another is looked at together
        for box in boxes:
            near = [other for other in boxes if other != box and overlap(grown(box, likely.shape), other)]
            if near:
                boxes = [other for other in boxes if other != box and other not in near]
                boxes.append(around([box, *near]))
                break
    found = [grown(box, likely.shape) for box in boxes]
    return sorted((box for box in found if is_small(box, likely.shape)), key=area_of, reverse=True)


def around(boxes: list[Box]) -> Box:
    """The smallest box that holds them all."""
    left, top, right, bottom = zip(*boxes, strict=True)
    return min(left), min(top), max(right), max(bottom)


def is_small(box: Box, shape: tuple[int, ...]) -> bool:
    """Whether a closer look at this box would show more."""
    return area_of(box) < shape[0] * shape[1] / 2 and min(box[2] - box[0], box[3] - box[1]) >= 16


def grown(box: Box, shape: tuple[int, ...]) -> Box:
    left, top, right, bottom = box
    margin = int(MARGIN * max(right - left, bottom - top))
    return max(0, left - margin), max(0, top - margin), min(shape[1], right + margin), min(shape[0], bottom + margin)


def overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def area_of(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def feather(shape: tuple[int, ...], inner: tuple[bool, bool, bool, bool]) -> np.ndarray:
    """1 inside a crop, and down to 0 at those of its sides (left, top, right, bottom) that are not the photograph's own."""
    down, across = (np.linspace(0, 1, length, dtype=np.float32) for length in shape)
    rising = np.minimum.reduce(
        [
            np.broadcast_to(ramp, shape)
            for ramp, is_inner in zip((across, down[:, None], 1 - across, 1 - down[:, None]), inner, strict=True)
            if is_inner
        ]
        or [np.ones(shape, np.float32)]
    )
    return np.clip(rising / FEATHER, 0, 1)


def everybody_in(likely: np.ndarray, seen: list[Sighting]) -> Instance | None:
    """What a map of likelihood (hxw float32, 0..1) says for sure of the people in these boxes; None where it is vague or absurd.

    The score is the firmness of the outline: the share that the surer outline has of the less sure one's area (Kirillov et
    al., 2023).
    """
    import cv2

    tidy = with_a_core(likely, likely)
    count, labels, holes, _ = cv2.connectedComponentsWithStats((tidy <= 0.5).astype(np.uint8))
    small = holes[:, cv2.CC_STAT_AREA] < LEAST_PART * likely.size
    small[0] = False  # the people
    tidy[small[labels]] = 1
    count, labels = cv2.connectedComponents((tidy > HAZE).astype(np.uint8))
    areas = np.bincount(labels.ravel(), minlength=count)
    is_seen = np.bincount(labels[inside_of(seen, likely.shape)], minlength=count) >= LEAST_SEEN * areas
    if is_seen[1:].any():  # where there is one there are others, some of whom are seen from behind
        firm, all_of_it = (np.bincount(labels[tidy > bound], minlength=count) for bound in FIRM_AND_ALL)
        is_seen |= firm >= FIRM_COMPANY * np.maximum(all_of_it, 1)
    tidy[~is_seen[labels]] = 0
    if not PEOPLES_SHARES[0] <= (tidy > 0.5).mean() <= PEOPLES_SHARES[1]:
        return None
    firmness = firmness_of(tidy)
    return Instance(tidy, firmness) if firmness >= LEAST_FIRMNESS else None


def likely_shape(likely: np.ndarray) -> Instance:
    """All that may be people by a map of likelihood (hxw float32, 0..1) alone, and how firm its outline is."""
    values = with_a_core(likely, likely)
    return Instance(values, firmness_of(values))


def firmness_of(values: np.ndarray) -> float:
    firm, all_of_it = (int((values > bound).sum()) for bound in FIRM_AND_ALL)
    return firm / max(1, all_of_it)


def with_a_core(values: np.ndarray, likely: np.ndarray) -> np.ndarray:
    """The parts of a mask (hxw float32, 0..1) in which somebody surely is by a likelihood of the same shape."""
    import cv2

    count, labels = cv2.connectedComponents((values > HAZE).astype(np.uint8))
    has_core = np.bincount(labels[likely > SURELY], minlength=count) >= LEAST_PART * likely.size
    has_core[0] = False  # what is not even haze
    return np.where(has_core[labels], values, 0).astype(np.float32)


def inside_of(seen: list[Sighting], shape: tuple[int, ...]) -> np.ndarray:
    """Where these boxes are (hxw bool)."""
    inside = np.zeros(shape, bool)
    for one in seen:
        inside[max(0, int(one.top)) : max(0, int(one.bottom)), max(0, int(one.left)) : max(0, int(one.right))] = True
    return inside


def edged(instance: Instance, photograph: np.ndarray) -> np.ndarray:
    """Opacity (HxW uint8, exactly 0 off the people) of a photograph (HxWx3 uint8), along its edges: hair, fingers."""
    import cv2

    small = cv2.resize(photograph, instance.values.shape[::-1], interpolation=cv2.INTER_AREA)
    soft = cv2.ximgproc.guidedFilter(small, instance.values, 6, 30.0)
    return opacity_along_edges(soft, (instance.values > HAZE).astype(np.float32), small, photograph)
