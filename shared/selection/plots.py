"""Histograms, curves and sheets of photographs, drawn the same to the byte wherever they are drawn."""

import io
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from PIL import Image

KEPT = "#2a78b5"
REJECTED = "#c4c9ce"
CUT = "#c8442d"
INK = "#22272b"
MUTED = "#6b7379"
PAPER = "#ffffff"
TILE = "#e9ebed"

_CURVE_POINTS = 2000  # more than a picture's width shows


class Picture(NamedTuple):
    """One photograph of a sheet: the image, or None where it cannot be read, and the line below it."""

    image: "Image.Image | None"
    caption: str


class Row(NamedTuple):
    """A heading of a sheet and the pictures below it."""

    heading: str
    pictures: Sequence[Picture]


def histogram(values: np.ndarray, title: str, axis_label: str, kept: np.ndarray | None = None, bins: int = 50) -> bytes:
    """PNG of the distribution of (n,) values; `kept` (n, bool) are coloured, the others grey, the cut between."""
    return figure([lambda axes: draw_histogram(axes, values, axis_label, kept, bins)], title)


Drawing = Callable[["Axes"], None]


def figure(
    drawings: Sequence[Drawing], title: str, panel: tuple[float, float] = (8.0, 4.5), columns: int | None = None
) -> bytes:
    """PNG of one panel (width, height in inches) for each drawing under a title, all in a row or `columns` wide."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    stream = io.BytesIO()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a person's matplotlibrc must not change a run's bytes
        # Not through pyplot, which keeps every figure and looks for a display.
        columns = columns or len(drawings)
        lines = -(-len(drawings) // columns)
        size = (panel[0] * columns, panel[1] * lines)
        drawn = Figure(figsize=size, dpi=150, layout="constrained", facecolor=PAPER)
        FigureCanvasAgg(drawn)
        drawn.suptitle(title, x=0.01, ha="left", color=INK, fontsize=13, fontweight="bold")
        for axes, draw in zip(np.ravel(drawn.subplots(lines, columns)), drawings, strict=True):
            axes.spines[["top", "right"]].set_visible(False)
            axes.spines[["left", "bottom"]].set_color(MUTED)
            axes.tick_params(colors=MUTED)
            axes.grid(axis="y", color=TILE, linewidth=0.8)
            axes.set_axisbelow(True)
            draw(axes)
        drawn.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def draw_histogram(
    axes: "Axes",
    values: np.ndarray,
    axis_label: str,
    kept: np.ndarray | None = None,
    bins: int = 50,
    has_cut: bool = True,
) -> None:
    """Draw the distribution of (n,) values; see `histogram`. Without `has_cut` the lowest kept value means nothing."""
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    values = np.asarray(values, dtype=np.float64)
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, bins + 1)
    everything = np.histogram(values, edges)[0]
    if kept is None or kept.all():
        axes.stairs(everything, edges, fill=True, color=KEPT)
    else:
        axes.stairs(everything, edges, fill=True, color=REJECTED, label=f"rejected: {int((~kept).sum()):,}")
        coloured = np.histogram(values[kept], edges)[0]
        axes.stairs(coloured, edges, fill=True, color=KEPT, label=f"kept: {int(kept.sum()):,}")
        if has_cut and kept.any():
            cut = float(values[kept].min())
            word = "cut" if values[~kept].max() <= cut else "lowest kept"
            axes.axvline(cut, color=CUT, linewidth=1.2, label=f"{word}: {cut:.4f}")
        _draw_legend(axes)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_xlabel(axis_label, color=INK)
    axes.set_ylabel("photographs", color=INK)


def draw_bars(axes: "Axes", names: Sequence[str], counts: np.ndarray, kept: np.ndarray) -> None:
    """Draw how many there are of each name, and in colour how many of them are kept."""
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    places = np.arange(len(names))
    axes.bar(places, counts, color=REJECTED, label=f"rejected: {int((counts - kept).sum()):,}")
    axes.bar(places, kept, color=KEPT, label=f"kept: {int(kept.sum()):,}")
    axes.set_xticks(places, names)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_ylabel("photographs", color=INK)
    _draw_legend(axes)


def draw_rose(axes: "Axes", label: str, counts: np.ndarray, kept: np.ndarray) -> None:
    """Draw counts of directions, from 0 degrees (right) counter-clockwise; a petal's area is its count."""
    from matplotlib.ticker import NullFormatter

    place = axes.get_subplotspec()
    drawn = axes.figure
    axes.remove()
    rose: Any = drawn.add_subplot(place, projection="polar")
    turns = np.arange(len(counts)) * (2 * np.pi / len(counts))
    width = 2 * np.pi / len(counts) * 0.92
    rose.bar(turns, np.sqrt(counts), width, color=REJECTED)
    rose.bar(turns, np.sqrt(kept), width, color=KEPT)
    rose.set_xticks(
        turns,
        [
            f"{round(np.degrees(turn))}°\n{own:,} of {count:,}"
            for turn, own, count in zip(turns, kept.tolist(), counts.tolist(), strict=True)
        ],
    )
    rose.yaxis.set_major_formatter(NullFormatter())
    rose.tick_params(colors=MUTED)
    rose.grid(color=TILE)
    rose.spines["polar"].set_color(TILE)
    rose.set_xlabel(label, color=INK)


