"""Where the time of a warm-unpack run goes: perf's hottest symbols and strace's system calls."""

import shutil
import subprocess

from peers import Tool, floor
from rounds import WARM_UNPACK, Rounds, environment
from workspace import PROFILES, REPOSITORY


def capture(bench: Rounds, tool: Tool, prefix: list[str]) -> None:
    """One run with `prefix` before each of the tool's commands."""
    cache = bench.warm[tool.name].cache if tool.name in bench.warm else None
    job = bench.job(tool, WARM_UNPACK, cache)
    variables = environment(tool, job, bench.server.netrc)
    log = job.project.parent / "output.log"
    # The last command is the one that fills the environment.
    *before, last = tool.commands(job)
    with log.open("ab") as output:
        for command in [*before, [*prefix, *last]]:
            subprocess.run(command, check=True, cwd=job.project, env=variables, stdout=output, stderr=output)


def profile(bench: Rounds) -> None:
    """Writes target/bench/profile/SET-TOOL.{perf,strace}.txt, with `cp -a` for comparison."""
    PROFILES.mkdir(parents=True, exist_ok=True)
    for tool in bench.tools:
        bench.prime(tool)
    for tool in [*bench.tools, floor(bench.copy())[1]]:
        stem = PROFILES / f"{bench.name}-{tool.name.replace(' ', '')}"
        if perf := shutil.which("perf"):
            data = f"{stem}.perf.data"
            capture(bench, tool, [perf, "record", "--quiet", "-F", "499", "-g", "-o", data, "--"])
            for kind, keys in [("objects", "dso"), ("symbols", "dso,symbol")]:
                report = [perf, "report", "--stdio", "--no-children", "-g", "none", "--sort", keys]
                report += ["--percent-limit", "0.5", "-i", data]
                text = subprocess.run(report, check=True, capture_output=True, text=True).stdout
                (PROFILES / f"{stem.name}.perf-{kind}.txt").write_text(text)
        if strace := shutil.which("strace"):
            capture(bench, tool, [strace, "-c", "-f", "-o", f"{stem}.strace.txt"])
        print(f"  {bench.name} {tool.name}: {stem.relative_to(REPOSITORY)}.*", flush=True)
