-- The database of one study, schema version 3 (PRAGMA user_version).
--
-- generations > candidates > attempts. A candidate is a recipe at a place of the search, an attempt
-- one handing-out of it to one worker. What came back stands in evaluations, scores and documents:
-- one outcome a candidate, the first that was stored.
--
-- Columns in _ms are calendar time, milliseconds since 1970 UTC, and decorate: nothing is decided by
-- them. Digests are SHA-256 in lower-case hex. Packed numbers are little-endian. A candidate's value
-- is the objective as people read it, higher is better; a score's value is the metric's own.

-- One row: what is searched, and how far it has come.
CREATE TABLE study (
    id              INTEGER PRIMARY KEY CHECK (id = 1),
    name            TEXT NOT NULL,              -- the study's own name
    nonce           TEXT NOT NULL,              -- random; tells this file from another of the same study
    identity        TEXT NOT NULL,              -- digest of the study less its budget
    form            TEXT NOT NULL,              -- canonical JSON of the study, every default spelled out
    version         TEXT NOT NULL,              -- braid version that made the file
    n_layers        INTEGER NOT NULL,           -- layers of every source model
    created_ms      INTEGER NOT NULL,
    epoch           INTEGER NOT NULL,           -- how often a coordinator opened the file
    stage           TEXT NOT NULL,              -- baseline, search, select, report, finished
    state           TEXT NOT NULL,              -- running, paused, stopped, finished, failed
    reason          TEXT NOT NULL,              -- why it ended or stands still, in words
    ending          TEXT NOT NULL,              -- why the search stage ended, or is to end; '': it goes on
    generation      INTEGER NOT NULL,           -- of the search stage, the open or the latest one
    evaluations_max INTEGER NOT NULL,           -- search candidates at most, as of the latest start
    forgiven        INTEGER NOT NULL,           -- failures in a row count among later candidates only
    trajectory      TEXT NOT NULL,              -- trajectory hash after the latest told generation
    winner          INTEGER REFERENCES candidates (candidate), -- the finalist chosen on the select split
    verdict         TEXT NOT NULL               -- JSON list of sentences, [] before the report
) STRICT;

CREATE TABLE models (
    number          INTEGER PRIMARY KEY,        -- order in the study file, from 0
    name            TEXT NOT NULL UNIQUE,       -- short name
    path            TEXT NOT NULL,              -- as the study says it
    digest          TEXT NOT NULL               -- of its manifest: what recipes call it
) STRICT;

CREATE TABLE tasks (
    number          INTEGER PRIMARY KEY,        -- order in the study file, from 0
    name            TEXT NOT NULL UNIQUE,
    digest          TEXT NOT NULL,              -- of its rendered requests
    metric          TEXT NOT NULL,              -- the one that is searched on
    higher_is_better INTEGER NOT NULL,          -- 1: larger values of that metric are better
    weight          REAL NOT NULL,              -- in the weighted mean
    n_search        INTEGER NOT NULL,           -- documents in each split
    n_select        INTEGER NOT NULL,
    n_report        INTEGER NOT NULL
) STRICT;

-- The tasks that are objectives for themselves; none when the objective is one number.
CREATE TABLE objectives (
    number          INTEGER PRIMARY KEY,        -- from 0, in the order of tasks
    task            INTEGER NOT NULL REFERENCES tasks (number)
) STRICT;

-- The parts of a search, each with coordinates and an optimiser of its own. A row is there when its
-- phase has begun.
CREATE TABLE phases (
    phase           INTEGER PRIMARY KEY,        -- from 0, in the order they are searched
    name            TEXT NOT NULL,              -- as "weights, 4 groups"
    optimiser       TEXT NOT NULL,              -- as "cma-es with ipop restarts"
    why             TEXT NOT NULL,              -- why auto chose it, what a warm start found; '': nothing
    generation      INTEGER NOT NULL,           -- of the search stage, its first one
    before          INTEGER NOT NULL,           -- search candidates of the phases before it
    evaluations     INTEGER NOT NULL,           -- search candidates it may have, at most
    ending          TEXT NOT NULL               -- why it ended; '': it goes on
) STRICT;

-- What each number of a candidate's point means.
CREATE TABLE coordinates (
    phase           INTEGER NOT NULL REFERENCES phases (phase),
    number          INTEGER NOT NULL,           -- index into a point, from 0
    name            TEXT NOT NULL,              -- as "weight adder layers 0-1 attention"
    lower           REAL NOT NULL,              -- the value at 0
    upper           REAL NOT NULL,              -- the value at 1
    effect          REAL,                       -- how far a step of it moved the score; NULL: not tried
    PRIMARY KEY (phase, number)
) STRICT, WITHOUT ROWID;

