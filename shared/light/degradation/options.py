"""The new light of a degraded image: what a config may ask for, and how one light is drawn from it."""

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import AfterValidator, ConfigDict, Field

from shared.light.degradation.patterns import PATTERN_SHARES


def _ordered(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError(f"the range {list(limits)} runs backwards; write the smaller number first")
    return limits


def _known_patterns(weights: dict[str, float]) -> dict[str, float]:
    unknown = sorted(set(weights) - set(PATTERN_SHARES))
    if unknown:
        raise ValueError(f'no pattern "{unknown[0]}"; the patterns are {", ".join(PATTERN_SHARES)}')
    if not sum(weights.values()) > 0:
        raise ValueError("at least one pattern needs a weight above 0")
    return weights


Weight = Annotated[float, Field(ge=0)]
LightFraction = Annotated[float, Field(ge=0, le=1)]
ShareRange = Annotated[tuple[LightFraction, LightFraction], AfterValidator(_ordered)]
PatternWeights = Annotated[dict[str, Weight], AfterValidator(_known_patterns)]
Elevation = Annotated[float, Field(ge=0, le=90)]
Kelvin = Annotated[float, Field(ge=1800, le=15000)]
Stops = Annotated[float, Field(ge=-6, le=6)]
Shininess = Annotated[float, Field(ge=1, le=500)]


@dataclass
class Kind:
    """One kind of new light. All kinds have these options, each with defaults of its own; a range is drawn from evenly."""

    weight: Annotated[Weight, Field(description="how often this kind is drawn, against the others")] = 0.0
    ambient_range: Annotated[ShareRange, Field(description="share of the light that comes from everywhere")] = (
        0.25,
        0.5,
    )
    softness_range: Annotated[
        ShareRange, Field(description="how far the light wraps around; 0 is a sharp terminator")
    ] = (0.1, 0.7)
    specular_intensity_range: Annotated[
        ShareRange, Field(description="strength of the highlights, as a share of the light")
    ] = (0.0, 0.0)
    shininess_range: Annotated[
        Annotated[tuple[Shininess, Shininess], AfterValidator(_ordered)],
        Field(description="how small the highlights are: the exponent of Blinn and Phong"),
    ] = (10.0, 60.0)
    shadow_opacity_range: Annotated[
        ShareRange, Field(description="what the subject's own cast shadow takes of the light")
    ] = (0.0, 0.0)
    shadow_blur_range: Annotated[ShareRange, Field(description="its penumbra, sigma as a share of the long side")] = (
        0.004,
        0.004,
    )
    pattern_probability: Annotated[
        LightFraction, Field(description="share of the images on which a pattern is cast")
    ] = 0.5
    pattern_opacity_range: Annotated[
        ShareRange, Field(description="what the pattern takes of the light where it is dark")
    ] = (0.35, 0.6)
    pattern_blur_range: Annotated[
        ShareRange,
        Field(description="blur of the pattern, sigma as a share of the long side: 21 to 51 px kernels at 1024 px"),
    ] = (0.0034, 0.008)

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


@dataclass
class SoftShading(Kind):
    """A broad light that wraps around."""

    weight: Annotated[Weight, Field(description="how often this kind is drawn, against the others")] = 0.8


@dataclass
class HardShadow(Kind):
    """A small light: a sharp terminator and cast shadows."""

    softness_range: Annotated[
        ShareRange, Field(description="how far the light wraps around; 0 is a sharp terminator")
    ] = (0.0, 0.0)
    shadow_opacity_range: Annotated[
        ShareRange, Field(description="what the subject's own cast shadow takes of the light")
    ] = (1.0, 1.0)


@dataclass
class Specular(Kind):
    """Soft shading with highlights."""

    specular_intensity_range: Annotated[
        ShareRange, Field(description="strength of the highlights, as a share of the light")
    ] = (0.1, 0.35)


@dataclass
class AdvancedShading(Kind):
    """A key light, a fill of another colour from across, and occlusion."""


KINDS = ("soft_shading", "hard_shadow", "specular", "advanced_shading")


@dataclass
class Degradation:
    """The four kinds of new light, and the patterns that any of them may be cast through."""

    soft_shading: Annotated[SoftShading, Field(description="broad light with soft edges")] = field(
        default_factory=SoftShading
    )
    hard_shadow: Annotated[HardShadow, Field(description="a small light with sharp edges")] = field(
        default_factory=HardShadow
    )
    specular: Annotated[Specular, Field(description="light with strong highlights")] = field(default_factory=Specular)
    advanced_shading: Annotated[AdvancedShading, Field(description="light with all of these, moderately")] = field(
        default_factory=AdvancedShading
    )
    pattern_weights: Annotated[
        PatternWeights, Field(description="which pattern is cast, as blinds or leaves, and how often each")
    ] = field(default_factory=lambda: dict(PATTERN_SHARES))

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    def __post_init__(self) -> None:
        if not sum(self.weights.values()) > 0:
            raise ValueError("the weights of soft_shading, hard_shadow, specular and advanced_shading are all 0")

    @property
    def weights(self) -> dict[str, float]:
        return {name: getattr(self, name).weight for name in KINDS}


@dataclass
class LightSampling:
    """From where, how bright and in which colour the new light comes; each is drawn evenly from its range."""

    method: Annotated[
        Literal["even_angles", "hemisphere_uniform"],
        Field(description="every angle as often as another, or each part of the sky as often as another"),
    ] = "even_angles"
    elevation_range: Annotated[
        Annotated[tuple[Elevation, Elevation], AfterValidator(_ordered)],
        Field(description="height of the light over the horizon of the picture plane, in degrees"),
    ] = (10.0, 80.0)
    azimuth_range: Annotated[
        Annotated[tuple[float, float], AfterValidator(_ordered)],
        Field(description="side that the light comes from, in degrees: 0 is right, 90 is above"),
    ] = (0.0, 360.0)
    colour_temperature_range: Annotated[
        Annotated[tuple[Kelvin, Kelvin], AfterValidator(_ordered)],
        Field(description="colour of the new light, in kelvin"),
    ] = (3800.0, 9000.0)
    exposure_range: Annotated[
        Annotated[tuple[Stops, Stops], AfterValidator(_ordered)],
        Field(description="brightness against the photograph's, in stops"),
    ] = (0.0, 0.0)

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    def elevation(self, rng: np.random.Generator) -> float:
        """Degrees towards the camera. A ring of the sky is as large as the sine of its elevation grows."""
        if self.method == "even_angles":
            return rng.uniform(*self.elevation_range)
        return float(np.degrees(np.arcsin(rng.uniform(*np.sin(np.radians(self.elevation_range))))))


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
    shadow_opacity: float = 0.0  # 0 where the subject casts no shadow on itself
    shadow_blur: float = 0.004

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
            "shadow_opacity": round(self.shadow_opacity, 4),
            "shadow_blur": round(self.shadow_blur, 5),
        }


