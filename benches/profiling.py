"""Where the time of a run goes: perf's hottest symbols and strace's system calls."""

import shutil
import subprocess
from pathlib import Path

from peers import Tool, floor
from rounds import COLD, FIGURES, NO_OP, WARM_LINK, WARM_UNPACK, Rounds, environment
from workspace import PROFILES, REPOSITORY


def capture(bench: Rounds, tool: Tool, figure: str, prefix: list[str]) -> None:
    """One run with `prefix` before each of the tool's commands."""
    warm = bench.warm.get(tool.name) if figure != COLD else None
    job = bench.job(tool, figure, warm.cache if warm else None)
    variables = environment(tool, job, bench.server.netrc)
    log = job.project.parent / "output.log"
    # The last command is the one that fills the environment.
    *before, last = tool.commands(job)
    with log.open("ab") as output:
        for command in [*before, [*prefix, *last]]:
            subprocess.run(command, check=True, cwd=job.project, env=variables, stdout=output, stderr=output)


def report(stem: Path, data: str) -> None:
    """What perf found: by object (kernel or program), by symbol, and by system call."""
    reports = [("objects", ["--no-children", "--sort", "dso"]), ("symbols", ["--no-children", "--sort", "dso,symbol"])]
    # With what was called from there: `__x64_sys_linkat` then is all of linkat.
    reports.append(("calls", ["--children", "--sort", "symbol"]))
    for kind, how in reports:
        command = ["perf", "report", "--stdio", "-g", "none", *how, "--percent-limit", "0.5", "-i", data]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        Path(f"{stem}.perf-{kind}.txt").write_text(text)


def profile(bench: Rounds, figures: list[str]) -> None:
    """Writes target/bench/profile/SET-FIGURE-TOOL.{perf,strace}.txt, with `cp` for comparison."""
    PROFILES.mkdir(parents=True, exist_ok=True)
    for tool in bench.tools:
        bench.prime(tool)
    link, copy = floor(bench.copy())
    # What does nothing takes too little to see.
    for figure in [figure for figure in figures if figure != NO_OP]:
        tools = [tool for tool in bench.tools if figure in (tool.figures or FIGURES)]
        for tool in [*tools, *{WARM_LINK: [link], WARM_UNPACK: [copy]}.get(figure, [])]:
            stem = PROFILES / f"{bench.name}-{figure}-{tool.name.replace(' ', '')}"
            if perf := shutil.which("perf"):
                data = f"{stem}.perf.data"
                capture(bench, tool, figure, [perf, "record", "--quiet", "-F", "1999", "-g", "-o", data, "--"])
                report(stem, data)
            if strace := shutil.which("strace"):
                capture(bench, tool, figure, [strace, "-c", "-f", "-o", f"{stem}.strace.txt"])
            print(f"  {bench.name} {figure} {tool.name}: {stem.relative_to(REPOSITORY)}.*", flush=True)
