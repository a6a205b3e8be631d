-- All times are microseconds since 1970 in UTC, 0 for none. Text and BIGINT
-- only, so that PostgreSQL takes the same statements.

CREATE TABLE batch (
    id          BIGINT PRIMARY KEY,
    name        TEXT   NOT NULL, -- empty: the calls of a tenant that belong to no batch
    cloud       TEXT   NOT NULL,
    tenant      TEXT   NOT NULL,
    application TEXT   NOT NULL,
    host        TEXT   NOT NULL,
    simulated   BIGINT NOT NULL,
    created     BIGINT NOT NULL,
    list        TEXT   NOT NULL DEFAULT '', -- the files, as they were named
    list_digest TEXT   NOT NULL DEFAULT '',
    plan_digest TEXT   NOT NULL DEFAULT '',
    columns     TEXT   NOT NULL DEFAULT '[]', -- the list's columns that are not ours, JSON
    options     TEXT   NOT NULL DEFAULT '{}', -- the settings of the last plan, JSON
    closed      TEXT   NOT NULL DEFAULT '', -- why no run goes on with it
    events      BIGINT NOT NULL DEFAULT 0, -- length of the chain
    head        TEXT   NOT NULL DEFAULT '' -- hash of its last event
);
CREATE UNIQUE INDEX batch_name ON batch (cloud, tenant, name);

CREATE TABLE run (
    batch   BIGINT NOT NULL REFERENCES batch (id),
    id      BIGINT NOT NULL, -- number of its first event in the chain
    what    TEXT   NOT NULL, -- run, track, cancel, …
    who     TEXT   NOT NULL,
    host    TEXT   NOT NULL,
    pid     BIGINT NOT NULL,
    version TEXT   NOT NULL,
    agreed  TEXT   NOT NULL, -- how the plan was agreed to
    started BIGINT NOT NULL,
    grace   BIGINT NOT NULL, -- microseconds for which a call can still take effect after the last sign of life
    alive   BIGINT NOT NULL, -- last sign of life; not part of the chain
    ended   BIGINT NOT NULL DEFAULT 0,
    why     TEXT   NOT NULL DEFAULT '',
    code    BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (batch, id)
);

CREATE TABLE task (
    batch       BIGINT NOT NULL REFERENCES batch (id),
    n           BIGINT NOT NULL, -- number within the batch, for good
    position    BIGINT NOT NULL, -- order in the list; 0: no longer in it
    file        TEXT   NOT NULL,
    line        BIGINT NOT NULL,
    device      TEXT   NOT NULL, -- 40 hexadecimal characters, or what stood in the list
    name        TEXT   NOT NULL,
    comment     TEXT   NOT NULL,
    extra       TEXT   NOT NULL, -- cells of batch.columns, JSON
    status      TEXT   NOT NULL,
    reason      TEXT   NOT NULL DEFAULT '',
    attempts    BIGINT NOT NULL DEFAULT 0, -- those that were spent
    tries404    BIGINT NOT NULL DEFAULT 0,
    not_before  BIGINT NOT NULL DEFAULT 0,
    doubt_until BIGINT NOT NULL DEFAULT 0, -- last moment at which the call in doubt can take effect
    doubt_since BIGINT NOT NULL DEFAULT 0, -- when that call was reserved
    attempt     BIGINT NOT NULL DEFAULT 0, -- id of the last attempt
    action      TEXT   NOT NULL DEFAULT '',
    action_type TEXT   NOT NULL DEFAULT '',
    action_status    TEXT   NOT NULL DEFAULT '',
    action_requestor TEXT   NOT NULL DEFAULT '',
    action_created   TEXT   NOT NULL DEFAULT '', -- as the API gave it
    action_updated   TEXT   NOT NULL DEFAULT '',
    action_error     TEXT   NOT NULL DEFAULT '',
    health      TEXT   NOT NULL DEFAULT '', -- inventory's last word on the device
    PRIMARY KEY (batch, n)
);
CREATE INDEX task_device ON task (device);
CREATE INDEX task_status ON task (batch, status);

CREATE TABLE attempt (
    batch      BIGINT NOT NULL,
    id         BIGINT NOT NULL, -- number of its intent in the chain
    run        BIGINT NOT NULL,
    quota_key  TEXT   NOT NULL,
    kind       TEXT   NOT NULL, -- which API call
    n          BIGINT NOT NULL, -- the task, 0 for calls that serve no single one
    device     TEXT   NOT NULL,
    number     BIGINT NOT NULL, -- of the task's requests, the first is 1
    tag        TEXT   NOT NULL,
    reserved   BIGINT NOT NULL,
    over       BIGINT NOT NULL DEFAULT 0,
    outcome    TEXT   NOT NULL DEFAULT '',
    sent       BIGINT NOT NULL DEFAULT 1,
    status     BIGINT NOT NULL DEFAULT 0, -- HTTP
    code       TEXT   NOT NULL DEFAULT '',
    message    TEXT   NOT NULL DEFAULT '',
    target     TEXT   NOT NULL DEFAULT '',
    request_id TEXT   NOT NULL DEFAULT '',
    date       BIGINT NOT NULL DEFAULT 0, -- the server's
    counted    BIGINT NOT NULL DEFAULT 0, -- from when its slot's window runs; 0: it is not over; -1: nothing was sent. Bookkeeping, not part of the chain
    PRIMARY KEY (batch, id),
    FOREIGN KEY (batch, run) REFERENCES run (batch, id) -- an attempt without its run would be in no history
);
CREATE INDEX attempt_quota ON attempt (quota_key, counted, kind);
CREATE INDEX attempt_task ON attempt (batch, n);

CREATE TABLE hold (
    batch     BIGINT NOT NULL REFERENCES batch (id),
    id        BIGINT NOT NULL, -- number of its event in the chain
    quota_key TEXT   NOT NULL,
    kind      TEXT   NOT NULL, -- which API call; * for all
    until     BIGINT NOT NULL,
    why       TEXT   NOT NULL,
    effective BIGINT NOT NULL, -- until, moved along when the clock jumps. Bookkeeping, not part of the chain
    PRIMARY KEY (batch, id)
);
CREATE INDEX hold_key ON hold (quota_key, effective);

-- The clock of the last runner against the server's, for each key.
CREATE TABLE clock (
    quota_key TEXT   PRIMARY KEY,
    seen      BIGINT NOT NULL, -- the latest stamp that was written
    low       BIGINT NOT NULL, -- server minus local lies between these two
    high      BIGINT NOT NULL,
    known     BIGINT NOT NULL
);

CREATE TABLE event (
    batch BIGINT NOT NULL REFERENCES batch (id),
    seq   BIGINT NOT NULL, -- 1, 2, 3, …
    at    BIGINT NOT NULL,
    kind  TEXT   NOT NULL,
    body  TEXT   NOT NULL, -- JSON, what changed
    hash  TEXT   NOT NULL, -- SHA-256 over the hash before and this event
    PRIMARY KEY (batch, seq)
);
