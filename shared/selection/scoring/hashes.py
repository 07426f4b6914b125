"""The hashes by which a photograph is known again, re-encoded, resized, re-exposed or mirrored."""

import numpy as np
from PIL import Image, ImageOps

_SIDE = 48  # pixels of the small copy whose cosines make the fine hash
# pHash looks at the 8 x 8 slowest cosines, in which portraits on a plain ground are much alike. These 64 come next.
_RING = sorted(
    ((down, across) for down in range(12) for across in range(12) if max(down, across) >= 8),
    key=lambda place: (place[0] ** 2 + place[1] ** 2, place),
)[:64]
_DOWN, _ACROSS = (np.array(axis) for axis in zip(*_RING, strict=True))
# Mirroring turns the sign of the cosines that are odd across.
MIRROR_FLIPS = np.uint64(int("".join("1" if across % 2 else "0" for across in _ACROSS.tolist()), 2))


def hashes_of(image: Image.Image) -> dict[str, str]:
    """64 bits each, in hex: pHash (Zauner, 2010) of a photograph and of its mirror image, and `fine_hash`."""
    import imagehash

    return {
        "phash": str(imagehash.phash(image)),
        "phash_mirrored": str(imagehash.phash(ImageOps.mirror(image))),
        "phash_fine": f"{fine_hash(image):016x}",
    }


def fine_hash(image: Image.Image) -> int:
    """The signs of the 64 cosines next finer than those of pHash; that of the mirror image is this ^ MIRROR_FLIPS."""
    from scipy.fft import dctn

    small = np.asarray(image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS), dtype=np.float64)
    signs = dctn(small)[_DOWN, _ACROSS] > 0
    return int("".join("1" if sign else "0" for sign in signs.tolist()), 2)
