"""The Dockerfile of `docs/gitlab.md` that gets GitLab's tokens as build arguments, and no CI_SERVER_HOST."""

from __future__ import annotations

from pathlib import Path

import project
from engine import Engine, fail
from images import REPOSITORY
from serve import PASSWORD, PRIVATE_HOST, USER, Indexes

import docs

PAGE = REPOSITORY / "docs" / "gitlab.md"
FILE = "tokens.Dockerfile"
JOB_TOKEN, WRONG = "canary-job-token-of-a-build", "canary-of-another-project"
# What is looked for with each set of arguments that does not do: `auth` says it, and so does the build.
REFUSED = {
    "a wrong job token": ({"CI_JOB_TOKEN": WRONG}, "user gitlab-ci-token (from CI_JOB_TOKEN)"),
    "a wrong deploy token": (
        {"CI_DEPLOY_USER": USER, "CI_DEPLOY_PASSWORD": WRONG, "CI_JOB_TOKEN": JOB_TOKEN},
        f"user {USER} (from CI_DEPLOY_PASSWORD)",
    ),
    "no token": ({}, "no credentials"),
}


def arguments(tokens: dict[str, str]) -> list[str]:
    return [part for name, value in tokens.items() for part in ("--build-arg", f"{name}={value}")]


def check(engine: Engine, indexes: Indexes, wheel: Path, place: Path) -> None:
    """Built with its three arguments the file works, and says where which token goes; else it says what is wrong."""
    indexes.let_in("gitlab-ci-token", JOB_TOKEN)
    text = docs.files(PAGE)[FILE]
    (install,) = (line for line in text.splitlines() if "venvoy install" in line)
    files = {FILE: text, "auth.Dockerfile": text.replace(install, "RUN venvoy auth --check || venvoy auth; false")}
    context = project.write(place / "tokens", indexes.url, files, private=(indexes.gitlab_url, wheel))
    reach = ("--no-cache", "--add-host", f"{PRIVATE_HOST}:127.0.0.1")

    def build(file: str, tokens: dict[str, str], works: bool) -> str:
        said = engine.build(context, "tokens", *reach, "--file", context / file, *arguments(tokens), works=works)
        # The engine itself shows no argument's value.
        if leaked := [secret for secret in (PASSWORD, JOB_TOKEN, WRONG) if secret in said]:
            fail(f"{file} printed {len(leaked)} of its tokens")
        return said

    three = {"CI_DEPLOY_USER": USER, "CI_DEPLOY_PASSWORD": PASSWORD, "CI_JOB_TOKEN": JOB_TOKEN}
    for tokens, name in ((three, "CI_DEPLOY_PASSWORD"), ({"CI_JOB_TOKEN": JOB_TOKEN}, "CI_JOB_TOKEN")):
        before = len(indexes.private_requests())
        said = build(FILE, tokens, works=True)
        if f"{name} goes to {PRIVATE_HOST}:{indexes.private_port}, the one source with GitLab's package API" not in said:
            fail(f"{FILE} does not say where {name} goes:\n{said}")
        user = USER if name == "CI_DEPLOY_PASSWORD" else "gitlab-ci-token"
        asked = [line for line in indexes.private_requests()[before:] if "shop" in line]
        if not asked or any(f" {user} /api/v4/projects/7/" not in line for line in asked):
            fail(f"with {name} the private index was asked {asked}")
        price = engine.run("tokens", "python", "-c", "import shop_prices; print(shop_prices.SECRET_OF_THE_TRADE)")
        if price.strip() != "buy low":
            fail(f"the private package said {price}")
    for title, (tokens, reason) in REFUSED.items():
        for file in (FILE, "auth.Dockerfile"):
            if reason not in (said := build(file, tokens, works=False)):
                fail(f"{file} with {title} does not say {reason!r}:\n{said}")
    print(f"tokens: the tokens of three arguments reach the index, and {', '.join(REFUSED)} are told")
