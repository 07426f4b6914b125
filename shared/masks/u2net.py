"""U²-Net (Qin et al., 2020) on the CPU, by OpenCV: the subject that stands out of a photograph, whatever it is."""

import numpy as np

from shared.errors import RunError
from shared.masks.instance import Instance
from shared.masks.packaged import U2NET_PACKAGE, network_file

U2NET_SIDE = 320  # pixels; the network sees a square, as it was trained
MEAN = np.array([0.485, 0.456, 0.406], np.float32)  # of ImageNet, as is the next
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
SPECK = 64  # pixels of the network's square; smaller spots and holes are its mistakes
SHARES = (0.01, 0.95)  # of the photograph: less or more than that is no subject
LEAST_STABILITY = 0.5
STEEPNESS = 1.25  # opaque from a saliency of 0.9 on and exactly 0 up to 0.1, where there is a haze


class U2Net:
    """A loaded U²-Net, of the package or of the ONNX file `model`. Raises RunError where there is none."""

    def __init__(self, model: str = ""):
        import cv2

        path = network_file(U2NET_PACKAGE, model)
        try:
            self.net = cv2.dnn.readNetFromONNX(str(path))
            self.fused, *_ = self.net.getUnconnectedOutLayersNames()  # the others are what it was made of
            shape = self.saliency(np.zeros((U2NET_SIDE, U2NET_SIDE, 3), np.uint8)).shape
        except cv2.error as error:
            raise RunError(f"mask_model {path} cannot be read as a U²-Net in ONNX ({error.err})") from error
        if shape != (U2NET_SIDE, U2NET_SIDE):
            sides = " x ".join(map(str, shape))
            raise RunError(
                f"mask_model {path} answers with {sides} values; a U²-Net would with {U2NET_SIDE} x {U2NET_SIDE}"
            )

    def prepare(self, key: str, photograph: np.ndarray, full_size: tuple[int, int] | None = None) -> np.ndarray:
        """The photograph (HxWx3 uint8) at the network's size, its shape squashed; for the threads that load."""
        import cv2

        return cv2.resize(photograph, (U2NET_SIDE, U2NET_SIDE), interpolation=cv2.INTER_AREA)

    def find(self, prepared: list[np.ndarray]) -> list[list[Instance]]:
        """The subject in each photograph, as the only instance; an empty list where there is none."""
        return [subject_in(self.saliency(pixels)) for pixels in prepared]

    def saliency(self, pixels: np.ndarray) -> np.ndarray:
        """How much each pixel (of SIDE x SIDE x 3 uint8) stands out, float32 0..1."""
        bright = pixels.astype(np.float32) / max(1, int(pixels.max()))  # as its authors do, so that dark pictures count
        self.net.setInput(np.ascontiguousarray(((bright - MEAN) / DEVIATION).transpose(2, 0, 1)[np.newaxis]))
        return np.array(self.net.forward(self.fused)).squeeze()


def subject_in(saliency: np.ndarray) -> list[Instance]:
    """The subject of a map of saliency (hxw float32, 0..1), or nothing where the map is vague or the subject absurd.

    Its score is the stability of its outline: the share that the surer outline has of the less sure one's area
    (Kirillov et al., 2023). Vague maps have less than 0.3, the others more than 0.55.
    """
    from skimage.morphology import area_closing, area_opening, reconstruction

    tidy = area_closing(area_opening(saliency, SPECK), SPECK)
    tidy = reconstruction(np.where(tidy > 0.5, tidy, 0), tidy)  # what is nowhere likelier than not goes
    if not SHARES[0] <= (tidy > 0.5).mean() <= SHARES[1]:
        return []
    stability = float((tidy > 0.7).sum() / (tidy > 0.3).sum())
    if stability < LEAST_STABILITY:
        return []
    return [Instance(((tidy - 0.5) * STEEPNESS + 0.5).astype(np.float32), stability)]
