"""Rows in columns: as wide as the terminal at most, whole in a pipe."""

import shutil
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size

from gateway.terminal.writer import is_terminal, say
from gateway.text.visible import DIM, one_line, paint

GAP = "  "


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> None:
    """Columns named in `right` stand at their right edge. On a terminal the last one is cut where the line ends."""
    rows = [[one_line(cell).replace("\t", " ") for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(heads, *rows, strict=True)]
    room = shutil.get_terminal_size().columns if is_terminal() else None
    for number, row in enumerate((heads, *rows)):
        cells = [_set(cell, width, head in right) for cell, width, head in zip(row, widths, heads, strict=True)]
        line = GAP.join(cells).rstrip()
        if room is not None and cell_len(line) > room:
            line = set_cell_size(line, room - 1).rstrip() + "…"
        say(paint(line, "" if number else DIM))


def _set(cell: str, width: int, right: bool) -> str:
    filling = " " * (width - cell_len(cell))
    return filling + cell if right else cell + filling
