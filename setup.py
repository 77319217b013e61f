"""What pyproject.toml can't express: recipes/ and demo/ are installed inside the package."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["wavegan*"]), "wavegan._recipes", "wavegan._demo"],
    package_dir={"wavegan._recipes": "recipes", "wavegan._demo": "demo"},
)
