"""The jobs of `docs/gitlab.md`, line by line: in the job's image, and with an engine and a registry on loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import project
import yaml
from engine import DOCKER, ENDING, Engine, fail, run
from images import PYTHON, REPOSITORY
from serve import PRIVATE_HOST, Indexes, free_ports

import docs

PAGE = REPOSITORY / "docs" / "gitlab.md"
JOB_TOKEN, REGISTRY_PASSWORD = "canary-job-token-64", "canary-registry-password"
REGISTRY = """
version: 0.1
storage: {{filesystem: {{rootdirectory: {place}/registry}}}}
http: {{addr: "127.0.0.1:{port}"}}
auth: {{htpasswd: {{realm: registry, path: {place}/registry-users}}}}
"""


def jobs() -> dict[str, dict]:
    """The file of the page, read as YAML: its jobs by name."""
    pipeline = yaml.safe_load(docs.files(PAGE)[".gitlab-ci.yml"])
    found = {name: job for name, job in pipeline.items() if isinstance(job, dict) and "script" in job}
    for name, job in found.items():
        if job["stage"] not in pipeline["stages"] or not all(isinstance(line, str) for line in job["script"]):
            fail(f"{PAGE.name}: the job {name} has an unknown stage, or lines that are no text")
    if "/" + found["test"]["cache"]["paths"][0] not in pipeline["variables"]["VENVOY_CACHE_DIR"]:
        fail(f"{PAGE.name}: the cached path is not where venvoy keeps its cache")
    return found


def variables(indexes: Indexes, place: Path) -> dict[str, str]:
    """What GitLab sets in every job, and the file's own."""
    return {
        "CI": "true",
        "CI_PROJECT_DIR": str(place),
        "CI_SERVER_HOST": PRIVATE_HOST,
        "CI_SERVER_PORT": str(indexes.private_port),
        "CI_JOB_TOKEN": JOB_TOKEN,
        "VENVOY_CACHE_DIR": f"{place}/.cache/venvoy",
    }


def test_job(engine: Engine, indexes: Indexes, context: Path) -> None:
    """Runs the job twice in its image; the second time what was cached is enough."""
    job = jobs()["test"]
    place = "/builds/shop"
    env = [part for pair in variables(indexes, Path(place)).items() for part in ("--env", "=".join(pair))]
    reach = ("--network", "host", "--add-host", f"{PRIVATE_HOST}:127.0.0.1", "--volume", f"{context}:{place}")
    script = "\n".join(["set -eu", *job["script"]])
    if job["image"] != PYTHON:
        fail(f"the job's image is {job['image']}, there is only {PYTHON}")
    asked: list[int] = []
    for _ in range(2):
        said = engine("run", "--rm", *reach, *env, "--workdir", place, PYTHON, "sh", "-c", script)
        if "3 passed" not in said or JOB_TOKEN in said:
            fail(f"the job test said\n{said.replace(JOB_TOKEN, '(the token)')}")
        asked.append(
            len([line for line in indexes.private_requests() if " gitlab-ci-token " in line and "shop" in line])
        )
        # GitLab clears what is not in its cache.
        run("rm", "-rf", context / ".venv", context / ".pytest_cache")
    if asked[0] == 0 or asked[1] != asked[0]:
        fail(f"the private index was asked {asked[0]} times with the job's token, then {asked[1] - asked[0]}")


@contextmanager
def registry(place: Path):
    """A registry for images, with a password, until the block ends."""
    (port,) = free_ports(1)
    run("htpasswd", "-Bbc", place / "registry-users", "ci", REGISTRY_PASSWORD)
    configuration = place / "registry.yml"
    configuration.write_text(REGISTRY.format(place=place, port=port))
    with (place / "registry.log").open("wb") as log:
        command = (*ENDING, "docker-registry", "serve", configuration)
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        else:
            fail(f"the registry did not start:\n{(place / 'registry.log').read_text()}")
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def image_job(engine: Engine, indexes: Indexes, context: Path, place: Path) -> None:
    """Runs the job's lines; the image is in the registry then, and the token's file is gone."""
    job = jobs()["image"]
    programs = place / "programs"
    programs.mkdir()
    # The engine of the test under its usual name; its builds reach loopback.
    shim = programs / "docker"
    reach = f"--network host --add-host {PRIVATE_HOST}:127.0.0.1"
    shim.write_text(
        f'#!/bin/sh\nif [ "$1" = build ]; then shift; set -- build {reach} "$@"; fi\nexec {DOCKER} "$@"\n'
    )
    shim.chmod(0o755)
    with registry(place) as host:
        env = {**engine.env, **variables(indexes, context), "DOCKER_BUILDKIT": "1", "CI_COMMIT_SHORT_SHA": "1a2b3c4d"}
        env |= {"CI_REGISTRY": host, "CI_REGISTRY_IMAGE": f"{host}/shop", "CI_REGISTRY_USER": "ci"}
        env |= {"CI_REGISTRY_PASSWORD": REGISTRY_PASSWORD, "PATH": f"{programs}:{os.environ['PATH']}"}
        said = ""
        for part in ("script", "after_script"):
            said += run("sh", "-euc", "\n".join(job[part]), cwd=context, env=env)
        if JOB_TOKEN in said or REGISTRY_PASSWORD in said or Path(f"{context}.netrc").exists():
            fail("the job image printed or left a secret")
        name = f"{host}/shop:1a2b3c4d"
        engine("image", "rm", name)
        engine("pull", "--quiet", name)
        if "total 4" not in engine.run(name):
            fail("the pulled image does not run")
        engine("image", "rm", name)


def run_jobs(engine: Engine, indexes: Indexes, wheel: Path, venvoy_wheel: Path, place: Path) -> None:
    """Both jobs, in a project with a private package."""
    indexes.add(venvoy_wheel)
    indexes.let_in("gitlab-ci-token", JOB_TOKEN)
    files = {"Dockerfile": docs.files(docs.PAGE)["private.Dockerfile"]}
    context = project.write(place / "gitlab", indexes.url, files, private=(indexes.private_url, wheel))
    test_job(engine, indexes, context)
    image_job(engine, indexes, context, place)
    print("gitlab: both jobs ran")
