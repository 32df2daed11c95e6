from setuptools import find_packages, setup

setup(name="greet-more", version="4.0", packages=find_packages("src"), package_dir={"": "src"})
