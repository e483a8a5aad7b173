-- The database of one study, schema version 1 (PRAGMA user_version).
--
-- Times are milliseconds since 1970, UTC, and decorate: no decision is read from them. Digests are
-- SHA-256 in lower-case hex. Packed numbers are little-endian. "Value" always means: as people
-- read it, larger is better for the objective, the metric's own direction for a metric.
--
-- study > generations > candidates > attempts > evaluations > scores, documents. A candidate is a
-- recipe in a place of the search; an attempt is one handing-out to one worker; an evaluation is one
-- result that came back; the candidate's own `evaluation` is the one that counts.

-- One row: what is searched, and how far it has come.
CREATE TABLE studies (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    name        TEXT NOT NULL,              -- the study's own name
    identity    TEXT NOT NULL,              -- digest of the study less its budget; another study is refused
    document    TEXT NOT NULL,              -- canonical JSON of the study file, every default spelled out
    version     TEXT NOT NULL,              -- braid version that made the file
    n_layers    INTEGER NOT NULL,           -- layers of every source model
    n_coordinates INTEGER NOT NULL,         -- dimension of the search
    created_ms  INTEGER NOT NULL,
    stage       TEXT NOT NULL DEFAULT 'baseline', -- baseline, search, select, report, finished
    state       TEXT NOT NULL DEFAULT 'running',  -- running, paused, stopped, finished, failed
    reason      TEXT NOT NULL DEFAULT '',   -- why it stands still or ended, in words
    finish      TEXT NOT NULL DEFAULT '',   -- why the search stage ended or is to end; '': it goes on
    epoch       INTEGER NOT NULL DEFAULT 0, -- how often a coordinator opened the file
    evaluations_max INTEGER NOT NULL,       -- search candidates at most, as of the latest start
    trajectory  TEXT NOT NULL,              -- trajectory hash after the latest told generation
    winner      INTEGER REFERENCES candidates (id), -- the finalist chosen on the select split
    verdict     TEXT NOT NULL DEFAULT ''    -- the report in plain words, once finished
) STRICT;

CREATE TABLE models (
    number      INTEGER PRIMARY KEY,        -- order in the study file, from 0
    name        TEXT NOT NULL UNIQUE,       -- short name
    path        TEXT NOT NULL,              -- as the study says it
    digest      TEXT NOT NULL               -- of its manifest: what recipes call it
) STRICT;

CREATE TABLE tasks (
    number      INTEGER PRIMARY KEY,        -- order in the study file, from 0
    name        TEXT NOT NULL UNIQUE,
    digest      TEXT NOT NULL,              -- of its rendered requests
    metric      TEXT NOT NULL,              -- the one that is searched on
    higher_is_better INTEGER NOT NULL,      -- 1: larger values of that metric are better
    weight      REAL NOT NULL,              -- in the weighted mean
    n_search    INTEGER NOT NULL,           -- documents in the search split
    n_select    INTEGER NOT NULL,
    n_report    INTEGER NOT NULL
) STRICT;

-- The coordinates of the search: what each number of a candidate's point means.
CREATE TABLE coordinates (
    number      INTEGER PRIMARY KEY,        -- index into a point, from 0
    name        TEXT NOT NULL,              -- as "math layers 0-3 attention weight"
    lower       REAL NOT NULL,              -- bounds
    upper       REAL NOT NULL
) STRICT;

-- Candidates that are asked for together and told together. Every stage is made of generations.
CREATE TABLE generations (
    id          INTEGER PRIMARY KEY,        -- over all stages, from 0
    stage       TEXT NOT NULL,              -- baseline, search, select, report
    number      INTEGER NOT NULL,           -- within the stage, from 0
    state       TEXT NOT NULL,              -- open, told
    n           INTEGER NOT NULL,           -- candidates
    sigma       REAL,                       -- step size the points were drawn with; search only
    mean        BLOB,                       -- f64 [n_coordinates], the distribution's mean they were drawn around
    optimiser   BLOB,                       -- optimiser as it was before it was asked
    trajectory  TEXT,                       -- trajectory hash once told
    best        REAL,                       -- best value in it, once told; NULL: all failed
    average     REAL,                       -- mean value of those that did not fail
    failed      INTEGER NOT NULL DEFAULT 0, -- candidates that failed
    asked_ms    INTEGER NOT NULL,
    told_ms     INTEGER,
    UNIQUE (stage, number)
) STRICT;