-- Candidates that are asked for together and told together.
CREATE TABLE generations (
    number          INTEGER PRIMARY KEY,        -- over all stages, from 0, in the order they were asked
    stage           TEXT NOT NULL,              -- baseline, search, select, report
    generation      INTEGER NOT NULL,           -- within the stage, from 0
    phase           INTEGER NOT NULL,           -- of the search: whose coordinates its points have
    sigma           REAL,                       -- step size the points were drawn with; search only
    mean            BLOB,                       -- f64 [coordinates], the point they were drawn around; search only
    optimiser       BLOB NOT NULL,              -- the optimiser as it was before it was asked
    trajectory      TEXT,                       -- trajectory hash once told; NULL: open
    asked_ms        INTEGER NOT NULL,
    told_ms         INTEGER,
    UNIQUE (stage, generation)
) STRICT;

CREATE TABLE recipes (
    digest          TEXT PRIMARY KEY,           -- of recipe's bytes
    recipe          TEXT NOT NULL               -- canonical JSON
) STRICT, WITHOUT ROWID;

CREATE TABLE candidates (
    candidate       INTEGER PRIMARY KEY,        -- in the order asked, from 1
    generation      INTEGER NOT NULL REFERENCES generations (number),
    number          INTEGER NOT NULL,           -- within the generation, from 0: the order of telling
    recipe          TEXT NOT NULL REFERENCES recipes (digest),
    split           TEXT NOT NULL,              -- documents it is measured on: search, select, report
    label           TEXT NOT NULL,              -- "parent adder", "uniform average", ...; '': a point of the search
    parent          INTEGER NOT NULL,           -- 1: a model of the study as it is; counts for the best parent
    point           BLOB,                       -- f64 [coordinates] in the unit box; search and select only
    status          TEXT NOT NULL,              -- pending, leased, done, failed, held
    value           REAL,                       -- the objective; NULL until done, and when it failed
    repeats         INTEGER REFERENCES candidates (candidate), -- same recipe and split: shares that one's outcome
    failures        INTEGER NOT NULL,           -- attempts that failed
    losses          INTEGER NOT NULL            -- attempts that were lost
) STRICT;
CREATE UNIQUE INDEX candidates_generation ON candidates (generation, number);
CREATE INDEX candidates_recipe ON candidates (recipe, split);

-- Several objectives: the candidates of the search that no other is better than in one objective
-- and as good as in all; of equal ones the first. Told generations count.
CREATE TABLE front (
    candidate       INTEGER PRIMARY KEY REFERENCES candidates (candidate)
) STRICT;

-- How a candidate came out, once it is done or failed.
CREATE TABLE evaluations (
    candidate       INTEGER PRIMARY KEY REFERENCES candidates (candidate),
    attempt         INTEGER NOT NULL,           -- attempts.number; 0: a repeat, nothing was computed
    worker          INTEGER REFERENCES workers (worker),
    digest          TEXT NOT NULL,              -- of all that decides: weights, path, values, documents; '' when it failed
    weights         TEXT NOT NULL,              -- digest of the blended tensors
    path            TEXT NOT NULL,              -- numeric path, as "f32/openblas-SkylakeX"
    wall_s          REAL NOT NULL,              -- 0 for a repeat
    cpu_s           REAL NOT NULL,
    positions       INTEGER NOT NULL,           -- token positions computed
    failure         TEXT NOT NULL,              -- ok, or the kind: nan, refused, oom, timeout, exit, signal, bad_output
    detail          TEXT NOT NULL,              -- one line when it failed
    stored_ms       INTEGER NOT NULL
) STRICT;

CREATE TABLE scores (
    candidate       INTEGER NOT NULL REFERENCES candidates (candidate),
    task            INTEGER NOT NULL REFERENCES tasks (number),
    metric          TEXT NOT NULL,
    value           REAL,                       -- over the documents of the split; NULL: not finite
    error           REAL,                       -- standard error; NULL where the metric has none
    n               INTEGER NOT NULL,           -- documents
    PRIMARY KEY (candidate, task, metric)
) STRICT, WITHOUT ROWID;

-- Per-document results. A task's digest and the split fix which document is which.
CREATE TABLE documents (
    candidate       INTEGER NOT NULL REFERENCES candidates (candidate),
    task            INTEGER NOT NULL REFERENCES tasks (number),
    metrics         TEXT NOT NULL,              -- JSON list of the M metric names, in the order of the packed values
    truncated       INTEGER NOT NULL,           -- documents whose context was cut
    packed          BLOB NOT NULL,              -- u32 version 1, N, M, R; u32 first[N + 1]; f64 values[N * M];
                                                -- f64 loglikelihoods[R]; u8 greedy[R]
    PRIMARY KEY (candidate, task)
) STRICT;

