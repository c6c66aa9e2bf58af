#!/bin/bash
# test.sh fast|most|all|e2e|of [FILE] [pytest's options]: runs the tests. Those that bear others beside them run in
# parallel, then come the `serial` ones by themselves. EFFORT, WORKERS and SLOWEST change what tests/effort.py, pytest-xdist
# and --durations get.
set -uo pipefail
cd "$(dirname "$0")/.."
# What many processes import is compiled once.
unset PYTHONDONTWRITEBYTECODE
cores=$(nproc)
what=$1
shift
marks=
serial=yes
ignored=
places=()
case $what in
fast)
    : "${EFFORT:=0.05}" "${WORKERS:=$cores}"
    marks="not e2e and not process and not exhaustive"
    # Another pass for a few tests, and files to read of which none is selected, would cost a quarter of the time.
    serial=
    ignored=--ignore=tests/e2e
    ;;
most) marks="not exhaustive" ;;
all) : "${EFFORT:=1}" ;;
e2e)
    places=(tests/e2e)
    marks="not exhaustive"
    export E2E=required
    ;;
of)
    mapfile -t places < <(.venv/bin/python scripts/tests_of.py "$1") || exit
    [ ${#places[@]} -gt 0 ] || exit 2
    shift
    echo "The tests of it: ${places[*]}"
    ;;
*)
    echo "usage: test.sh fast|most|all|e2e|of FILE [pytest's options]" >&2
    exit 2
    ;;
esac
export EFFORT=${EFFORT:-0.15}
# End-to-end tests wait for a fifth of their time.
: "${WORKERS:=$((cores + (cores + 1) / 2))}" "${SLOWEST:=25}"

run() { # run MARKS OPTIONS...: nothing selected is no failure, the other pass may have something
    local marks=$1
    shift
    .venv/bin/python -m pytest "${places[@]}" ${ignored:+"$ignored"} -m "$marks" "$@"
    local code=$?
    [ $code -eq 5 ] && empty=$((empty + 1)) && return 0
    return $code
}
# What the end-to-end tests try is built while the others run; where it cannot be, they say why.
case $what in most | all | e2e) .venv/bin/python -m tests.e2e.installation >/dev/null 2>&1 & ;; esac
trap 'kill %1 2>/dev/null' EXIT
empty=0
failed=0
run "${marks:+$marks and }not serial" --numprocesses="$WORKERS" --dist=worksteal --durations="$SLOWEST" "$@" || failed=$?
# Interrupted: nobody waits for the rest.
[ $failed -eq 2 ] && exit 2
if [ -n "$serial" ]; then
    # To read the files of which none is selected would cost as much as the tests of some.
    [ ${#places[@]} -gt 0 ] || mapfile -t places < <(grep -rl --include='test_*.py' 'mark\.serial' tests)
    run "${marks:+$marks and }serial" --durations=5 "$@" || failed=$?
else
    empty=$((empty + 1))
fi
[ $empty -eq 2 ] && echo "No test was selected." >&2 && exit 5
exit $failed
