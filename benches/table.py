"""Medians and ratios, for people and for results.json."""

from dataclasses import asdict
from statistics import median

from measure import Usage
from rounds import WARM_LINK, WARM_UNPACK

OURS = "venvoy"


def medians(usages: list[Usage]) -> dict[str, float]:
    rows = [asdict(usage) for usage in usages]
    return {key: median(row[key] for row in rows) for key in rows[0]} | {"runs": len(rows)}


def summary(usages: dict[str, dict[str, list[Usage]]]) -> dict[str, dict[str, dict[str, float]]]:
    """Figure -> tool -> medians. A tool that cannot link has its one warm figure in both places."""
    result = {
        figure: {tool: medians(values) for tool, values in tools.items()}
        for figure, tools in usages.items()
    }
    if WARM_LINK in result:
        for tool, values in result.get(WARM_UNPACK, {}).items():
            if not tool.startswith(("cp ", f"{OURS} ")):
                result[WARM_LINK].setdefault(tool, values)
    return result


def print_table(title: str, result: dict[str, dict[str, dict[str, float]]]) -> None:
    """Seconds; `ratio` is how many times as long as venvoy, or as the first tool without venvoy."""
    print(f"\n{title}")
    header = ["figure", "tool", "wall s", "ratio", "user s", "system s", "peak MiB", "runs"]
    print("{:<12} {:<12} {:>9} {:>7} {:>8} {:>9} {:>9} {:>5}".format(*header))
    for figure, tools in result.items():
        base = tools.get(OURS) or next(iter(tools.values()))
        for tool, row in tools.items():
            ratio = row["wall"] / base["wall"]
            print(
                f"{figure:<12} {tool:<12} {row['wall']:>9.3f} {ratio:>7.2f} {row['user']:>8.2f}"
                f" {row['system']:>9.2f} {row['memory']:>9.0f} {row['runs']:>5}"
            )
