"""From samples to figures: medians with the lowest and the highest of the rounds, ratios within one round."""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["Figure", "figures", "table", "write_json"]


class Figure(NamedTuple):
    """One number of the report: the median over rounds, the lowest and the highest."""

    figure: str
    value: float
    low: float
    high: float
    unit: str


class _Goal(NamedTuple):
    least: float
    aim: float


# ratio: what is divided by what, both measured in the same round
_RATIOS: Final = {
    "single_uniform_vs_baseline": ("single_64_uniform_1k_per_second", "baseline_64_uniform_1k_per_second"),
    "single_hot_vs_baseline": ("single_64_hot_per_second", "baseline_64_hot_per_second"),
    "bulk_vs_copy": ("bulk_uniform_1k_per_second", "limit_copy_per_second"),
    "engine_vs_signing": ("engine_uniform_1k_per_second", "limit_signing_per_second"),
    "hot_vs_uniform": ("single_64_hot_per_second", "single_64_uniform_1k_per_second"),
    "growth_5m_vs_10k": ("growth_5m_single_64_per_second", "growth_10k_single_64_per_second"),
    "policy_on_vs_off": ("ruled_64_per_second", "unruled_64_per_second"),
    "single_vs_empty_post": ("single_64_uniform_1k_per_second", "limit_empty_post_64_per_second"),
    "verify_vs_ed25519": ("verify_per_second", "limit_ed25519_verify_per_second"),
    # By processor time, which others on the machine change little: what a single core does of it.
    "verify_vs_ed25519_processor": (
        "verify_processor_per_second",
        "limit_ed25519_verify_processor_per_second",
    ),
    "verify_vs_sha256": ("verify_mb_per_second", "limit_sha256_mb_per_second"),
    "export_vs_sha256": ("export_mb_per_second", "limit_sha256_mb_per_second"),
    "growth_5m_vs_10k_engine": ("growth_5m_engine_per_second", "growth_10k_engine_per_second"),
}
_SAME: Final = {"p99_single_64_ms": "single_64_uniform_1k_p99_ms"}
_GOALS: Final = {
    "single_uniform_vs_baseline": _Goal(3, 6),
    "single_hot_vs_baseline": _Goal(6, 10),
    "bulk_vs_copy": _Goal(0.20, 0.35),
    "engine_vs_signing": _Goal(0.30, 0.45),
    "hot_vs_uniform": _Goal(0.9, 1.1),
    "growth_5m_vs_10k": _Goal(0.9, 1.0),
    "p99_single_64_ms": _Goal(40, 20),
    "rss_api_mb": _Goal(250, 150),
    "policy_decision_us": _Goal(50, 10),
    "policy_on_vs_off": _Goal(0.85, 0.95),
    "reconcile_1m_s": _Goal(60, 40),
    "reconcile_1m_all_s": _Goal(60, 40),
    "reconcile_1m_rss_mb": _Goal(500, 350),
    "reconcile_1m_all_rss_mb": _Goal(500, 350),
    "export_rss_mb": _Goal(300, 150),
    "verify_rss_mb": _Goal(300, 150),
    "verify_vs_ed25519": _Goal(0.5, 0.8),
}
_UNITS: Final = {
    "_mb_per_second": "MB/s",
    "_per_second": "1/s",
    "_ms": "ms",
    "_mb": "MB",
    "_us": "µs",
    "_seconds": "s",
    "_s": "s",
    "_join": "ratio",
}


def figures(samples: Mapping[str, Sequence[float]]) -> list[Figure]:
    """Return the figures with a goal, the other ratios, and then what they were made of, by name."""
    found = {}
    for name, (over, under) in _RATIOS.items():
        if over in samples and under in samples:
            pairs = zip(samples[over], samples[under], strict=True)
            found[name] = _figure(name, [above / below for above, below in pairs], "ratio")
    for name, values in samples.items():
        unit = next((unit for ending, unit in _UNITS.items() if name.endswith(ending)), "")
        found[name] = _figure(name, values, unit)
    for name, other in _SAME.items():
        if other in found:
            found[name] = found[other]._replace(figure=name)
    first = [found.pop(name) for name in (*_GOALS, *_RATIOS) if name in found]
    return first + [found[name] for name in sorted(found)]


def table(shown: Sequence[Figure]) -> str:
    """Return the figures as text, those with goals first."""
    lines = [f"{'figure':40} {'median':>12} {'low':>12} {'high':>12}  {'unit':6} {'at least':>8} {'aim':>6}"]
    for name, value, low, high, unit in shown:
        goal = _GOALS.get(name)
        goals = f"{goal.least:>8g} {goal.aim:>6g}" if goal else ""
        lines.append(f"{name:40} {_number(value)} {_number(low)} {_number(high)}  {unit:6} {goals}".rstrip())
    return "\n".join(lines)


def write_json(path: Path, shown: Sequence[Figure]) -> None:
    """Write the figures as a JSON list."""
    rounded = [
        {
            "figure": one.figure,
            **{name: round(getattr(one, name), 4) for name in ("value", "low", "high")},
            "unit": one.unit,
        }
        for one in shown
    ]
    path.write_text(
        "[\n" + ",\n".join(f"  {json.dumps(one, ensure_ascii=False)}" for one in rounded) + "\n]\n"
    )


def _figure(name: str, values: Sequence[float], unit: str) -> Figure:
    return Figure(name, statistics.median(values), min(values), max(values), unit)


def _number(value: float) -> str:
    return f"{value:>12,.0f}" if abs(value) >= 1_000 else f"{value:>12.4g}"
