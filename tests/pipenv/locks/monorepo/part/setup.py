import sys

from setuptools import setup

sys.path.append("../../common")

from release import version  # noqa: E402

setup(name="part", version=version(), py_modules=["part"])
