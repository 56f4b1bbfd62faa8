#!/usr/bin/env bash
# Run the tests of the compiled code with AddressSanitizer and UBSan: an access outside a buffer, a use
# after free or undefined arithmetic ends the run. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$(cd "${VENV:-.venv}/bin" && pwd)/python
home=$PWD/build/sanitized
flags="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g -O1"

# A copy of the package with its own objects, so that the extensions built in place stay as they are.
CFLAGS="$flags" LDFLAGS="$flags" "$python" setup.py --quiet build_py --build-lib "$home" \
    build_ext --build-lib "$home" --build-temp build/sanitized-objects

# These start processes, compare source lines, or measure memory, which the sanitizers keep.
unsuitable="waiters or ctrl_c or frames_of_compiled_code or test_soak"

# Python's allocator hides errors inside its arenas, so use malloc. Leaks of Python at exit are ignored.
export PYTHONPATH="$home" PYTHONMALLOC=malloc
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1
libraries="$(gcc -print-file-name=libasan.so):$(gcc -print-file-name=libubsan.so)"
libraries="$libraries:$(gcc -print-file-name=libstdc++.so)"
cd tests  # Python must not find the package in the project's folder first
if [ $# -eq 0 ]; then
    set -- unit/hotpath unit/response integration/guarantees kernel hosts robustness
fi
exec env LD_PRELOAD="$libraries" "$python" -m pytest -c ../pyproject.toml --timeout 600 -p no:xdist \
    -k "not ($unsuitable)" "$@"