def sample(degradation: Degradation, light: LightSampling, rng: np.random.Generator) -> NewLight:
    """Draw one light. Every number is drawn whether it is used or not, so that one option moves no other."""
    name = _choose(degradation.weights, rng)
    kind: Kind = getattr(degradation, name)
    azimuth, elevation = rng.uniform(*light.azimuth_range), light.elevation(rng)
    ambient, softness = rng.uniform(*kind.ambient_range), rng.uniform(*kind.softness_range)
    # Even steps of colour are even steps of the reciprocal of the temperature (mired).
    warm, cool = light.colour_temperature_range
    temperature = 1 / rng.uniform(1 / cool, 1 / warm)
    exposure = rng.uniform(*light.exposure_range)
    intensity = rng.uniform(*kind.specular_intensity_range)
    shininess = rng.uniform(*kind.shininess_range)
    has_pattern = rng.random() < kind.pattern_probability
    pattern = _choose(degradation.pattern_weights, rng)
    opacity, blur = rng.uniform(*kind.pattern_opacity_range), rng.uniform(*kind.pattern_blur_range)
    pattern_seed = int(rng.integers(2**63))
    shadow_opacity, shadow_blur = rng.uniform(*kind.shadow_opacity_range), rng.uniform(*kind.shadow_blur_range)
    return NewLight(
        degradation_type=name,
        azimuth_degrees=azimuth % 360,
        elevation_degrees=elevation,
        ambient=ambient,
        softness=softness,
        colour_temperature=temperature,
        exposure_ev=exposure,
        specular_intensity=intensity,
        shininess=shininess,
        pattern_type=pattern if has_pattern else None,
        pattern_opacity=opacity if has_pattern else 0.0,
        pattern_blur=blur if has_pattern else 0.0,
        pattern_seed=pattern_seed,
        shadow_opacity=shadow_opacity,
        shadow_blur=shadow_blur if shadow_opacity else 0.0,
    )


def _choose(weights: dict[str, float], rng: np.random.Generator) -> str:
    names = list(weights)
    shares = np.cumsum([weights[name] for name in names])
    return names[int(np.searchsorted(shares, rng.random() * shares[-1], side="right"))]
