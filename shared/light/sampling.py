"""The new light of a degraded image: what a config may ask for, and how one light is drawn from it."""

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import AfterValidator, ConfigDict, Field

from shared.light.patterns import WEIGHTS


def _ordered(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError(f"the range {list(limits)} runs backwards; write the smaller number first")
    return limits


def _known_patterns(weights: dict[str, float]) -> dict[str, float]:
    unknown = sorted(set(weights) - set(WEIGHTS))
    if unknown:
        raise ValueError(f'no pattern "{unknown[0]}"; the patterns are {", ".join(WEIGHTS)}')
    if not sum(weights.values()) > 0:
        raise ValueError("at least one pattern needs a weight above 0")
    return weights


Weight = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
ShareRange = Annotated[tuple[Share, Share], AfterValidator(_ordered)]
PatternWeights = Annotated[dict[str, Weight], AfterValidator(_known_patterns)]
Elevation = Annotated[float, Field(ge=0, le=90)]
Kelvin = Annotated[float, Field(ge=1800, le=15000)]
Stops = Annotated[float, Field(ge=-6, le=6)]
Shininess = Annotated[float, Field(ge=1, le=500)]


@dataclass
class Degradation:
    """Weights of the four kinds of new light, and what each of them is made of."""

    soft_shading: Weight = 0.8  # a broad light that wraps around
    hard_shadow: Weight = 0.0  # a small light: a sharp terminator and cast shadows
    specular: Weight = 0.0  # soft shading with highlights
    advanced_shading: Weight = 0.0  # a key light, a fill of another colour from across, and occlusion
    softness_range: ShareRange = (0.1, 0.7)  # how far a soft light wraps around
    specular_intensity_range: ShareRange = (0.1, 0.35)
    shininess_range: Annotated[tuple[Shininess, Shininess], AfterValidator(_ordered)] = (10.0, 60.0)
    pattern_probability: Share = 0.5  # share of the images on which a pattern is cast
    pattern_weights: PatternWeights = field(default_factory=lambda: dict(WEIGHTS))
    pattern_opacity_range: ShareRange = (0.35, 0.6)
    pattern_blur_range: ShareRange = (0.0034, 0.008)  # penumbra, share of the long side: 21 to 51 px at 1024

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    def __post_init__(self) -> None:
        if not self.soft_shading + self.hard_shadow + self.specular + self.advanced_shading > 0:
            raise ValueError("soft_shading, hard_shadow, specular and advanced_shading are all 0; one needs a weight")


@dataclass
class LightSampling:
    """From where, how bright and in which colour the new light comes; each is drawn evenly from its range."""

    elevation_range: Annotated[tuple[Elevation, Elevation], AfterValidator(_ordered)] = (10.0, 80.0)  # degrees
    azimuth_range: Annotated[tuple[float, float], AfterValidator(_ordered)] = (0.0, 360.0)  # 0 right, 90 above
    ambient_range: ShareRange = (0.25, 0.5)  # share of the light that comes from everywhere
    colour_temperature_range: Annotated[tuple[Kelvin, Kelvin], AfterValidator(_ordered)] = (3800.0, 9000.0)
    exposure_range: Annotated[tuple[Stops, Stops], AfterValidator(_ordered)] = (-0.9, 0.1)  # against the photo

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class NewLight:
    """One drawn light: everything that relighting needs but the photograph."""

    degradation_type: str
    azimuth_degrees: float
    elevation_degrees: float
    ambient: float
    softness: float
    colour_temperature: float
    exposure_ev: float
    specular_intensity: float  # 0 where there are no highlights
    shininess: float
    pattern_type: str | None
    pattern_opacity: float  # 0 where no pattern is cast
    pattern_blur: float
    pattern_seed: int

    @property
    def direction(self) -> tuple[float, float, float]:
        """Unit vector to the light: right, up, towards the camera."""
        azimuth, elevation = np.radians(self.azimuth_degrees), np.radians(self.elevation_degrees)
        return (
            float(np.cos(azimuth) * np.cos(elevation)),
            float(np.sin(azimuth) * np.cos(elevation)),
            float(np.sin(elevation)),
        )

    def as_dict(self) -> dict[str, Any]:
        """The parameters as a record holds them."""
        return {
            "degradation_type": self.degradation_type,
            "light_direction": [round(value, 4) for value in self.direction],
            "ambient": round(self.ambient, 4),
            "softness": round(self.softness, 4),
            "colour_temperature": round(self.colour_temperature),
            "exposure_ev": round(self.exposure_ev, 3),
            "has_specular": self.specular_intensity > 0,
            "specular_intensity": round(self.specular_intensity, 4),
            "shininess": round(self.shininess, 2),
            "has_pattern": self.pattern_type is not None,
            "pattern_type": self.pattern_type,
            "pattern_opacity": round(self.pattern_opacity, 4),
            "pattern_blur": round(self.pattern_blur, 5),
        }


def sample(degradation: Degradation, light: LightSampling, rng: np.random.Generator) -> NewLight:
    """Draw one light. Every number is drawn whether it is used or not, so that one option moves no other."""
    kinds = ("soft_shading", "hard_shadow", "specular", "advanced_shading")
    kind = _choose({name: getattr(degradation, name) for name in kinds}, rng)
    azimuth, elevation = rng.uniform(*light.azimuth_range), rng.uniform(*light.elevation_range)
    ambient, softness = rng.uniform(*light.ambient_range), rng.uniform(*degradation.softness_range)
    # Even steps of colour are even steps of the reciprocal of the temperature (mired).
    warm, cool = light.colour_temperature_range
    temperature = 1 / rng.uniform(1 / cool, 1 / warm)
    exposure = rng.uniform(*light.exposure_range)
    intensity = rng.uniform(*degradation.specular_intensity_range)
    shininess = rng.uniform(*degradation.shininess_range)
    has_pattern = rng.random() < degradation.pattern_probability
    pattern = _choose(degradation.pattern_weights, rng)
    opacity, blur = rng.uniform(*degradation.pattern_opacity_range), rng.uniform(*degradation.pattern_blur_range)
    return NewLight(
        degradation_type=kind,
        azimuth_degrees=azimuth % 360,
        elevation_degrees=elevation,
        ambient=ambient,
        softness=0.0 if kind == "hard_shadow" else softness,
        colour_temperature=temperature,
        exposure_ev=exposure,
        specular_intensity=intensity if kind == "specular" else 0.0,
        shininess=shininess,
        pattern_type=pattern if has_pattern else None,
        pattern_opacity=opacity if has_pattern else 0.0,
        pattern_blur=blur if has_pattern else 0.0,
        pattern_seed=int(rng.integers(2**63)),
    )


def _choose(weights: dict[str, float], rng: np.random.Generator) -> str:
    names = list(weights)
    shares = np.cumsum([weights[name] for name in names])
    return names[int(np.searchsorted(shares, rng.random() * shares[-1], side="right"))]
