from pathlib import Path


def version():
    return (Path(__file__).parent.parent / "VERSION").read_text().strip()
