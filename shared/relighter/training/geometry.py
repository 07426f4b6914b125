"""How the images of a triplet are cut out for training."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Geometry:
    """What happens to both images of a triplet alike."""

    resolution: int  # pixels; a square is cut out of the image after its shorter side was made this long
    center_crop: bool = False  # else the square lies where chance puts it
    random_flip: bool = False  # half of them are mirrored, and left and right exchanged in the words
