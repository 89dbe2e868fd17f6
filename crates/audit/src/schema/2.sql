-- What events and requests are looked up by: agent, type or state, and time.

PRAGMA user_version = 2;

-- The agent within <owner>.<agent>.<request>: an owner has 32 characters, a request 36.
ALTER TABLE events ADD COLUMN agent TEXT
    AS (substr(stream_name, 34, length(stream_name) - 70)) VIRTUAL;

CREATE INDEX events_by_agent ON events (agent);
CREATE INDEX events_by_type ON events (type);
CREATE INDEX events_by_time ON events (time);

CREATE INDEX requests_by_agent ON requests (agent, position);
CREATE INDEX requests_by_state ON requests (state, position);
CREATE INDEX requests_by_change ON requests (changed_at);
