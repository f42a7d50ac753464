"""The plots of a record: `plots.py RECORD.json FOLDER`, in an environment that has matplotlib."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
# The same record gives the same file.
mpl.rcParams.update(
    {"svg.hashsalt": "howdah", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
)

from matplotlib import pyplot as plt  # noqa: E402 (after the choice of its back end)

OURS = "howdah"
COLOURS = [
    "#c8553d",
    "#588b8b",
    "#7f7f7f",
    "#b0a990",
    "#8d6b94",
    "#93a8ac",
    "#d5a021",
    "#4b7f52",
    "#a0ddff",
    "#5f5aa2",
]

Found = dict[str, Any]


def main() -> None:
    """Draw every plot that the record has figures for, and print its file and what it shows."""
    record = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    folder, name = Path(sys.argv[2]), Path(sys.argv[1]).stem
    for kind, text, draw in (
        ("throughput", "Jobs per second drained by one and by two worker processes", draw_drains),
        ("publish", "Jobs per second published", draw_publishes),
        ("latency", "Milliseconds from publish to start", draw_latencies),
        ("snapshot", "Jobs per second along a drain, while an old snapshot is held open", draw_snapshot),
        ("backlog", "Jobs per second out of small and large backlogs", draw_backlogs),
    ):
        figure = draw(record)
        if figure is not None:
            figure.suptitle(text, fontsize=10)
            file = f"{name}-{kind}.svg"
            figure.tight_layout()
            figure.savefig(folder / file, metadata={"Date": None}, facecolor="white")
            plt.close(figure)
            print(json.dumps([file, text]))


def draw_drains(record: Found) -> Any:
    """Draw W3 and W3b, and the physical limit where it was measured."""
    limit = record["medians"].get("limit", {}).get(OURS)
    figure = bars(record, {"W3": "one worker process", "W3b": "two worker processes"}, "jobs/s")
    if figure is not None and limit:
        axes = figure.axes[-1]
        axes.axhline(limit, color="black", linewidth=0.8, linestyle=":")
        axes.text(0.99, limit, "the least SQL", ha="right", va="bottom", transform=axes.get_yaxis_transform())
    return figure


def draw_publishes(record: Found) -> Any:
    """Draw W1, W1c and W2, each on a scale of its own."""
    return bars(record, {"W1": "one at a time", "W1c": "100 at once", "W2": "in bulk"}, "jobs/s", apart=True)


def draw_latencies(record: Found) -> Any:
    """Draw W4 and W4b."""
    names = {"W4 p50": "idle, p50", "W4 p99": "idle, p99", "W4b p50": "500/s, p50", "W4b p99": "500/s, p99"}
    return bars(record, names, "ms")


def draw_backlogs(record: Found) -> Any:
    """Draw W7."""
    sizes = [metric for metric in record["medians"] if metric.startswith("W7 of")]
    return bars(record, {metric: f"out of {metric.split()[-1]}" for metric in sizes}, "jobs/s")


def draw_snapshot(record: Found) -> Any:
    """Draw W6 along the drain."""
    steps = [metric for metric in record["medians"] if metric.startswith("W6 at")]
    if not steps:
        return None
    figure, axes = plt.subplots(figsize=(7, 3.2))
    for (peer, about), colour in zip(record["peers"].items(), COLOURS, strict=False):
        values = [record["medians"][step].get(peer) for step in steps]
        if any(values):
            axes.plot(
                [step.split()[2] for step in steps], values, label=about["title"], color=colour, marker="o"
            )
    axes.set_xlabel("% of the jobs done")
    axes.set_ylabel("jobs/s")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return figure


def bars(record: Found, names: dict[str, str], unit: str, *, apart: bool = False) -> Any:
    """Draw groups of bars, a bar for each peer; `apart`: a scale for each group."""
    names = {metric: text for metric, text in names.items() if record["medians"].get(metric)}
    if not names:
        return None
    groups = [[metric] for metric in names] if apart else [list(names)]
    figure, all_axes = plt.subplots(1, len(groups), figsize=(7, 3.2), squeeze=False)
    for axes, metrics in zip(all_axes[0], groups, strict=True):
        draw_group(axes, record, {metric: names[metric] for metric in metrics})
    all_axes[0][0].set_ylabel(unit)
    all_axes[0][0].legend(frameon=False, fontsize=8)
    return figure


def draw_group(axes: Any, record: Found, names: dict[str, str]) -> None:
    """Draw the bars of some metrics side by side."""
    peers = record["peers"]
    width = 0.8 / len(peers)
    for place, (peer, about) in enumerate(peers.items()):
        values = [record["medians"][metric].get(peer, 0) for metric in names]
        spots = [number + (place - (len(peers) - 1) / 2) * width for number in range(len(names))]
        drawn = axes.bar(
            spots, values, width * 0.92, label=about["title"], color=COLOURS[place % len(COLOURS)]
        )
        axes.bar_label(drawn, [short(value) for value in values], fontsize=7, padding=1)
    axes.set_xticks(range(len(names)), names.values())


def short(value: float) -> str:
    """Write a value in few characters."""
    if not value:
        return "-"
    return (
        f"{value / 1000:.0f}k"
        if value >= 10_000
        else f"{value / 1000:.1f}k"
        if value >= 1000
        else f"{value:.3g}"
    )


if __name__ == "__main__":
    main()
