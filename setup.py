"""Build the compiled extensions of asks_fast. All other metadata is in pyproject.toml."""

import os
from glob import glob
from pathlib import Path

from Cython.Build import cythonize
from Cython.Compiler import Options
from setuptools import Extension, setup

DEBUG = os.environ.get("ASKS_FAST_DEBUG") == "1"  # line tracing, invariant checks, no optimisation
STRICT = os.environ.get("ASKS_FAST_WERROR") == "1"  # a warning of Cython or of C fails the build
ANNOTATE = os.environ.get("ASKS_FAST_ANNOTATE") == "1"  # HTML pages that show the C of each line
Options.warning_errors = STRICT
Options.closure_freelist_size = 256  # coroutine frames kept for reuse

DIRECTIVES = {
    "language_level": 3,
    "auto_pickle": False,
    "boundscheck": True,
    "wraparound": False,
    "initializedcheck": DEBUG,
    "linetrace": DEBUG,
}

WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Wno-unused-parameter",
    "-Wno-missing-field-initializers",
    "-Wno-cast-function-type",
    *(["-Werror"] if STRICT else []),
]
MODULES = {"_hotpath": "hotpath/_hotpath.pyx", "_kernel": "kernel/_kernel.pyx"}


# cythonize does not see changes of the .pxd files that others include.
FILES = sorted(glob("src_pyx/*/*.p[yx]*"))
GENERATED = [Path("build/cython/src_pyx", source).with_suffix(".c") for source in MODULES.values()]
IS_OUTDATED = any(
    c_file.exists() and c_file.stat().st_mtime < max(os.path.getmtime(file) for file in FILES)
    for c_file in GENERATED
)


def extension(name: str, *sources: str) -> Extension:
    return Extension(
        f"asks_fast.{name}",
        [f"src_pyx/{source}" for source in sources],
        depends=FILES,
        define_macros=[("CYTHON_TRACE", "1")] if DEBUG else [],
        extra_compile_args=(["-O0", "-g"] if DEBUG else ["-O3", "-g0"]) + WARNINGS,
    )


# Cython keeps the code objects of tracebacks by line number alone. Of a module of several files, an
# error would be shown in the function of whichever file had one in that line first. So the C code
# looks them up by file and line. The names of the files are constants within 64 KiB.
LINE = "c_line ? -c_line : py_line"
FILE_AND_LINE = "(int)(((unsigned int)(size_t)filename << 15 ^ (unsigned int)py_line) & 0x7fffffff)"


def separate_files(module: Extension) -> Extension:
    """Look up code objects of tracebacks by file and line in the C code of a module."""
    for source in map(Path, module.sources):
        text = source.read_text()
        if LINE in text:
            source.write_text(text.replace(LINE, FILE_AND_LINE))
    return module


setup(
    ext_modules=[
        separate_files(module)
        for module in cythonize(
            [
                extension(name, source)
                for name, source in MODULES.items()
                if os.path.exists(f"src_pyx/{source}")
            ],
            compiler_directives=DIRECTIVES,
            include_path=["src_pyx"],  # of asks_fast/_hotpath.pxd and _kernel.pxd
            annotate=ANNOTATE,
            force=IS_OUTDATED,
            build_dir="build/annotate" if ANNOTATE else "build/cython",
        )
    ],
)
