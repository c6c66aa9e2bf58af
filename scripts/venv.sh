#!/bin/bash
# venv.sh run|test|fuzz: makes .venv with the dependencies in pyproject.toml (test: and the development tools; fuzz: and
# the fuzzer). Costs nothing when that has not changed since the last time.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/python.sh

python=$(find_python)
groups=(build-system.requires project.dependencies)
[ "$1" = run ] || groups+=(project.optional-dependencies.dev)
[ "$1" != fuzz ] || groups+=(project.optional-dependencies.fuzz)
stamp=.venv/.made-for-$1
want=$("$python" -c 'import sys; print(sys.version, sys.prefix)'; cat pyproject.toml scripts/venv.sh | sha256sum)
[ -x .venv/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$want" ] && exit 0

if ! .venv/bin/python -c 'import sys; sys.exit(sys.version != sys.argv[1])' \
    "$("$python" -c 'import sys; print(sys.version)')" 2>/dev/null; then
    echo "Making .venv with $("$python" --version) ($python)"
    "$python" -m venv --clear .venv
fi
echo "Installing the dependencies into .venv (systemd-python is compiled, which takes a moment)"
.venv/bin/python - "${groups[@]}" >.venv/requirements.txt <<'READ'
import functools, sys, tomllib
with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)
for group in sys.argv[1:]:
    print(*functools.reduce(dict.__getitem__, group.split("."), project), sep="\n")
READ
if ! .venv/bin/python -m pip install --quiet --disable-pip-version-check --use-pep517 -r .venv/requirements.txt; then
    [ "$1" != fuzz ] || echo "Without the fuzzer (atheris has no wheel for every Python and machine) there is no \`make fuzz\`;" \
        "\`make test\` replays its corpus all the same." >&2
    exit 1
fi
echo "$want" | tee .venv/.made-for-run >"$stamp"
