"""What is kept of a run: JSON, a table in Markdown, plots."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from bench import data
from bench.measure import QUANTILES, Figure, Result, Setting

Results = dict[str, dict[str, Any]]

MARKS = {True: "met", False: "missed", None: "a price"}


def machine() -> str:
    """Describe the machine in words."""
    memory = psutil.virtual_memory().total / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GB of memory, {platform.system()}"


def write(directory: Path, name: str, result: Result, setting: Setting) -> None:
    """Write the outcome of a benchmark as JSON.

    :param directory: made if absent.
    :param name: the benchmark.
    :param result: its outcome.
    :param setting: what it ran in.
    """
    document = {
        "title": result.title,
        "machine": machine(),
        "server": setting.server.settings(),
        "python": platform.python_version(),
        "commit_date": _commit_date(),
        "texts": data.source(),
        "facts": dict(result.facts),
        "figures": [_figure(figure) for figure in result.figures],
        "series": {
            subject: {
                "unit": series.unit,
                "measurements": len(series.values),
                "median": rounded(series.median),
                "p99": rounded(series.p99),
                "quantiles": dict(
                    zip(map(str, QUANTILES), map(rounded, series.quantiles()), strict=True)
                ),
            }
            for subject, series in result.series.items()
        },
    }
    directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, indent=2, ensure_ascii=False)
    (directory / f"{name}.json").write_text(text + "\n", "utf-8")


def read(directory: Path) -> Results:
    """Read the outcomes that a directory has, by benchmark."""
    return {
        path.stem: json.loads(path.read_text("utf-8")) for path in sorted(directory.glob("*.json"))
    }


def regressions(result: Result, committed: Mapping[str, Any]) -> list[str]:
    """Compare a run with the committed one.

    :return: a line for each figure that is worse by more than its tolerance.
    """
    before = {figure["what"]: figure["value"] for figure in committed["figures"]}
    return [
        f"{figure.target.what}: {figure.value:.2f}, committed {before[figure.target.what]:.2f}"
        f" (more than {figure.target.tolerance:.0%} worse)"
        for figure in result.figures
        if figure.target.what in before and figure.is_worse_than(before[figure.target.what])
    ]


def describe(result: Result) -> list[str]:
    """Return lines for the terminal."""
    lines = [
        f"  {subject}: median {series.median:.3g} {series.unit}, p99 {series.p99:.3g}"
        f" ({len(series.values)} measurements)"
        for subject, series in result.series.items()
    ]
    for figure in result.figures:
        target = figure.target
        lines.append(
            f"  {MARKS[figure.is_met]}: {target.what}: {figure.value:.2f} {target.unit}"
            f" [{figure.low:.2f} to {figure.high:.2f}] {_bound(_figure(figure))}"
        )
    return lines


def write_table(directory: Path) -> None:
    """Write README.md: every figure of the outcomes in a directory, and how they were made."""
    results = read(directory)
    lines = [
        "# Results",
        "",
        "Written by `python -m bench`; [performance.md](../../docs/performance.md) says what is"
        " measured and how.",
        "",
        "| what | target | measured | spread | |",
        "| --- | --: | --: | --: | --- |",
    ]
    for result in results.values():
        lines.append(f"| **{result['title']}** | | | | |")
        for figure in result["figures"]:
            lines.append(
                f"| {figure['what']} | {_bound(figure)}"
                f" | {figure['value']:.2f} | {figure['low']:.2f} to {figure['high']:.2f}"
                f" | {'**missed**' if figure['is_met'] is False else MARKS[figure['is_met']]} |"
            )
    for name, result in results.items():
        lines += [
            "",
            f"## {result['title']}",
            "",
            f"![{result['title']}]({name}.svg)",
            "",
            "| subject | median | p99 | measurements |",
            "| --- | --: | --: | --: |",
            *(
                f"| {subject} | {series['median']:.4g} {series['unit']}"
                f" | {series['p99']:.4g} {series['unit']} | {series['measurements']} |"
                for subject, series in result["series"].items()
            ),
            "",
            "; ".join(f"{what}: {value}" for what, value in result["facts"].items()) + ".",
        ]
    machines = sorted({_machine_of(result) for result in results.values()})
    lines += ["", "## Machine and settings", "", *(f"- {line}" for line in machines)]
    (directory / "README.md").write_text("\n".join(lines) + "\n", "utf-8")


def plot(directory: Path) -> None:
    """Draw, for each outcome in a directory, what was measured, and all figures together."""
    import matplotlib as mpl

    mpl.use("svg")
    # The same file for the same numbers, with text that can be searched.
    mpl.rcParams.update({"svg.hashsalt": "aria-db", "svg.fonttype": "none", "font.size": 9})
    results = read(directory)
    for name, result in results.items():
        _plot_series(directory / f"{name}.svg", result)
    _plot_figures(directory / "figures.svg", results)


def _plot_series(path: Path, result: Mapping[str, Any]) -> None:
    """Draw a bar from the 5th to the 95th percentile of each subject, with median and p99."""
    import matplotlib.pyplot as plt

    units = list(dict.fromkeys(series["unit"] for series in result["series"].values()))
    of_unit = {
        unit: {
            subject: series
            for subject, series in result["series"].items()
            if series["unit"] == unit
        }
        for unit in units
    }
    figure, all_axes = plt.subplots(
        len(units),
        squeeze=False,
        layout="constrained",
        figsize=(8, 0.6 * len(units) + 0.4 * len(result["series"]) + 0.4),
        height_ratios=[len(subjects) + 1 for subjects in of_unit.values()],
    )
    for axes, (unit, subjects) in zip(all_axes.flat, of_unit.items(), strict=True):
        for place, series in enumerate(reversed(subjects.values())):
            quantiles = series["quantiles"]
            low, high = quantiles["0.05"], quantiles["0.95"]
            axes.barh(place, high - low, left=low, height=0.5, color="#9ecae1")
            axes.plot(series["median"], place, "o", color="#08519c")
            axes.plot(series["p99"], place, "|", color="#a50f15", markersize=12)
            axes.annotate(
                f"{series['median']:.3g}",
                (series["median"], place),
                xytext=(0, 7),
                textcoords="offset points",
                ha="center",
            )
        axes.set_yticks(range(len(subjects)), list(reversed(subjects)))
        axes.set_ylim(-0.6, len(subjects) - 0.2)
        values = [series["quantiles"]["0.0"] for series in subjects.values()]
        if max(series["p99"] for series in subjects.values()) > 10 * max(min(values), 1e-9):
            _logarithmic(axes)
        else:
            axes.set_xlim(left=0)
        axes.set_xlabel(f"{unit}: dot median, bar 5 to 95 %, stroke p99")
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(result["title"])
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _plot_figures(path: Path, results: Results) -> None:
    """Draw how far each figure is on the good side of its bound."""
    import matplotlib.pyplot as plt

    figures = [
        figure
        for result in results.values()
        for figure in result["figures"]
        if figure["bound"] is not None
    ]
    chart, axes = plt.subplots(layout="constrained", figsize=(10, 0.45 * len(figures) + 1))
    for place, figure in enumerate(reversed(figures)):
        margins = [_margin(figure, figure[end]) for end in ("low", "value", "high")]
        colour = "#238b45" if figure["is_met"] else "#a50f15"
        axes.plot([margins[0], margins[2]], [place, place], color=colour, linewidth=2)
        axes.plot(margins[1], place, "o", color=colour)
    axes.axvline(1, color="black", linewidth=1)
    _logarithmic(axes)
    axes.set_yticks(
        range(len(figures)),
        [f"{figure['what']}: {_bound(figure)}" for figure in reversed(figures)],
    )
    axes.set_xlabel("right of 1: better than the target, by this factor")
    axes.spines[["top", "right"]].set_visible(False)
    chart.savefig(path, metadata={"Date": None})
    plt.close(chart)


def _logarithmic(axes: Any) -> None:
    """Give the axis of the values a logarithmic scale with plain numbers."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _bound(figure: Mapping[str, Any]) -> str:
    """Return the bound of a figure in words; an empty text where it has none."""
    if figure["bound"] is None:
        return ""
    return f"{figure['direction']} {figure['bound']:g} {figure['unit']}".rstrip()


