"""Draw the new light of a degraded image: elsewhere than it was, and strong enough to learn from."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from shared.light.azimuth import turn
from shared.light.colour import MAX_KELVIN, MIN_KELVIN
from shared.light.degradation.lighting import DAYLIGHT
from shared.light.degradation.options import Degradation, LightSampling, NewLight, sample
from shared.light.degradation.photograph import Photograph, Relit

SKETCH_SIZE = 224  # the long side in pixels at which lights are tried
DRAWS = 8  # of lights, until the subject changes enough
MOST_ALIKE = 24.0  # dB of PSNR inside the subject; what is more alike is drawn again
OTHER_SIDE = 0.6  # share of the lights that are put on another side than the photograph's
LEAST_TURN = 90.0  # degrees between two sides


class DrawnLight(NamedTuple):
    """A photograph in a new light, that light, and how many were drawn."""

    relit: Relit
    light: NewLight
    draws: int

    def turned_degrees(self) -> float | None:
        """How far the light went round in the image's plane, 0..180; None where the photograph's is not known."""
        photograph = self.relit.photograph
        return turn(photograph.azimuth_degrees, self.light.azimuth_degrees) if photograph.has_direction else None

    def as_dict(self) -> dict[str, Any]:
        """What a record holds of it."""
        turned = self.turned_degrees()
        return {
            **self.light.as_dict(),
            "turned_degrees": None if turned is None else round(turned, 1),
            "light_draws": self.draws,
        }


def draw_light(
    photograph: Photograph,
    degradation: Degradation,
    light_sampling: LightSampling,
    strength: float,
    rng: np.random.Generator,
) -> DrawnLight:
    """Relight a photograph by a drawn light; one that changes the subject too little is drawn again.

    At most DRAWS times; then the one that changed most is taken. They are tried on a small copy.
    """
    sketch = photograph.sketch(SKETCH_SIZE)
    likeness, draws = np.inf, 0
    while draws < DRAWS and likeness > MOST_ALIKE:
        light = stronger(sample(degradation, light_sampling, rng), strength)
        light = elsewhere(light, photograph.azimuth_degrees, light_sampling, rng)
        tried = sketch.relit(light)[0].likeness()
        draws += 1
        if draws == 1 or tried < likeness:
            likeness, strongest = tried, light
    return DrawnLight(*photograph.relit(strongest), draws)


def elsewhere(light: NewLight, before: float, sampling: LightSampling, rng: np.random.Generator) -> NewLight:
    """The light, in OTHER_SIDE of the cases on another side than `before` (degrees), where the range has such a side."""
    is_moved, share = rng.random() < OTHER_SIDE, rng.random()
    low, high = sampling.azimuth_range
    if not is_moved or turn(light.azimuth_degrees, before) >= LEAST_TURN:
        return light
    across = before + LEAST_TURN + share * (360 - 2 * LEAST_TURN)
    if high - low < 360:
        inside = [a for a in np.linspace(low, high, 73) if turn(a, before) >= LEAST_TURN]
        if not inside:
            return light
        across = inside[int(share * len(inside))]
    return replace(light, azimuth_degrees=float(across % 360))


def stronger(light: NewLight, strength: float) -> NewLight:
    """The light with its contrast, its colour and its pattern by `strength` further from even white light."""
    mired = 1 / DAYLIGHT + strength * (1 / light.colour_temperature - 1 / DAYLIGHT)
    return replace(
        light,
        ambient=float(np.clip(1 - strength * (1 - light.ambient), 0, 1)),
        colour_temperature=float(np.clip(1 / max(mired, 1e-6), MIN_KELVIN, MAX_KELVIN)),
        pattern_opacity=min(1.0, strength * light.pattern_opacity),
    )
