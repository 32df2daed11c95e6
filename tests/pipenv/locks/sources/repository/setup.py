from setuptools import setup

setup(
    name="greet",
    version="3.0",
    packages=["greet"],
    package_data={"greet": ["words.txt"]},
    entry_points={"console_scripts": ["greet=greet:main"]},
)
