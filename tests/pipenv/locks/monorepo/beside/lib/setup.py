from setuptools import setup

try:
    with open("../VERSION") as file:
        version = file.read().strip()
except OSError:
    version = "0.0.0"

setup(name="lib", version=version, py_modules=["lib"])
