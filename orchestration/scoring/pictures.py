"""Pictures of scores, as PNG bytes for a page that somebody reads: axes labelled with units, readable when
small.

Here belongs drawing only; what is drawn is computed by the score. Matplotlib's object interface is used with
the Agg canvas, so nothing global is touched and threads do not meet.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from orchestration.scoring.evaluation import Calibration
from orchestration.scoring.frames import Floats

INK, MUTED, GRID = "#1f2933", "#6b7785", "#e4e8ec"
BLUE, ORANGE = "#1769aa", "#e07b1a"
PALETTE = ("#1769aa", "#e07b1a", "#2a9d63", "#b23a6d", "#6c5fc7", "#8a6d3b", "#17868f", "#7a8794")


def _figure(title: str, subtitle: str, size: tuple[float, float] = (7.6, 4.2)) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, dpi=110, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=13, fontweight="bold", color=INK, pad=24)
    axes.text(0, 1.025, subtitle, transform=axes.transAxes, fontsize=9.5, color=MUTED, va="bottom")
    _dress(axes)
    return figure, axes


def _dress(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#b8c0c8")
    axes.grid(True, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, labelsize=9.5, length=3)
    axes.xaxis.label.set(color=INK, fontsize=10.5)
    axes.yaxis.label.set(color=INK, fontsize=10.5)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _clock(axes: Axes, step: int = 6) -> None:
    """Half-hour slots on x as local clock times."""
    ticks = np.arange(0, 48, step)
    axes.set_xticks(ticks, [f"{t // 2:02d}:{30 * (t % 2):02d}" for t in ticks])


def load_shapes(centroids: Floats, names: Sequence[str], shares: Floats, subtitle: str) -> bytes:
    """Centroids of daily load shape (k × 48, each summing to 1) as the share of the day's energy per
    half-hour."""
    columns = 3 if len(names) > 4 else 2
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(8.4, 1.0 + 2.0 * rows), dpi=110, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(
        "Load shapes: when the day's energy is used",
        x=0.01,
        ha="left",
        fontsize=13,
        fontweight="bold",
        color=INK,
    )
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for i, axes in enumerate(grid):
        if i >= len(names):
            axes.set_visible(False)
            continue
        _dress(axes)
        colour = PALETTE[i % len(PALETTE)]
        axes.fill_between(np.arange(48) + 0.5, 100 * centroids[i], color=colour, alpha=0.22)
        axes.plot(np.arange(48) + 0.5, 100 * centroids[i], color=colour, linewidth=2)
        axes.set_title(
            f"{names[i].replace('_', ' ')}\n{shares[i]:.0%} of customers", fontsize=10, color=INK, loc="left"
        )
        axes.set_xlim(0, 48)
        axes.set_ylim(0, 108 * float(centroids.max()))
        _clock(axes, 12)
    figure.supxlabel(f"local time of day — {subtitle}", fontsize=9.5, color=MUTED)
    figure.supylabel("% of the day's kWh per half-hour", fontsize=9.5, color=INK)
    return _png(figure)


def calibration_curve(curve: Calibration, what: str, subtitle: str) -> bytes:
    """Predicted against observed probability by equal-count bins, with binomial 90 % bars."""
    figure, axes = _figure(f"Calibration: {what}", subtitle, (6.2, 4.6))
    top = float(max(curve.predicted.max(initial=0.0), curve.observed.max(initial=0.0), 0.02)) * 1.15
    axes.plot([0, top], [0, top], color=MUTED, linewidth=1, linestyle=(0, (4, 3)), label="perfect")
    error = 1.645 * np.sqrt(
        np.maximum(curve.observed * (1 - curve.observed), 1e-9) / np.maximum(curve.count, 1)
    )
    axes.errorbar(
        curve.predicted,
        curve.observed,
        yerr=error,
        fmt="o-",
        color=BLUE,
        ecolor="#9cc3e0",
        markersize=5,
        linewidth=1.6,
        capsize=2,
        label=f"observed (gap {curve.error:.1%})",
    )
    axes.set(xlim=(0, top), ylim=(0, top), xlabel="predicted probability", ylabel="observed share")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.legend(frameon=False, fontsize=9.5, loc="upper left")
    return _png(figure)


def call_plan(slots: Floats, planned: Floats, random: Floats, capacity: Floats, subtitle: str) -> bytes:
    """Calls planned in each half-hour against what the agents can make."""
    figure, axes = _figure("Call plan: calls per half-hour against capacity", subtitle)
    axes.step(
        np.append(slots, slots[-1] + 1),
        np.append(capacity, capacity[-1]),
        where="post",
        color=INK,
        linewidth=1.6,
        label="agent capacity",
    )
    axes.bar(slots + 0.5, planned, width=0.82, color=BLUE, label="planned by expected value")
    axes.bar(
        slots + 0.5, random, bottom=planned, width=0.82, color=ORANGE, label="random slot, to keep learning"
    )
    axes.set(ylabel="calls per half-hour", xlabel="local time", xlim=(slots[0], slots[-1] + 1))
    axes.set_ylim(0, max(float(capacity.max()), float((planned + random).max(initial=0.0))) * 1.25 + 1)
    ticks = slots[::2]
    axes.set_xticks(ticks, [f"{int(t) // 2:02d}:{30 * (int(t) % 2):02d}" for t in ticks])
    axes.legend(frameon=False, fontsize=9.5, ncols=3, loc="upper left")
    return _png(figure)


def counts(title: str, subtitle: str, values: Mapping[str, int], unit: str = "customers") -> bytes:
    """Horizontal bars of counts by name, in the order given."""
    figure, axes = _figure(title, subtitle, (7.6, 1.6 + 0.42 * max(len(values), 2)))
    names = list(values)[::-1]
    numbers = np.array([values[name] for name in names], dtype=float)
    axes.barh([name.replace("_", " ") for name in names], numbers, color=BLUE, height=0.66)
    total = max(float(numbers.sum()), 1.0)
    for y, number in enumerate(numbers):
        axes.text(
            number + numbers.max(initial=1) * 0.01,
            y,
            f"{number:,.0f} ({number / total:.0%})",
            va="center",
            fontsize=9.5,
            color=INK,
        )
    axes.set_xlim(0, numbers.max(initial=1) * 1.18)
    axes.set_xlabel(unit)
    axes.grid(False, axis="y")
    return _png(figure)


def distribution(values: Floats, title: str, subtitle: str, unit: str, marks: Mapping[str, float]) -> bytes:
    """A histogram with named vertical marks; the outer 1 % is gathered into the end bars."""
    figure, axes = _figure(title, subtitle)
    if len(values):
        lo, hi = np.quantile(values, [0.005, 0.995])
        axes.hist(np.clip(values, lo, hi), bins=40, color=BLUE, alpha=0.85, edgecolor="white", linewidth=0.5)
    top = axes.get_ylim()[1]
    axes.set_ylim(0, top * 1.15)
    for i, (name, at) in enumerate(marks.items()):
        axes.axvline(at, color=ORANGE, linewidth=1.3)
        axes.text(at, top * (1.12 - 0.07 * (i % 2)), f" {name}", color=INK, fontsize=9.5, va="top")
    axes.set(xlabel=unit, ylabel="customers")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
    return _png(figure)


def lines(
    title: str,
    subtitle: str,
    x: Floats,
    series: Mapping[str, Floats],
    x_label: str,
    y_label: str,
    clock: bool = False,
    percent: bool = True,
) -> bytes:
    """Named lines over a common x; ``clock`` shows half-hour slots as times, ``percent`` shares as %."""
    figure, axes = _figure(title, subtitle)
    for i, (name, y) in enumerate(series.items()):
        axes.plot(x, y, label=name, color=PALETTE[i % len(PALETTE)], linewidth=2)
    axes.set(xlabel=x_label, ylabel=y_label, xlim=(float(x[0]), float(x[-1])))
    axes.set_ylim(0, None)
    if percent:
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    if clock:
        _clock(axes)
    axes.legend(frameon=False, fontsize=9.5)
    return _png(figure)
