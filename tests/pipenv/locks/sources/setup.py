from setuptools import find_packages, setup

setup(
    name="shop",
    version="1.0",
    packages=find_packages("src"),
    package_dir={"": "src"},
    extras_require={"cli": ["docopt"]},
    entry_points={"console_scripts": ["shop=shop:main"]},
)
