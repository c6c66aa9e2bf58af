"""`make test` on Debian 13 and sid."""

import pytest

from tests.distros.root import Unavailable
from tests.distros.suite import RUN_SECONDS, SUITES, make, run

pytestmark = [pytest.mark.exhaustive, pytest.mark.process, pytest.mark.serial]


@pytest.mark.timeout(RUN_SECONDS + 2400)
@pytest.mark.parametrize("suite", SUITES)
def test_the_tests_pass_on(suite: str) -> None:
    try:
        code = run(suite, make("test"))
    except Unavailable as reason:
        pytest.skip(str(reason))
    assert code == 0, f"make test on {suite} ended with {code}"
