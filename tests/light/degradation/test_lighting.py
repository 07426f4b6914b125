from dataclasses import replace

import numpy as np
import pytest

from shared.light.colour import luminance, rgb_of_cct
from shared.light.degradation.lighting import Illumination, cast_shadow, expose, illuminate
from shared.light.degradation.options import (
    KINDS,
    AdvancedShading,
    Degradation,
    HardShadow,
    LightSampling,
    NewLight,
    SoftShading,
    Specular,
    sample,
)
from shared.light.degradation.photograph import Photograph
from shared.light.surface import stand_in

LIGHT = NewLight(
    degradation_type="soft_shading", azimuth_degrees=0.0, elevation_degrees=30.0, ambient=0.3, softness=0.3,
    colour_temperature=6504.0, exposure_ev=0.0, specular_intensity=0.0, shininess=20.0, pattern_type=None,
    pattern_opacity=0.0, pattern_blur=0.0, pattern_seed=7,
)  # fmt: skip
GREY = np.full((120, 160, 3), 0.4, np.float32)
EVEN = np.zeros((120, 160), np.float32)


def lit_up(flattened, log_shading, mask, light) -> Illumination:
    """The light on a stand-in of the surface."""
    return illuminate(flattened, stand_in(mask, log_shading), light)


def disc():
    rows, columns = np.mgrid[:120, :160]
    return np.where(np.hypot(rows - 60, columns - 80) < 45, 255, 0).astype(np.uint8)


@pytest.mark.parametrize("mask", [None, disc()])
@pytest.mark.parametrize(
    ("azimuth", "brighter", "darker"),
    [
        (0, np.s_[40:80, 95:115], np.s_[40:80, 45:65]),
        (180, np.s_[40:80, 45:65], np.s_[40:80, 95:115]),
        (90, np.s_[25:45, 60:100], np.s_[75:95, 60:100]),
        (270, np.s_[75:95, 60:100], np.s_[25:45, 60:100]),
    ],
)
def test_the_side_that_faces_the_light_is_the_brighter(mask, azimuth, brighter, darker):
    lit = lit_up(GREY, EVEN, mask, replace(LIGHT, azimuth_degrees=azimuth)).shade(GREY)
    assert lit[brighter].mean() > 1.2 * lit[darker].mean()


def test_a_lower_light_makes_more_contrast():
    spread = [np.ptp(lit_up(GREY, EVEN, None, replace(LIGHT, elevation_degrees=e)).gain) for e in (15, 45, 85)]
    assert spread[0] > spread[1] > spread[2]


def test_ambient_light_fills_the_shadows():
    darkest = [
        lit_up(GREY, EVEN, None, replace(LIGHT, elevation_degrees=10, ambient=a)).gain.min() for a in (0.1, 0.5, 1.0)
    ]
    assert darkest[0] < darkest[1] < darkest[2]
    assert darkest[2] == pytest.approx(1, abs=0.01)


def test_the_colour_of_the_light_is_on_what_it_reaches():
    warm = lit_up(GREY, EVEN, None, replace(LIGHT, colour_temperature=3000, ambient=0.0, softness=1.0)).gain
    brightest = warm.reshape(-1, 3)[warm[..., 1].argmax()]
    expected = rgb_of_cct(3000) / rgb_of_cct(6504)
    np.testing.assert_allclose(brightest / brightest[1], expected / expected[1], rtol=1e-4)


def test_daylight_leaves_grey_grey():
    gain = lit_up(
        GREY, EVEN, disc(), replace(LIGHT, pattern_type="fence", pattern_opacity=0.6, pattern_blur=0.005)
    ).gain
    assert np.ptp(gain, axis=-1).max() < 1e-4


def test_a_pattern_darkens_in_proportion_to_its_opacity():
    plain = lit_up(GREY, EVEN, None, LIGHT).gain
    weak, strong = (
        lit_up(
            GREY, EVEN, None, replace(LIGHT, pattern_type="venetian_blind", pattern_opacity=o, pattern_blur=0.004)
        ).gain
        for o in (0.3, 0.6)
    )
    assert (strong <= plain + 1e-6).all()
    assert (plain - strong).mean() == pytest.approx(2 * (plain - weak).mean(), rel=1e-3)