def _margin(figure: Mapping[str, Any], value: float) -> float:
    """Return by which factor a value is better than the bound."""
    if figure["direction"] == "at least":
        return max(value, 1e-3) / float(figure["bound"])
    return float(figure["bound"]) / max(value, 1e-3)


def _figure(figure: Figure) -> dict[str, Any]:
    target = figure.target
    return {
        "what": target.what,
        "direction": target.direction,
        "bound": target.bound,
        "unit": target.unit,
        "tolerance": target.tolerance,
        "value": rounded(figure.value),
        "low": rounded(figure.low),
        "high": rounded(figure.high),
        "is_met": figure.is_met,
    }


def _machine_of(result: Mapping[str, Any]) -> str:
    server = dict(result["server"])
    version = server.pop("server_version")
    settings = ", ".join(f"{name} {value}" for name, value in server.items())
    return (
        f"{result['machine']}; PostgreSQL {version} ({settings}); Python {result['python']};"
        f" {result['texts']}; sources of {result['commit_date']}"
    )


def _commit_date() -> str:
    """Return the date of the commit that is checked out; an empty text outside a checkout."""
    git = shutil.which("git")
    if git is None:
        return ""
    done = subprocess.run(
        [git, "log", "-1", "--format=%cs"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def rounded(value: float) -> float:
    """Round to four digits: more would be noise."""
    return float(f"{value:.4g}")
