"""Migrations of the database. One that has been released is never changed; a new one is appended."""

MIGRATIONS = (
    """
    CREATE TABLE sessions (
        key TEXT NOT NULL UNIQUE,
        id TEXT NOT NULL,
        agent TEXT NOT NULL,
        created INTEGER NOT NULL,
        updated INTEGER NOT NULL,
        entry TEXT NOT NULL DEFAULT '{}',
        provider TEXT,
        model TEXT,
        aborted INTEGER NOT NULL DEFAULT 0,
        input INTEGER NOT NULL DEFAULT 0,
        output INTEGER NOT NULL DEFAULT 0,
        total INTEGER NOT NULL DEFAULT 0,
        messages INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX sessions_by_time ON sessions (updated);
    CREATE UNIQUE INDEX sessions_by_id ON sessions (id);

    CREATE TABLE messages (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        session TEXT NOT NULL,  -- sessions.id
        id TEXT NOT NULL,
        run TEXT,
        at INTEGER NOT NULL,
        role TEXT NOT NULL,
        head TEXT NOT NULL,  -- how its text begins; '' where it has none
        tool TEXT,  -- whose result it is
        failed INTEGER NOT NULL,
        body TEXT NOT NULL  -- last, because a picture in it is not read along with what comes before
    ) STRICT;
    CREATE INDEX messages_by_session ON messages (session, position);
    CREATE INDEX messages_by_time ON messages (at);

    CREATE TABLE runs (
        number INTEGER PRIMARY KEY,  -- the order in which they were accepted
        id TEXT NOT NULL UNIQUE,
        session TEXT NOT NULL,  -- sessions.key
        transcript TEXT,  -- sessions.id of when it began; NULL if it says nothing there
        agent TEXT NOT NULL,
        state TEXT NOT NULL,
        accepted INTEGER NOT NULL,
        started INTEGER,
        ended INTEGER,
        seq INTEGER NOT NULL DEFAULT 0,
        text TEXT NOT NULL DEFAULT '',
        answer TEXT NOT NULL DEFAULT '',
        complete INTEGER NOT NULL DEFAULT 0,
        acted INTEGER NOT NULL DEFAULT 0,
        attempts INTEGER NOT NULL DEFAULT 0,
        provider TEXT,
        model TEXT,
        stop_reason TEXT,
        failure TEXT,
        usage TEXT NOT NULL DEFAULT '{}',
        waiting TEXT NOT NULL DEFAULT '[]'
    ) STRICT;
    CREATE INDEX runs_unfinished ON runs (session) WHERE state IN ('queued', 'running');
    CREATE INDEX runs_by_end ON runs (ended);

    CREATE TABLE requests (  -- apart, because they are large, and runs change with each word
        number INTEGER PRIMARY KEY REFERENCES runs ON DELETE CASCADE,
        body TEXT NOT NULL
    ) STRICT;

    CREATE TABLE usage (
        at INTEGER NOT NULL,
        session TEXT NOT NULL,  -- sessions.key, of then
        agent TEXT NOT NULL,
        provider TEXT NOT NULL,
        model TEXT NOT NULL,
        input INTEGER NOT NULL,
        output INTEGER NOT NULL,
        cache_read INTEGER NOT NULL,
        cache_write INTEGER NOT NULL,
        cost REAL,  -- dollars; NULL where no price is known
        input_cost REAL NOT NULL,
        output_cost REAL NOT NULL,
        cache_read_cost REAL NOT NULL,
        cache_write_cost REAL NOT NULL
    ) STRICT;
    CREATE INDEX usage_by_time ON usage (at);
    """,
    """
    ALTER TABLE sessions ADD COLUMN compactions INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX messages_that_sum_up ON messages (session, position) WHERE role = 'compaction';
    """,
)
