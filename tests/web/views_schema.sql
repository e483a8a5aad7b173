-- The tables and columns that store/views.c reads; what it reads is all that stands here. The store's own
-- schema has more. Times are milliseconds of the calendar; values of the objective are as people read them: higher is better.

CREATE TABLE study (
  name TEXT NOT NULL,
  form TEXT NOT NULL,              -- canonical JSON, study_print
  state TEXT NOT NULL,             -- running paused stopped finished failed
  stage TEXT NOT NULL,             -- baseline search select report finished
  reason TEXT NOT NULL,            -- why it ended or stands still, in words
  trajectory TEXT NOT NULL,        -- 64 hex digits
  generation INTEGER NOT NULL,     -- of the search stage, the open one
  evaluations_max INTEGER NOT NULL,
  winner INTEGER,                  -- candidate, once it is chosen
  verdict TEXT NOT NULL            -- JSON list of sentences, [] before the report
) STRICT;

CREATE TABLE models (
  number INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  digest TEXT NOT NULL
) STRICT;

CREATE TABLE tasks (
  number INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  metric TEXT NOT NULL,
  higher_is_better INTEGER NOT NULL,
  weight REAL NOT NULL
) STRICT;

CREATE TABLE generations (
  number INTEGER PRIMARY KEY,      -- over all stages, in the order they were asked
  stage TEXT NOT NULL,
  generation INTEGER NOT NULL,     -- within its stage
  sigma REAL                       -- step size when it was asked
) STRICT;

CREATE TABLE recipes (
  digest TEXT PRIMARY KEY,
  recipe TEXT NOT NULL             -- canonical JSON
) STRICT;

CREATE TABLE candidates (
  candidate INTEGER PRIMARY KEY,
  generation INTEGER NOT NULL REFERENCES generations (number),
  number INTEGER NOT NULL,         -- within its generation
  split TEXT NOT NULL,             -- search select report
  label TEXT NOT NULL,             -- "parent adder", "uniform average"; "" for points of the search
  parent INTEGER NOT NULL,         -- 1: counts for "best parent"
  recipe TEXT NOT NULL REFERENCES recipes (digest),
  status TEXT NOT NULL,            -- pending leased done failed held
  value REAL                       -- objective on its split; NULL while unknown, or failed
) STRICT;
CREATE INDEX candidates_generation ON candidates (generation, number);
CREATE INDEX candidates_value ON candidates (value);

CREATE TABLE evaluations (
  candidate INTEGER PRIMARY KEY REFERENCES candidates (candidate),
  worker INTEGER,
  path TEXT NOT NULL,              -- numeric path
  wall_s REAL NOT NULL,
  cpu_s REAL NOT NULL,
  weights TEXT NOT NULL,           -- digest of the blended tensors
  failure TEXT NOT NULL,           -- "ok", or score_failure_name
  detail TEXT NOT NULL
) STRICT;

CREATE TABLE scores (
  candidate INTEGER NOT NULL REFERENCES candidates (candidate),
  task INTEGER NOT NULL REFERENCES tasks (number),
  metric TEXT NOT NULL,
  value REAL,
  error REAL,
  n INTEGER NOT NULL,
  PRIMARY KEY (candidate, task, metric)
) STRICT;

CREATE TABLE documents (
  candidate INTEGER NOT NULL REFERENCES candidates (candidate),
  task INTEGER NOT NULL REFERENCES tasks (number),
  metrics TEXT NOT NULL,           -- JSON list of metric names, in the order of the packed values
  packed BLOB NOT NULL,            -- score_pack
  PRIMARY KEY (candidate, task)
) STRICT;

CREATE TABLE workers (
  worker INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  build TEXT NOT NULL,
  path TEXT NOT NULL,
  state TEXT NOT NULL,             -- probation active cooldown quarantined offline
  seen_ms INTEGER NOT NULL         -- last heard of
) STRICT;

CREATE TABLE attempts (
  lease INTEGER PRIMARY KEY,
  candidate INTEGER NOT NULL REFERENCES candidates (candidate),
  worker INTEGER NOT NULL REFERENCES workers (worker),
  outcome TEXT NOT NULL            -- active done failed lost released cancelled
) STRICT;
CREATE INDEX attempts_worker ON attempts (worker);

CREATE TABLE report (
  number INTEGER PRIMARY KEY,      -- order of the table
  candidate INTEGER NOT NULL REFERENCES candidates (candidate),
  label TEXT NOT NULL,
  role TEXT NOT NULL,              -- winner parent baseline
  n INTEGER NOT NULL,
  value REAL,
  difference REAL,                 -- winner minus row; NULL for the winner
  low REAL,
  high REAL                        -- its 95 % interval
) STRICT;

CREATE TABLE events (
  event INTEGER PRIMARY KEY,
  at_ms INTEGER NOT NULL,
  kind TEXT NOT NULL,
  text TEXT NOT NULL
) STRICT;
