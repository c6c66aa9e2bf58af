# Sourced. `find_python` prints a Python >= 3.11: the system's own if it is new enough (units and other users can run it),
# else the one on PATH.
find_python() {
    for candidate in /usr/bin/python3 python3; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}
