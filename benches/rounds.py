"""The rounds of one set: tools take turns, each run into a fresh directory."""

import itertools
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import distributions
import lockfile
import newer
from measure import Usage, measure, preload
from peers import Job, Tool, floor
from server import Server
from workspace import RUNS, SETS

COLD, WARM_LINK, WARM_UNPACK, NO_OP = "cold", "warm-link", "warm-unpack", "no-op"
ONE, TEN, LESS, MORE = "one-changed", "ten-upgraded", "one-less", "one-more"
FIGURES = [COLD, WARM_LINK, WARM_UNPACK, NO_OP, ONE, TEN, LESS, MORE]
# How many packages have a newer release.
UPGRADED = 10
# Of how many packages there is another version, and whether one is missing before and after.
CHANGES = {ONE: (1, False, False), TEN: (UPGRADED, False, False), LESS: (0, False, True), MORE: (0, True, False)}

COUNTER = itertools.count(1)


def environment(tool: Tool, job: Job, netrc: Path) -> dict[str, str]:
    """Nothing of the caller's configuration; the home directory is part of the tool's cache."""
    home = job.cache / "home"
    home.mkdir(parents=True, exist_ok=True)
    path = [str(Path(job.interpreter).parent), "/usr/local/bin", "/usr/bin", "/bin"]
    common = {"HOME": str(home), "PATH": os.pathsep.join(path), "LANG": "C.UTF-8", "NETRC": str(netrc)}
    return common | tool.variables(job)


@dataclass
class Rounds:
    """What is measured of one set. `usages` has figure -> tool -> one usage per round."""

    name: str
    server: Server
    interpreter: str
    tools: list[Tool]
    # Newer wheels of some packages, by name.
    newer: dict[str, Path]
    usages: dict[str, dict[str, list[Usage]]] = field(default_factory=dict)
    # The job that filled each tool's cache, and an environment to copy: of everything but cold.
    warm: dict[str, Job] = field(default_factory=dict)
    tree: Path | None = None
    # An environment that is changed back and forth, of each tool.
    changing: dict[str, Job] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lock = lockfile.read_lock(SETS / self.name)

    def job(self, tool: Tool, figure: str, cache: Path | None = None) -> Job:
        """A fresh project directory, with a fresh cache unless one is given."""
        label = tool.name.replace(" ", "")
        directory = RUNS / f"run-{next(COUNTER)}-{self.name}-{figure}-{label}"
        project, url = directory / "project", self.server.url(self.name)
        lockfile.write_project(SETS / self.name, project, url)
        (project / "requirements.txt").write_text(lockfile.requirements(self.lock))
        link = figure != WARM_UNPACK
        return Job(project, cache or directory / "cache", self.interpreter, url, link, again=figure == NO_OP)

    def run(self, tool: Tool, job: Job, lock: dict | None = None) -> Usage:
        variables = environment(tool, job, self.server.netrc)
        log = job.project.parent / "output.log"
        usage = measure(tool.commands(job), job.project, variables, log)
        distributions.check(job.venv, lock or self.lock, tool.name)
        return usage

    def record(self, figure: str, tool: Tool, job: Job, source: Path) -> None:
        """A measured run, which reads from `source`."""
        preload(source)
        usage = self.run(tool, job)
        self.usages.setdefault(figure, {}).setdefault(tool.name, []).append(usage)
        print(f"  {self.name} {figure} {tool.name}: {usage.wall:.3f} s", flush=True)

    def prime(self, tool: Tool) -> None:
        """Fills the tool's cache, once per link mode, as the first warm run is not yet a warm one."""
        job = self.job(tool, COLD)
        self.run(tool, job)
        if tool.links:
            self.run(tool, self.job(tool, WARM_UNPACK, job.cache))
        self.warm[tool.name] = Job(**{**vars(job), "again": True})

    def copy(self) -> Path:
        """An environment whose files have no other links, for the floor to be measured on."""
        tool = self.tools[0]
        job = self.job(tool, WARM_UNPACK, self.warm[tool.name].cache)
        self.run(tool, job)
        return job.venv

    def change(self, figure: str, tool: Tool) -> None:
        """Some packages come, go or are upgraded; the cache has all of them."""
        count, missing_before, missing_after = CHANGES[figure]
        names = sorted(self.newer)
        before = newer.without(self.lock, names[0]) if missing_before else self.lock
        later = newer.without(self.lock, names[0]) if missing_after else self.lock
        later = newer.upgraded(later, self.newer, names[:count])
        if tool.name not in self.changing:
            job = self.job(tool, figure, self.warm[tool.name].cache)
            self.run(tool, job)
            self.changing[tool.name] = job = Job(**{**vars(job), "again": True})
            self.relock(tool, job, newer.upgraded(self.lock, self.newer, names))
        job = self.changing[tool.name]
        self.relock(tool, job, before)
        self.prepare(job, later)
        preload(job.cache)
        usage = self.run(tool, job, later)
        self.usages.setdefault(figure, {}).setdefault(tool.name, []).append(usage)
        print(f"  {self.name} {figure} {tool.name}: {usage.wall:.3f} s", flush=True)

    def prepare(self, job: Job, lock: dict) -> None:
        """Writes another lock into a project."""
        mine = lockfile.read_lock(job.project)
        lockfile.write_lock(job.project, {**mine, "default": lock["default"]})
        (job.project / "requirements.txt").write_text(lockfile.requirements(lock))

    def relock(self, tool: Tool, job: Job, lock: dict) -> None:
        """Brings an environment to another lock, unmeasured."""
        self.prepare(job, lock)
        self.run(tool, job, lock)

    def once(self, figure: str, tool: Tool) -> None:
        if figure in CHANGES:
            self.change(figure, tool)
        elif figure == NO_OP:
            job = self.warm[tool.name]
            self.record(figure, tool, job, job.venv)
        elif figure == COLD:
            self.record(figure, tool, self.job(tool, figure), RUNS / "index" / self.name)
        elif tool.name in self.warm:
            cache = self.warm[tool.name].cache
            self.record(figure, tool, self.job(tool, figure, cache), cache)
        else:
            self.record(figure, tool, self.job(tool, figure), self.tree)

    def measure(self, figures: list[str], runs: int, slow_runs: int) -> None:
        """Makes all rounds of the figures."""
        floors = {}
        if any(figure != COLD for figure in figures):
            for tool in self.tools:
                self.prime(tool)
            self.tree = self.copy()
            link, copy = floor(self.tree)
            floors = {WARM_LINK: [link], WARM_UNPACK: [copy]}
        for figure in figures:
            # What cannot link takes the same time either way: it is measured once.
            tools = [tool for tool in self.tools if figure in (tool.figures or FIGURES)]
            tools = [tool for tool in tools if tool.links or figure != WARM_LINK]
            # What only adds would keep what is no longer locked.
            tools = [tool for tool in tools if tool.removes or figure not in (LESS, MORE)]
            fast = [tool for tool in tools if not tool.slow] + floors.get(figure, [])
            slow = [tool for tool in tools if tool.slow]
            for tool in fast * runs + slow * slow_runs:
                self.once(figure, tool)


def clear() -> None:
    if RUNS.exists():
        print("deleting what earlier runs left", flush=True)
        shutil.rmtree(RUNS)
