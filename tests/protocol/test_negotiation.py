import pytest

from gateway.protocol.negotiation import mismatch, negotiate


@pytest.mark.parametrize(
    ("lowest", "highest", "chosen"),
    [(3, 3, 3), (3, 4, 4), (4, 9, 4), (1, 9, 4), (1, 2, None), (5, 9, None), (4, 3, None)],
)
def test_the_newest_in_common(lowest: int, highest: int, chosen: int | None) -> None:
    assert negotiate(lowest, highest) == chosen


def test_a_mismatch_is_told_in_the_shape_of_the_nearer_version() -> None:
    assert mismatch(1, 2).details == {"expectedProtocol": 3}
    details = mismatch(5, 6).details
    assert details is not None and details["code"] == "PROTOCOL_MISMATCH" and details["clientMaxProtocol"] == 6
