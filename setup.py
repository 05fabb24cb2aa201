"""What pyproject.toml can't say: packages are found, and one of them lies elsewhere than its name.

`kernels/` is imported as `outlines.kernels`: a distribution called `kernels` exists, and transformers looks for it.
"""

from setuptools import find_packages, setup

kernels = ["outlines.kernels", *(f"outlines.kernels.{name}" for name in find_packages("kernels"))]
setup(
    packages=[*find_packages(include=["outlines", "outlines.*"]), *kernels],
    package_dir={"outlines.kernels": "kernels"},
)
