"""Builds the compiled half of asks_fast. Everything else is said in pyproject.toml."""

import os

from Cython.Build import cythonize
from setuptools import Extension, setup

DEBUG = os.environ.get("ASKS_FAST_DEBUG") == "1"

DIRECTIVES = {
    "language_level": 3,
    "auto_pickle": False,
    "boundscheck": True,
    "wraparound": False,
    "initializedcheck": DEBUG,
    "linetrace": DEBUG,
}

WARNINGS = ["-Wall", "-Wextra", "-Wno-unused-parameter", "-Wno-missing-field-initializers",
            "-Wno-cast-function-type"]


def extension(name: str, *sources: str) -> Extension:
    return Extension(
        f"asks_fast.{name}",
        [f"src_pyx/{source}" for source in sources],
        depends=[f"src_pyx/{entry}" for entry in sorted(os.listdir("src_pyx"))],
        define_macros=[("CYTHON_TRACE", "1")] if DEBUG else [],
        extra_compile_args=(["-O0", "-g"] if DEBUG else ["-O3"]) + WARNINGS,
    )


setup(
    ext_modules=cythonize(
        [extension("_hotpath", "_hotpath.pyx"), *([extension("_kernel", "kernel.pyx")] if os.path.exists("src_pyx/kernel.pyx") else [])],
        compiler_directives=DIRECTIVES,
        build_dir="build/cython",
    ),
)
