-- The log, replayed: nothing here is known from anywhere else. Times are RFC 3339 in UTC.

PRAGMA application_id = 1634694256; -- 'aotp'
PRAGMA user_version = 1;

-- Every message of the log, once, in its order: also those that are not believed.
CREATE TABLE events (
    global_position INTEGER PRIMARY KEY, -- the sequence in the log's stream
    id              TEXT,                -- NULL, like all that is NULL here, where the bytes are no event
    stream_name     TEXT,                -- <owner>.<agent>.<request>; NULL also where the event stands elsewhere
    stream_version  INTEGER,             -- what the event says; not unique, because a relay may store nonsense
    type            TEXT,
    time            TEXT NOT NULL,       -- by the relay's clock; by the broker's where the bytes are no event
    actor           TEXT,                -- <role>:<member>
    data            TEXT NOT NULL,       -- the event and its statement, as JSON
    body            BLOB NOT NULL,       -- the exact bytes
    leaf_hash       BLOB NOT NULL,       -- SHA-256(0x00 || body), RFC 6962 section 2.1
    verification    TEXT NOT NULL        -- 'verified', or why not
) STRICT;

CREATE INDEX events_by_stream ON events (stream_name, stream_version);

CREATE INDEX events_in_doubt ON events (global_position)
    WHERE verification NOT IN ('verified', 'not verifiable here: another owner');

-- What ought to be believed, and is not.
CREATE VIEW doubts AS
    SELECT * FROM events
    WHERE verification NOT IN ('verified', 'not verifiable here: another owner');

-- Every request, as its last event left it.
CREATE TABLE requests (
    owner        TEXT NOT NULL,
    agent        TEXT NOT NULL,
    request      TEXT NOT NULL,
    state        TEXT NOT NULL,    -- the type of the last event
    reason       TEXT,
    sender       TEXT,
    channel      TEXT,
    purpose      TEXT,
    requested_at TEXT,
    expires_at   TEXT,
    changed_at   TEXT NOT NULL,
    version      INTEGER NOT NULL,
    position     INTEGER NOT NULL, -- the global position of the last event
    PRIMARY KEY (owner, agent, request)
) STRICT, WITHOUT ROWID;

CREATE INDEX requests_by_request ON requests (request);
CREATE INDEX requests_by_position ON requests (position);

-- With the first reason to doubt it.
CREATE VIEW requests_with_verification AS
    SELECT requests.*, coalesce(
        (SELECT verification FROM events
         WHERE stream_name = owner || '.' || agent || '.' || request AND verification <> 'verified'
         ORDER BY global_position LIMIT 1),
        'verified') AS verification
    FROM requests;

-- How far each projection has come.
CREATE TABLE checkpoint (
    projection TEXT PRIMARY KEY,
    position   INTEGER NOT NULL
) STRICT;

INSERT INTO checkpoint VALUES ('audit_trail', 0), ('current_state', 0);

-- The rosters that statements were verified with.
CREATE TABLE rosters (
    owner  TEXT NOT NULL,
    number INTEGER NOT NULL,
    digest BLOB NOT NULL,
    body   BLOB NOT NULL,
    PRIMARY KEY (owner, number)
) STRICT;

-- What is wrong with the log or the rosters as a whole; what is wrong with one event stands beside it.
CREATE TABLE alarms (
    what       TEXT PRIMARY KEY,
    position   INTEGER NOT NULL, -- how far the log had been read
    noticed_at TEXT NOT NULL
) STRICT;
