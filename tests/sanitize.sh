#!/usr/bin/env bash
# The tests of the compiled half, with the extension built for AddressSanitizer and UBSan: reading or
# writing beside a buffer, use after free, undefined arithmetic ends the run. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$(cd "${VENV:-.venv}/bin" && pwd)/python
home=$PWD/build/sanitized
flags="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g -O1"

# A copy of the package with its own objects: what is built in place stays as it is.
CFLAGS="$flags" LDFLAGS="$flags" "$python" setup.py --quiet build_py --build-lib "$home" \
    build_ext --build-lib "$home" --build-temp build/sanitized-objects

# Python's own allocator would hide what happens within its arenas; its leaks at exit are not ours.
export PYTHONPATH="$home" PYTHONMALLOC=malloc
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1
libraries="$(gcc -print-file-name=libasan.so):$(gcc -print-file-name=libubsan.so)"
libraries="$libraries:$(gcc -print-file-name=libstdc++.so)"
cd tests        # away from the package in the tree
if [ $# -eq 0 ]; then
    set -- wire pool promises kernel hosts security fuzz faults decoding
fi
exec env LD_PRELOAD="$libraries" "$python" -m pytest -c ../pyproject.toml --timeout 600 -p no:xdist \
    -k "not waiters and not ctrl_c" "$@"