def test_no_pattern_and_no_shadow_falls_on_the_sky():
    blinds = replace(LIGHT, pattern_type="venetian_blind", pattern_opacity=0.6, pattern_blur=0.004)
    sky = np.zeros((120, 160), np.float32)
    sky[:50] = 1
    surface = stand_in(None, EVEN)
    plain, whole, spared = (illuminate(GREY, surface, *more).gain for more in ((LIGHT,), (blinds,), (blinds, sky)))
    np.testing.assert_allclose(spared[:50], plain[:50])
    np.testing.assert_allclose(spared[50:], whole[50:])
    assert (plain - whole)[:50].max() > 0.1


def test_the_sky_of_a_photograph_is_spared_and_a_subject_that_was_cut_out_has_none():
    rng = np.random.default_rng(0)
    pixels = rng.integers(20, 230, (300, 400, 3), dtype=np.uint8)
    pixels[:150] = (90, 150, 230)
    blinds = replace(LIGHT, pattern_type="venetian_blind", pattern_opacity=0.6, pattern_blur=0.004, ambient=0.2)
    whole = Photograph(pixels, None)
    lit, plain = (whole.relit(light)[0].illumination.gain for light in (blinds, replace(blinds, pattern_opacity=0.0)))
    ratio = (lit / plain)[..., 1]
    assert np.ptp(ratio[10:120]) < 0.01 < 0.1 < np.ptp(ratio[180:])
    cut_out = Photograph(pixels, np.full((300, 400), 255, np.uint8))
    lit, plain = (cut_out.relit(light)[0].illumination.gain for light in (blinds, replace(blinds, pattern_opacity=0.0)))
    assert np.ptp((lit / plain)[10:120, :, 1]) > 0.1


def test_highlights_are_added_where_the_light_is_mirrored():
    shiny = replace(LIGHT, degradation_type="specular", specular_intensity=0.3)
    plain, lit = (lit_up(GREY, EVEN, disc(), light).shade(GREY) for light in (LIGHT, shiny))
    added = (lit - plain)[..., 1]
    assert added.max() > 0.05
    rows, columns = np.unravel_index(added.argmax(), added.shape)
    assert columns > 80, "the highlight is on the side of the light"
    assert 40 < rows < 80


def test_a_hard_light_leaves_a_bump_dark_behind_it():
    rows, columns = np.mgrid[:120, :160]
    bump = 30 * np.exp(-(((rows - 60) / 12) ** 2) - ((columns - 80) / 12) ** 2).astype(np.float32)
    lit = cast_shadow(bump, replace(LIGHT, elevation_degrees=30))
    assert lit[60, 55] < 0.2, "away from the light"
    assert lit[60, 130] > 0.9, "towards the light"
    assert lit[10, 80] > 0.9, "beside the bump"


def test_a_light_from_the_camera_throws_no_shadow():
    assert (
        cast_shadow(
            np.random.default_rng(0).random((40, 40)).astype(np.float32), replace(LIGHT, elevation_degrees=90)
        ).min()
        == 1
    )


@pytest.mark.parametrize("stops", [-1.5, -0.5, 0.0])
def test_the_exposure_is_set_against_the_photograph(stops):
    photograph = np.full_like(GREY, 0.2)
    lit = expose(lit_up(GREY, EVEN, None, LIGHT), GREY, photograph, None, stops).shade(GREY)
    assert luminance(lit).mean() == pytest.approx(0.2 * 2**stops, rel=1e-3)


def test_a_picture_that_would_clip_is_held_back():
    bright = np.full_like(GREY, 0.9)
    lit = expose(lit_up(bright, EVEN, None, LIGHT), bright, bright, None, 1.0).shade(bright)
    assert np.percentile(lit.max(axis=-1), 99) <= 1.001


def only(name, **options):
    """A degradation that draws the kind of that name alone."""
    kinds = {
        "soft_shading": SoftShading,
        "hard_shadow": HardShadow,
        "specular": Specular,
        "advanced_shading": AdvancedShading,
    }
    return Degradation(
        **{kind: of(weight=0.0) for kind, of in kinds.items()} | {name: kinds[name](weight=1.0, **options)}
    )


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_light_is_drawn_by_its_weight_and_differs_from_the_others(kind):
    relief = np.random.default_rng(1).normal(0, 0.3, EVEN.shape).astype(np.float32)
    lights = {name: sample(only(name), LightSampling(), np.random.default_rng(0)) for name in KINDS}
    assert lights[kind].degradation_type == kind
    assert (lights[kind].softness == 0) == (kind == "hard_shadow")
    images = {
        name: lit_up(GREY, relief, disc(), replace(light, pattern_type=None)).shade(GREY)
        for name, light in lights.items()
    }
    assert all(np.abs(images[kind] - images[name]).max() > 0.02 for name in KINDS if name != kind)