CREATE TABLE recipes (
    id          INTEGER PRIMARY KEY,
    digest      TEXT NOT NULL UNIQUE,       -- of document's bytes
    document    TEXT NOT NULL               -- canonical JSON
) STRICT;

CREATE TABLE candidates (
    id          INTEGER PRIMARY KEY,        -- in the order asked, from 1
    generation  INTEGER NOT NULL REFERENCES generations (id),
    number      INTEGER NOT NULL,           -- within the generation, from 0; the order of telling
    recipe      INTEGER NOT NULL REFERENCES recipes (id),
    split       TEXT NOT NULL,              -- documents it is measured on: search, select, report
    label       TEXT NOT NULL DEFAULT '',   -- "parent adder", "uniform average", "winner", ...; '': a search candidate
    parent      INTEGER NOT NULL DEFAULT 0, -- 1: a model of the study as it is, counts for the best parent
    source      INTEGER REFERENCES candidates (id), -- the candidate of an earlier stage that this one measures again
    point       BLOB,                       -- f64 [n_coordinates]; search only
    status      TEXT NOT NULL DEFAULT 'pending', -- pending, leased, done, failed, held
    value       REAL,                       -- the objective; NULL until done, and for those that fail
    evaluation  INTEGER REFERENCES evaluations (id), -- the result that counts
    repeats     INTEGER REFERENCES candidates (id),  -- same recipe and split: that candidate's outcome is this one's too
    failures    INTEGER NOT NULL DEFAULT 0, -- attempts that failed
    losses      INTEGER NOT NULL DEFAULT 0, -- attempts that were lost
    failure     TEXT,                       -- latest failure's kind (exit, oom, nan, ...)
    detail      TEXT,                       -- and its one line
    done_ms     INTEGER,
    UNIQUE (generation, number)
) STRICT;
CREATE INDEX candidates_by_recipe ON candidates (recipe, split);
CREATE INDEX candidates_by_repeats ON candidates (repeats) WHERE repeats IS NOT NULL;

CREATE TABLE workers (
    id          INTEGER PRIMARY KEY,
    boot_id     TEXT NOT NULL UNIQUE,       -- the worker's own random identity, 32 hex digits
    name        TEXT NOT NULL,              -- host and process, for people
    build       TEXT NOT NULL,              -- its braid version
    path        TEXT NOT NULL,              -- its numeric path, as "f32/openblas-SkylakeX"
    first_ms    INTEGER NOT NULL,
    last_ms     INTEGER NOT NULL,           -- last said something that was stored
    done        INTEGER NOT NULL DEFAULT 0, -- results of its that count
    failed      INTEGER NOT NULL DEFAULT 0,
    lost        INTEGER NOT NULL DEFAULT 0,
    invalid     INTEGER NOT NULL DEFAULT 0  -- results refused
) STRICT;

-- One row a lease.
CREATE TABLE attempts (
    lease       INTEGER PRIMARY KEY,        -- epoch * 2^32 + count within it
    candidate   INTEGER NOT NULL REFERENCES candidates (id),
    number      INTEGER NOT NULL,           -- within the candidate, from 1
    worker      INTEGER NOT NULL REFERENCES workers (id),
    seq         INTEGER NOT NULL,           -- the worker's request number, so that a repeated request gets the same lease
    state       TEXT NOT NULL DEFAULT 'active', -- active, done, failed, lost, released, cancelled
    failure     TEXT,                       -- kind, when failed
    detail      TEXT,                       -- its one line
    leased_ms   INTEGER NOT NULL,
    ended_ms    INTEGER,
    UNIQUE (candidate, number)
) STRICT;
CREATE INDEX attempts_by_worker ON attempts (worker, seq);
CREATE INDEX attempts_active ON attempts (candidate) WHERE state = 'active';

