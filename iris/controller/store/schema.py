"""The tables, and the steps from each version of them to the next."""

# "Iris" in ASCII: tells a file of ours from any other SQLite file, from version 2 on.
APPLICATION_ID = 0x49726973

# Step i leads from version i to i + 1. A step that was released is never changed: add one.
MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE events (
        id INTEGER PRIMARY KEY,          -- the order in which they happened
        kind TEXT NOT NULL,              -- the class's name
        event BLOB NOT NULL              -- JSON
    );
    CREATE TABLE jobs (
        job_id TEXT PRIMARY KEY,
        number INTEGER NOT NULL UNIQUE,
        record BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE tasks (                 -- only those that something happened to
        job_id TEXT NOT NULL,
        task_index INTEGER NOT NULL,
        record BLOB NOT NULL,
        PRIMARY KEY (job_id, task_index)
    ) WITHOUT ROWID;
    CREATE TABLE attempts (
        uid TEXT PRIMARY KEY,
        record BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE workers (
        worker_id TEXT PRIMARY KEY,
        record BLOB NOT NULL
    ) WITHOUT ROWID;
    """,
    # Tasks and attempts lie beside each other by their job's number, so that new ones go to the
    # end and a job's go at once. What never changes of a job is apart, and written once.
    f"""
    CREATE TABLE meta (                  -- one row
        one INTEGER PRIMARY KEY CHECK (one = 1),
        next_number INTEGER NOT NULL     -- of the next job
    );
    INSERT INTO meta SELECT 1, COALESCE(MAX(number), 0) + 1 FROM jobs;

    CREATE TABLE turns (                 -- the one that wrote last is always here
        number INTEGER PRIMARY KEY,      -- from 1, one for each commit that had events
        at INTEGER NOT NULL,             -- of its last event, in microseconds of Unix time
        first_event INTEGER NOT NULL,
        last_event INTEGER NOT NULL
    );
    CREATE INDEX turns_by_time ON turns (at);
    -- Version 1 knew no turns: its events are taken in such of a thousand.
    INSERT INTO turns
        SELECT 1 + (id - 1) / 1000,
            MAX(CAST(strftime('%s', json_extract(CAST(event AS TEXT), '$.at')) AS INTEGER)) * 1000000,
            MIN(id), MAX(id)
        FROM events GROUP BY 1;
    ALTER TABLE events ADD COLUMN job INTEGER; -- of a JobSubmitted: whose spec completes the JSON

    ALTER TABLE jobs RENAME TO jobs_1;
    ALTER TABLE tasks RENAME TO tasks_1;
    ALTER TABLE attempts RENAME TO attempts_1;

    CREATE TABLE specs (                 -- here while the job or its JobSubmitted is
        number INTEGER PRIMARY KEY,      -- the job's
        submitted INTEGER,               -- the id of the JobSubmitted that shares it
        spec BLOB NOT NULL
    );
    INSERT INTO specs
        SELECT number, NULL, CAST(json_extract(CAST(record AS TEXT), '$.spec') AS BLOB)
        FROM jobs_1 ORDER BY number;
    CREATE TABLE jobs (
        number INTEGER PRIMARY KEY REFERENCES specs,
        job_id TEXT NOT NULL,            -- no index: names come in any order, and each would
        record BLOB NOT NULL             -- rewrite a page. The rest of the record is without
    );                                   -- job_id, number and spec
    INSERT INTO jobs
        SELECT number, job_id,
            CAST(json_remove(CAST(record AS TEXT), '$.job_id', '$.number', '$.spec') AS BLOB)
        FROM jobs_1 ORDER BY number;
    CREATE TABLE tasks (
        job INTEGER NOT NULL REFERENCES jobs,
        task_index INTEGER NOT NULL,
        record BLOB NOT NULL,
        PRIMARY KEY (job, task_index)
    ) WITHOUT ROWID;
    -- LEFT JOIN: what belongs to no job is refused (NOT NULL), not dropped.
    INSERT INTO tasks
        SELECT jobs.number, task_index, tasks_1.record
        FROM tasks_1 LEFT JOIN jobs USING (job_id) ORDER BY 1, 2;
    CREATE TABLE attempts (
        job INTEGER NOT NULL REFERENCES jobs,
        task_index INTEGER NOT NULL,
        attempt INTEGER NOT NULL,        -- its number among those of its task
        record BLOB NOT NULL,
        PRIMARY KEY (job, task_index, attempt)
    ) WITHOUT ROWID;
    INSERT INTO attempts
        SELECT jobs.number, json_extract(said, '$.index'), json_extract(said, '$.number'), record_1
        FROM (SELECT record AS record_1, CAST(record AS TEXT) AS said FROM attempts_1)
            LEFT JOIN jobs ON job_id = json_extract(said, '$.job_id') ORDER BY 1, 2, 3;
    DROP TABLE jobs_1;
    DROP TABLE tasks_1;
    DROP TABLE attempts_1;
    PRAGMA application_id = {APPLICATION_ID};
    """,
    """
    CREATE TABLE scaling (               -- what the autoscaler wants to remember; nothing depends on it
        scale_group TEXT PRIMARY KEY,
        record BLOB NOT NULL             -- JSON
    ) WITHOUT ROWID;
    """,
)
VERSION = len(MIGRATIONS)

# What a file of version 1, which had no application id, is known by.
TABLES_1 = frozenset({"attempts", "events", "jobs", "tasks", "workers"})