def test_shares_of_drawn_lights_follow_the_weights():
    degradation = Degradation(
        soft_shading=SoftShading(weight=0.5, pattern_probability=0.25),
        hard_shadow=HardShadow(weight=0.5, pattern_probability=0.0),
        pattern_weights={"fence": 3, "cloud": 1},
    )
    lights = [sample(degradation, LightSampling(), np.random.default_rng(seed)) for seed in range(2000)]
    kinds = [light.degradation_type for light in lights]
    patterns = [light.pattern_type for light in lights if light.pattern_type]
    assert set(kinds) == {"soft_shading", "hard_shadow"}
    assert kinds.count("hard_shadow") / 2000 == pytest.approx(0.5, abs=0.04)
    assert len(patterns) / 2000 == pytest.approx(0.125, abs=0.03)
    assert {light.degradation_type for light in lights if light.pattern_type} == {"soft_shading"}
    assert patterns.count("fence") / len(patterns) == pytest.approx(0.75, abs=0.08)


@pytest.mark.parametrize(("method", "above_30"), [("even_angles", 2 / 3), ("hemisphere_uniform", 1 / 2)])
def test_the_sky_is_sampled_by_angle_or_by_area(method, above_30):
    sampling = LightSampling(method=method, elevation_range=(0, 90))
    lights = [sample(Degradation(), sampling, np.random.default_rng(seed)) for seed in range(1000)]
    assert np.mean([light.elevation_degrees > 30 for light in lights]) == pytest.approx(above_30, abs=0.05)


def test_a_cast_shadow_takes_its_share_of_the_light_and_has_its_penumbra():
    bump = 30 * np.exp(-(np.hypot(*(np.mgrid[:120, :160] - np.array([60, 80])[:, None, None])) ** 2) / 288)
    low = replace(LIGHT, elevation_degrees=10, softness=1.0)
    means = [lit_up(GREY, EVEN, disc(), replace(low, shadow_opacity=o)).gain.mean() for o in (0.0, 0.5, 1.0)]
    assert means[0] - means[1] == pytest.approx(means[1] - means[2], rel=1e-3)
    assert means[0] > means[2] + 0.05
    sharp, soft = (cast_shadow(bump.astype(np.float32), replace(LIGHT, shadow_blur=b)) for b in (0.0, 0.03))
    assert np.abs(np.diff(sharp, axis=1)).max() > 2 * np.abs(np.diff(soft, axis=1)).max()


def test_every_number_is_drawn_from_its_range():
    options = {
        "softness_range": (0.2, 0.3), "pattern_probability": 1.0, "pattern_opacity_range": (0.4, 0.5),
        "pattern_blur_range": (0.01, 0.02), "specular_intensity_range": (0.2, 0.3), "shininess_range": (30, 40),
        "ambient_range": (0.5, 0.55), "shadow_opacity_range": (0.6, 0.7), "shadow_blur_range": (0.005, 0.006),
    }  # fmt: skip
    sampling = LightSampling(
        elevation_range=(20, 25), azimuth_range=(170, 190), colour_temperature_range=(3000, 3500),
        exposure_range=(-0.5, -0.4),
    )  # fmt: skip
    for seed in range(48):
        found = sample(only(KINDS[seed % 4], **options), sampling, np.random.default_rng(seed))
        assert 20 <= found.elevation_degrees <= 25
        assert 170 <= found.azimuth_degrees <= 190
        assert 0.5 <= found.ambient <= 0.55
        assert 0.2 <= found.softness <= 0.3
        assert 3000 <= found.colour_temperature <= 3500
        assert -0.5 <= found.exposure_ev <= -0.4
        assert 0.2 <= found.specular_intensity <= 0.3
        assert 30 <= found.shininess <= 40
        assert 0.4 <= found.pattern_opacity <= 0.5
        assert 0.01 <= found.pattern_blur <= 0.02
        assert 0.6 <= found.shadow_opacity <= 0.7
        assert 0.005 <= found.shadow_blur <= 0.006
        np.testing.assert_allclose(np.linalg.norm(found.direction), 1)


def test_one_option_moves_no_other_number():
    plain = sample(Degradation(), LightSampling(), np.random.default_rng(3))
    other = sample(
        Degradation(soft_shading=SoftShading(pattern_probability=0.0)), LightSampling(), np.random.default_rng(3)
    )
    assert replace(plain, pattern_type=None, pattern_opacity=0.0, pattern_blur=0.0) == other