def draw_ranking(axes: "Axes", ranked: np.ndarray, cut: int, axis_label: str, first: int = 0) -> None:
    """Draw (n,) values, best first, by their rank (from first + 1), with a line after the `cut` best."""
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    count = len(ranked)
    shown = np.unique(np.linspace(0, max(0, count - 1), min(count, _CURVE_POINTS)).astype(int))
    ranks = shown + first + 1
    marker: Any = "o" if len(ranks) <= 60 else None
    axes.plot(ranks, ranked[shown], color=KEPT, linewidth=1.6, marker=marker, markersize=4)
    if first <= cut < first + len(ranked):
        axes.axvspan(cut + 0.5, first + len(ranked) + 0.5, color=REJECTED, alpha=0.35, linewidth=0)
        axes.axvline(cut + 0.5, color=CUT, linewidth=1.2, label=f"cut after {cut:,}")
        _draw_legend(axes)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_xlabel("rank, best first", color=INK)
    axes.set_ylabel(axis_label, color=INK)


def _draw_legend(axes: "Axes") -> None:
    # Above the panel, where it covers nothing.
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, labelcolor=INK, borderaxespad=0.2)


def photograph_sheet(title: str, rows: Iterable[Row], columns: int, tile: int = 200) -> bytes:
    """PNG of photographs in a grid `columns` wide, each in a square of `tile` pixels over its caption."""
    from PIL import Image, ImageDraw, ImageFont

    gap, line = 12, 22
    rows = list(rows)
    lines = [-(-len(row.pictures) // columns) for row in rows]
    heights = [
        (line + gap if row.heading else 0) + count * (tile + line + gap) for row, count in zip(rows, lines, strict=True)
    ]
    width = gap + columns * (tile + gap)
    sheet = Image.new("RGB", (width, 3 * gap + line + sum(heights)), PAPER)
    draw = ImageDraw.Draw(sheet)
    title_font, heading_font, caption_font = (ImageFont.load_default(size) for size in (20, 16, 13))
    draw.text((gap, gap), _fitted(draw, title, title_font, width - 2 * gap), INK, title_font)
    top = 2 * gap + line
    for row, height in zip(rows, heights, strict=True):
        place = top
        if row.heading:
            heading = _fitted(draw, row.heading, heading_font, width - 2 * gap)
            draw.text((gap, place), heading, MUTED, heading_font)
            place += line + gap
        for number, picture in enumerate(row.pictures):
            left = gap + number % columns * (tile + gap)
            upper = place + number // columns * (tile + line + gap)
            draw.rectangle((left, upper, left + tile - 1, upper + tile - 1), TILE)
            if picture.image is None:
                draw.text((left + gap, upper + gap), "cannot be read", MUTED, caption_font)
            else:
                small = picture.image.copy()
                small.thumbnail((tile, tile), Image.Resampling.LANCZOS)
                sheet.paste(small, (left + (tile - small.width) // 2, upper + (tile - small.height) // 2))
            caption = _fitted(draw, picture.caption, caption_font, tile)
            draw.text((left, upper + tile + 3), caption, INK, caption_font)
        top += height
    stream = io.BytesIO()
    sheet.save(stream, "PNG", compress_level=6)
    return stream.getvalue()


def _fitted(draw: Any, text: str, font: Any, width: int) -> str:
    """The text, cut short with three dots where it is wider than `width` pixels."""
    text = one_line(text)
    if draw.textlength(text, font) <= width:
        return text
    while text and draw.textlength(text + "...", font) > width:
        text = text[:-1]
    return text + "..."


def one_line(text: str) -> str:
    """The text with ? for what would break a line or cannot be drawn: newlines, bytes that are not UTF-8."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
