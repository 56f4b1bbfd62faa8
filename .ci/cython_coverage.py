"""A plugin of coverage.py that measures `.pyx` files which a Cython module includes.

It lies in the folder in which the extensions were built, so that the paths in their C files start
here. Cython's own plugin resolves these paths against the working directory, which a test may
change, and expects the name of an included file to end in `.pxi`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from coverage.files import canonical_filename
from Cython.Coverage import Plugin

if TYPE_CHECKING:
    from coverage.plugin_support import Plugins

ROOT = os.path.dirname(os.path.abspath(__file__))


class IncludedSources(Plugin):  # type: ignore[misc]  # Cython has no types
    """Cython's plugin, with another way to find the C file of a source file."""

    def _find_source_files(self, filename: str) -> tuple[str | None, str | None]:
        c_file, py_file = super()._find_source_files(filename)
        if c_file is None and filename.endswith(".pyx"):
            self._find_c_source_files(os.path.dirname(filename), filename)
            c_file = (self._c_files_map or {}).get(filename, [None])[0]
        return c_file, py_file

    def _read_source_lines(
        self, c_file: str, sourcefile: str
    ) -> tuple[str | None, dict[int, str] | None]:
        self._parsed_c_files = self._parsed_c_files or {}
        self._c_files_map = self._c_files_map or {}
        if c_file not in self._parsed_c_files:
            self._parsed_c_files[c_file] = self._parse_cfile_lines(c_file)
            for name, lines in self._parsed_c_files[c_file].items():
                path = canonical_filename(os.path.join(ROOT, name))
                self._c_files_map[path] = (c_file, name, lines)
        _, name, lines = self._c_files_map.get(sourcefile, (None, None, None))
        return name, lines


def coverage_init(registry: Plugins, _: object) -> None:
    """Called by coverage.py when it loads the plugin."""
    plugin = IncludedSources()
    registry.add_configurer(plugin)
    registry.add_file_tracer(plugin)
