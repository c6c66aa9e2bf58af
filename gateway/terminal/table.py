"""Rows in columns: cut at the terminal's width, not cut in a pipe."""

import shutil
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size

from gateway.terminal.writer import is_terminal, print_line
from gateway.text.visible import DIM, one_line, paint

GAP = "  "


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> None:
    """Columns in `right` are right-aligned. On a terminal a line is cut at its width."""
    rows = [[one_line(cell).replace("\t", " ") for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(heads, *rows, strict=True)]
    room = shutil.get_terminal_size().columns if is_terminal() else None
    for number, row in enumerate((heads, *rows)):
        cells = [_padded(cell, width, head in right) for cell, width, head in zip(row, widths, heads, strict=True)]
        line = GAP.join(cells).rstrip()
        if room is not None and cell_len(line) > room:
            line = set_cell_size(line, room - 1).rstrip() + "…"
        print_line(paint(line, "" if number else DIM))


def _padded(cell: str, width: int, right: bool) -> str:
    filling = " " * (width - cell_len(cell))
    return filling + cell if right else cell + filling
