#!/usr/bin/env bash
# Measure the line coverage of the Python and the Cython code, and fail below the minimum that
# pyproject.toml sets. Arguments go to pytest; with arguments the minimum is not checked.
#
# Cython reports lines through the tracing API of CPython up to 3.11 without loss, so use 3.11.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$(cd "${VENV:-.venv}/bin" && pwd)/python
home=$PWD/build/coverage

# A copy of the package with its own objects, so that the extensions built in place stay as they are.
mkdir -p "$home"
rm -rf "$home/asks_fast" "$home/src_pyx"
cp -r setup.py pyproject.toml README.md LICENSE asks_fast src_pyx .ci/cython_coverage.py "$home"
rm -f "$home"/asks_fast/*.so
(cd "$home" && ASKS_FAST_DEBUG=1 "$python" setup.py --quiet build_ext --inplace)
# Coverage finds the lines of a .pyx file in the C file next to it.
(cd "$home/build/cython" && find src_pyx -name '*.c' -exec cp {} "$home/{}" \;)

# These interrupt at any moment, run out of memory, or compare memory or frames: line tracing takes
# part in all of that.
untraceable="ctrl_c or test_interrupts or interrupt_ends_a_wait or no_memory or nothing_grows or as_short"

export PYTHONPATH="$home" COVERAGE_FILE="$home/.coverage"
rm -f "$home"/.coverage*
coverage=("$python" -m coverage)
status=0
(cd tests && "${coverage[@]}" run --rcfile "$home/pyproject.toml" \
  --source "$home/asks_fast,$home/src_pyx" -m pytest -c ../pyproject.toml -p no:cacheprovider \
  -m "not slow and not chaos" -k "not ($untraceable)" --timeout 900 -n "${JOBS:-2}" "$@") || status=$?

cd "$home"
"${coverage[@]}" combine --quiet
"${coverage[@]}" html --quiet --fail-under 0
if [ $# -eq 0 ]; then
  "${coverage[@]}" report || status=$?
else
  "${coverage[@]}" report --fail-under 0
fi
echo "Details: build/coverage/htmlcov/index.html"
exit "$status"