-- One row a result that came back.
CREATE TABLE evaluations (
    id          INTEGER PRIMARY KEY,
    candidate   INTEGER NOT NULL REFERENCES candidates (id),
    attempt     INTEGER NOT NULL,           -- attempts.number
    worker      INTEGER REFERENCES workers (id),
    accepted    INTEGER NOT NULL,           -- 1: it counts; 0: other bits were stored first, kept as evidence
    digest      TEXT NOT NULL,              -- of what decides the search: weights, path, values, documents
    weights     TEXT NOT NULL,              -- digest of the blended tensors
    path        TEXT NOT NULL,              -- numeric path
    wall_s      REAL NOT NULL,
    cpu_s       REAL NOT NULL,
    positions   INTEGER NOT NULL,           -- token positions computed
    received_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX evaluations_by_candidate ON evaluations (candidate);

-- One row a task and metric of an evaluation, in the order they came.
CREATE TABLE scores (
    evaluation  INTEGER NOT NULL REFERENCES evaluations (id),
    task        INTEGER NOT NULL REFERENCES tasks (number),
    number      INTEGER NOT NULL,           -- of the metric, from 0: its column in documents.packed
    metric      TEXT NOT NULL,
    value       REAL NOT NULL,              -- over the documents of the candidate's split
    error       REAL,                       -- standard error; NULL where the metric has none
    PRIMARY KEY (evaluation, task, number)
) STRICT, WITHOUT ROWID;

-- Per-document results. A task's digest and the split fix which document is which.
CREATE TABLE documents (
    evaluation  INTEGER NOT NULL REFERENCES evaluations (id),
    task        INTEGER NOT NULL REFERENCES tasks (number),
    n           INTEGER NOT NULL,           -- documents
    truncated   INTEGER NOT NULL,           -- documents whose context was cut
    packed      BLOB NOT NULL,              -- u32 version 1, N, M, R; u32 first[N+1]; f64 values[N*M];
                                            -- f64 loglikelihoods[R]; u8 greedy[R]
    PRIMARY KEY (evaluation, task)
) STRICT;

-- The final table: one row a recipe measured on the report split, the winner first.
CREATE TABLE report (
    number      INTEGER PRIMARY KEY,        -- order shown, from 0
    candidate   INTEGER NOT NULL REFERENCES candidates (id), -- its measurement on the report split
    label       TEXT NOT NULL,
    role        TEXT NOT NULL,              -- winner, best parent, parent, uniform average, baseline
    n           INTEGER NOT NULL,           -- documents, all tasks together
    value       REAL,                       -- the objective; NULL: it failed
    difference  REAL,                       -- winner's objective less this one's, on the same documents
    lower       REAL,                       -- 95 % interval of that difference
    upper       REAL,
    verdict     TEXT NOT NULL               -- one sentence
) STRICT;

-- What happened, in order. chain = SHA-256(previous chain, id, time, kind, body): see events.c.
CREATE TABLE events (
    id          INTEGER PRIMARY KEY,        -- from 1, without gaps
    time_ms     INTEGER NOT NULL,
    kind        TEXT NOT NULL,              -- open, worker, ask, result, fail, lost, held, conflict, tell, stage, order, ...
    body        TEXT NOT NULL,              -- canonical JSON
    chain       TEXT NOT NULL
) STRICT;

CREATE TABLE exports (
    id          INTEGER PRIMARY KEY,
    candidate   INTEGER NOT NULL REFERENCES candidates (id),
    format      TEXT NOT NULL,              -- huggingface, ...
    path        TEXT NOT NULL,
    weights     TEXT NOT NULL,              -- digest of the tensors written; equals the evaluation's
    created_ms  INTEGER NOT NULL
) STRICT;

-- Anything a program wants to keep beside a study.
CREATE TABLE settings (
    key         TEXT PRIMARY KEY,
    value       TEXT NOT NULL
) STRICT, WITHOUT ROWID;
