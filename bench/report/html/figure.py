"""Figures in two formats: SVG that follows the reader's light or dark mode, and PNG for programs without SVG."""

from __future__ import annotations

import io
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The light and dark form of each colour. Figures are drawn with the light one, which becomes a variable in the SVG.
# Each has a contrast of at least 4.5 to 1 with its background, and colour-blind people can distinguish the series.
COLOURS = {
    "ink": ("#1d2329", "#e6e8eb"),
    "muted": ("#5a6470", "#a5afba"),
    "grid": ("#dde1e6", "#343b44"),
    "paper": ("#ffffff", "#15181c"),
    "c0": ("#1f5fbf", "#7fb0ff"),
    "c1": ("#b0511a", "#f0a35e"),
    "c2": ("#2a7a4b", "#6fce93"),
    "c3": ("#7b4fa3", "#c39be8"),
    "c4": ("#0e7780", "#58c7d0"),
    "c5": ("#b0343c", "#f28b8b"),
    "c6": ("#6f681a", "#d3c75b"),
    "c7": ("#6b7280", "#9ca3af"),
}
SERIES = [light for name, (light, _) in COLOURS.items() if name.startswith("c")]
INK, MUTED, GRID, PAPER = (COLOURS[name][0] for name in ("ink", "muted", "grid", "paper"))
FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica", "Arial", "DejaVu Sans"]
PNG_DPI = 160
_STYLE: Any = {
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "font.size": 9,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "bench",
    "text.color": INK,
    # A dollar in a name does not start a formula.
    "text.parse_math": False,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
}


@dataclass(frozen=True)
class Plot:
    """A drawn figure: the name of its files, its title, its caption, and the files' contents."""

    name: str
    title: str
    caption: str
    svg: str
    png: bytes
    width: int
    height: int


def style() -> Any:
    """A context in which everything is drawn in the same style: `with style(): ...`."""
    import matplotlib

    return matplotlib.rc_context(_STYLE)


def axes(width_in: float = 7.2, height_in: float = 4.0, rows: int = 1, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure and its axes in reading order; without pyplot, which would keep it forever."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    return figure, list(grid.flat)


def finish(figure: Figure, name: str, title: str, caption: str) -> Plot:
    """Render both formats; call it within `style`. `name` may contain that of a data set and is made a plain
    file name."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", name)
    drawn, painted = io.BytesIO(), io.BytesIO()
    with warnings.catch_warnings():
        # The reader's browser has fonts for all scripts; the PNG shows boxes for some.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Title": title}, transparent=True)
        # The second rendering reuses the layout of the first, which is half of the work.
        figure.set_layout_engine("none")
        figure.savefig(painted, format="png", dpi=PNG_DPI, facecolor=PAPER)
    width, height = (round(float(inches) * 96) for inches in figure.get_size_inches())
    return Plot(name, title, caption, _with_modes(drawn.getvalue().decode()), painted.getvalue(), width, height)


def _with_modes(svg: str) -> str:
    """The SVG with colours as variables, which dark mode changes, and with the reader's system fonts."""
    names = {light: name for name, (light, _) in COLOURS.items()}
    svg = re.sub(r"#[0-9a-f]{6}\b", lambda match: f"var(--{names[match[0]]})" if match[0] in names else match[0], svg)
    # XML does not allow control characters.
    svg = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", "\ufffd", svg)
    svg = re.sub(r"(font: [^;\"']*?px) [^;\"]*", rf"\1 {', '.join(FONTS)}", svg)
    light, dark = (";".join(f"--{name}:{pair[mode]}" for name, pair in COLOURS.items()) for mode in (0, 1))
    rules = f":root{{color-scheme:light dark;{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}"
    return re.sub(r"(<svg [^>]*>)", rf"\1<style>{rules}</style>", svg, count=1)
