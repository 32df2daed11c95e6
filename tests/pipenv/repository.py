"""The repository that a case's lock names: made anew, with the same commit each time, for a static server."""

import shutil
import subprocess
import tempfile
from pathlib import Path

WHO = {"NAME": "Test", "EMAIL": "test@example.invalid", "DATE": "2020-01-01T00:00:00Z"}


def make(source: Path, bare: Path) -> str:
    """Commits the files of `source` and puts the repository at `bare`; gives the commit."""
    shutil.rmtree(bare, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "tree"
        shutil.copytree(source, tree)
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": scratch}
        for role in ("AUTHOR", "COMMITTER"):
            env |= {f"GIT_{role}_{key}": value for key, value in WHO.items()}

        def git(*words: str) -> str:
            done = subprocess.run(["git", *words], cwd=tree, env=env, check=True, capture_output=True, text=True)
            return done.stdout.strip()

        git("-c", "init.defaultBranch=main", "init", "--quiet")
        git("add", "--all")
        git("commit", "--quiet", "--message", "one")
        git("clone", "--quiet", "--bare", str(tree), str(bare))
        git("--git-dir", str(bare), "update-server-info")
        return git("rev-parse", "HEAD")