-- Results that came after another was stored and have other bits: evidence, never used.
CREATE TABLE conflicts (
    conflict        INTEGER PRIMARY KEY,
    candidate       INTEGER NOT NULL REFERENCES candidates (candidate),
    attempt         INTEGER NOT NULL,
    worker          INTEGER REFERENCES workers (worker),
    digest          TEXT NOT NULL,              -- as in evaluations
    score           TEXT NOT NULL,              -- the whole result as it came over the wire, JSON
    stored_ms       INTEGER NOT NULL,
    UNIQUE (candidate, attempt, digest)
) STRICT;

CREATE TABLE workers (
    worker          INTEGER PRIMARY KEY,
    boot_id         TEXT NOT NULL UNIQUE,       -- the worker's own random identity, 32 hex digits
    name            TEXT NOT NULL,              -- host and process, for people
    build           TEXT NOT NULL,              -- its braid version
    path            TEXT NOT NULL,              -- its numeric path
    state           TEXT NOT NULL,              -- active
    invalid         INTEGER NOT NULL,           -- results of its that were refused
    seen_ms         INTEGER NOT NULL            -- last said something that was stored, within a second
) STRICT;

-- One row a lease. In the order of candidates, so that handing out writes one page of it.
CREATE TABLE attempts (
    lease           INTEGER NOT NULL,           -- epoch * 2^32 + count within the epoch; never given twice
    candidate       INTEGER NOT NULL REFERENCES candidates (candidate),
    number          INTEGER NOT NULL,           -- within the candidate, from 1
    worker          INTEGER NOT NULL REFERENCES workers (worker),
    seq             INTEGER NOT NULL,           -- the worker's request: repeated, it gets the same lease
    outcome         TEXT NOT NULL,              -- active, done, failed, lost, released, cancelled
    failure         TEXT NOT NULL,              -- kind when it failed, else ok
    detail          TEXT NOT NULL,              -- its one line
    leased_ms       INTEGER NOT NULL,
    ended_ms        INTEGER,
    PRIMARY KEY (candidate, number)
) STRICT, WITHOUT ROWID;

-- The final table: the winner, then the rest of the front when there are several objectives, then
-- every baseline, on the report split.
CREATE TABLE report (
    number          INTEGER PRIMARY KEY,        -- order of the table, from 0
    candidate       INTEGER NOT NULL REFERENCES candidates (candidate), -- its measurement on the report split
    label           TEXT NOT NULL,
    role            TEXT NOT NULL,              -- winner, front, parent, baseline
    n               INTEGER NOT NULL,           -- documents, all tasks together
    value           REAL,                       -- the objective; NULL: it failed
    difference      REAL,                       -- winner less row on the same documents; NULL for the winner
    low             REAL,                       -- 95 % interval of the difference
    high            REAL
) STRICT;

-- Several objectives: the final table in each of them.
CREATE TABLE standings (
    number          INTEGER NOT NULL REFERENCES report (number),
    task            INTEGER NOT NULL REFERENCES tasks (number),
    value           REAL,                       -- the metric's own value; NULL: the candidate failed
    parent          INTEGER REFERENCES candidates (candidate), -- the best parent in this task
    difference      REAL,                       -- row less that parent on the same documents, positive: better
    low             REAL,                       -- 95 % interval of the difference
    high            REAL,
    PRIMARY KEY (number, task)
) STRICT, WITHOUT ROWID;

-- What happened, in order. chain = SHA-256(chain of the event before, all other columns): events.c.
CREATE TABLE events (
    event           INTEGER PRIMARY KEY,        -- from 1, without gaps
    at_ms           INTEGER NOT NULL,
    kind            TEXT NOT NULL,              -- open, worker, phase, ask, result, failed, lost, released, held, conflict, tell, order, end
    candidate       INTEGER NOT NULL,           -- which it is about; 0: none
    digest          TEXT NOT NULL,              -- of what was stored: evaluation, optimiser, trajectory; '': none
    text            TEXT NOT NULL,              -- for people
    chain           TEXT NOT NULL
) STRICT;

CREATE TABLE exports (
    number          INTEGER PRIMARY KEY,
    candidate       INTEGER NOT NULL REFERENCES candidates (candidate),
    format          TEXT NOT NULL,              -- huggingface
    path            TEXT NOT NULL,
    weights         TEXT NOT NULL,              -- digest of the tensors written: the evaluation's
    stored_ms       INTEGER NOT NULL
) STRICT;

-- Anything a program wants to keep beside a study.
CREATE TABLE settings (
    key             TEXT PRIMARY KEY,
    value           TEXT NOT NULL
) STRICT, WITHOUT ROWID;
