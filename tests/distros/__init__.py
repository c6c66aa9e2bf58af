"""The whole test suite on other releases of Debian, on this machine: another systemd, another Python, no containers.

    python -m tests.distros trixie sid              `make test` on both
    python -m tests.distros trixie -- -k adoption   with options for pytest
    python -m tests.distros sid --make test-fast    another target of the Makefile

`make test-all` runs both. debootstrap makes a root once (two minutes, 1 GB, kept under `.cache/distros` for two weeks);
scripts/packages.sh and scripts/venv.sh then install in it what they install on any machine, from the package sources
that apt and pip have here. The tests see a copy of the working tree, no network but a loopback of their own, and
nothing of this machine but its kernel. A machine that cannot do it (no root, no cgroup v2, no debootstrap, no package
source that answers) says why in one line.

To look around in one: `python -m tests.distros sid --run bash -c '…'`.
"""
