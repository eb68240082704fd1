"""Write the headline table into README.md, between its markers, from reports/metrics.json."""

import json
from pathlib import Path

from penumbra.benchmark.headline import COLUMNS

ROOT = Path(__file__).parents[1]
START, END = "<!-- headline: python benchmarks/readme_table.py -->", "<!-- /headline -->"


def headline(metrics: dict) -> str:
    """The Markdown table, in percent. A headline score that is not the first detector's is named beside its detector."""
    lines = [f"| detector | {' | '.join(COLUMNS)} |", f"|---|{'---:|' * len(COLUMNS)}"]
    usual = next(iter(metrics["detectors"].values()), {}).get("score")
    for name, result in metrics["detectors"].items():
        cells = []
        for path in COLUMNS.values():
            entry = result
            for key in path:
                entry = entry[key]
            cells.append(f"{100 * entry['mean']:.1f}" + ("" if entry["std"] is None else f" ± {100 * entry['std']:.1f}"))
        label = name if result.get("score") == usual else f"{name} ({result['score']})"
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def replaced(readme: str, table: str) -> str:
    """The text of README.md with another table between the markers."""
    before, rest = readme.split(START)
    _, after = rest.split(END)
    return f"{before}{START}\n{table}\n{END}{after}"


if __name__ == "__main__":
    readme = ROOT / "README.md"
    metrics = json.loads((ROOT / "reports/metrics.json").read_text(encoding="utf-8"))
    readme.write_text(replaced(readme.read_text(encoding="utf-8"), headline(metrics)), encoding="utf-8")
