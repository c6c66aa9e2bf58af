"""Queries of lists and counts. A list of a thousand sessions reads no transcript. Times are ms since 1970."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from gateway.sessions.records import (
    Filter,
    Group,
    MessageCount,
    MessagePlace,
    MessageRow,
    Page,
    Session,
    Spent,
    Summary,
    Used,
)
from gateway.sessions.transcripts import SESSION, find_session, read_row, rows, session

Connection = sqlite3.Connection

_SEARCHED = ("key", "id", *(f"json_extract(entry, '$.{name}')" for name in ("displayName", "label", "subject")))
_NO_COMMAND = "(head NOT LIKE '/%' OR json_extract(body, '$.command') IS NULL)"
"""True unless the message is a command, which names no session. Most bodies, which may hold pictures, are not read."""
_ENDS_WITH_UUID = f"%{'-'.join('_' * length for length in (8, 4, 4, 4, 12))}"
_DAY = "date((at + ?) / 1000, 'unixepoch')"
_SPENT = (
    "count(*), min(at), max(at), sum(input), sum(output), sum(cache_read), sum(cache_write), total(cost),"
    " sum(input_cost), sum(output_cost), sum(cache_read_cost), sum(cache_write_cost), sum(cost IS NULL)"
)
_SAID = "min(at), max(at), count(*), sum(role = 'user'), sum(role = 'assistant'), sum(role = 'toolResult'), sum(failed)"
_MESSAGES = "FROM messages JOIN sessions ON sessions.id = messages.session WHERE at >= ? AND at < ?"


def session_by_id(id: str, db: Connection) -> Session | None:
    row = db.execute(f"SELECT {SESSION} FROM sessions WHERE id = ?", (id,)).fetchone()
    return None if row is None else session(row)


def sessions(which: Filter, limit: int | None, offset: int, db: Connection) -> Page:
    where, values = _where(which)
    order = "coalesce(json_extract(entry, '$.pinned'), 0) DESC, " if which.pinned_first else ""
    (total,) = db.execute(f"SELECT count(*) FROM sessions WHERE {where}", values).fetchone()
    found = db.execute(
        f"SELECT {SESSION} FROM sessions WHERE {where} ORDER BY {order}updated DESC, key LIMIT ? OFFSET ?",
        (*values, -1 if limit is None else limit, offset),
    )
    return Page([session(row) for row in found], total)


def _where(which: Filter) -> tuple[str, list[Any]]:
    parts, values = ["1"], list[Any]()
    if which.agent is not None:
        parts.append("agent = ?")
        values.append(which.agent)
    if which.since is not None:
        parts.append("updated >= ?")
        values.append(which.since)
    if which.but:
        parts.append(f"key NOT IN ({', '.join('?' * len(which.but))})")
        values += which.but
    if which.keys is not None:
        parts.append(f"key IN ({', '.join('?' * len(which.keys))})")
        values += which.keys
    if which.agents is not None:
        parts.append(f"(agent IN ({', '.join('?' * len(which.agents))}) OR key NOT LIKE 'agent:%')")
        values += which.agents
    for part in which.without:
        parts.append("instr(key, ?) = 0")
        values.append(part)
    if which.short is not None:
        parts.append("key LIKE ? AND substr(replace(key, '-', ''), -32) LIKE ?")
        values += [_ENDS_WITH_UUID, f"{which.short}%"]
    for name, value in which.entry.items():
        parts.append("coalesce(json_extract(entry, ?), 0) = ?")
        values += [f'$."{name}"', value]
    if which.search:
        parts.append(f"({' OR '.join(f'instr(casefold({text}), ?)' for text in _SEARCHED)})")
        values += [which.search.casefold()] * len(_SEARCHED)
    return " AND ".join(parts), values


def summaries(keys: Sequence[str], db: Connection) -> dict[str, Summary]:
    head = "SELECT head FROM messages WHERE session = sessions.id AND head <> ''"
    query = (
        f"SELECT key, coalesce(({head} AND role = 'user' AND {_NO_COMMAND} ORDER BY position LIMIT 1), ''),"
        f" coalesce(({head} AND role IN ('user', 'assistant') ORDER BY position DESC LIMIT 1), '')"
        f" FROM sessions WHERE key IN ({', '.join('?' * len(keys))})"
    )
    return {key: Summary(first, last) for key, first, last in db.execute(query, keys)}


def last_rows(keys: Sequence[str], limit: int, db: Connection) -> dict[str, list[MessageRow]]:
    return {key: rows(key, limit, None, db) for key in keys if find_session(key, db) is not None}


def messages_of_run(key: str, run: str, most: int, db: Connection) -> list[MessagePlace]:
    session = find_session(key, db)
    if session is None:
        return []
    found = db.execute(
        "SELECT position, id, body, run,"
        " (SELECT count(*) FROM messages AS others WHERE others.session = mine.session"
        " AND others.position <= mine.position)"
        " FROM messages AS mine WHERE session = ? AND run = ? ORDER BY position LIMIT ?",
        (session.id, run, most),
    )
    return [MessagePlace(read_row(row[:4]), row[4]) for row in found]


def spent(
    since: int,
    until: int,
    by: Sequence[Group],
    offset_min: int,
    agent: str | None,
    session: str | None,
    db: Connection,
) -> list[Spent]:
    columns = [(_DAY if name == "day" else name) if name in by else "NULL" for name in Spent.__struct_fields__[:5]]
    query = (
        f"SELECT {', '.join(columns)}, {_SPENT} FROM usage WHERE at >= ? AND at < ?"
        " AND agent = coalesce(?, agent) AND session = coalesce(?, session)"
        " GROUP BY 1, 2, 3, 4, 5 HAVING count(*) ORDER BY 1, 2, 3, 4, 5"
    )
    shift = [offset_min * 60_000] if "day" in by else []
    return [Spent(*row) for row in db.execute(query, (*shift, since, until, agent, session))]


def message_counts(
    since: int,
    until: int,
    by: Sequence[str],
    offset_min: int,
    agent: str | None,
    session: str | None,
    db: Connection,
) -> list[MessageCount]:
    query = (
        f"SELECT {_DAY if 'day' in by else 'NULL'}, {'key' if 'session' in by else 'NULL'}, {_SAID} {_MESSAGES}"
        " AND agent = coalesce(?, agent) AND key = coalesce(?, key) GROUP BY 1, 2 HAVING count(*) ORDER BY 1, 2"
    )
    shift = [offset_min * 60_000] if "day" in by else []
    return [MessageCount(*row) for row in db.execute(query, (*shift, since, until, agent, session))]


def tools(since: int, until: int, agent: str | None, session: str | None, db: Connection) -> list[Used]:
    query = (
        f"SELECT key, tool, count(*) {_MESSAGES} AND tool IS NOT NULL"
        " AND agent = coalesce(?, agent) AND key = coalesce(?, key) GROUP BY key, tool ORDER BY 3 DESC, 1, 2"
    )
    return [Used(*row) for row in db.execute(query, (since, until, agent, session))]
