/*
 * run.h - the simulator's world in motion, shared by its files:
 *
 *   simulator.c   the coordinator's side, people, the loop
 *   workers.c     pretend workers
 *   network.c     the queue of events, messages on their way, chance
 *   checks.c      what must hold
 *
 *     worker  --request-->  network  --request-->  coordinator
 *             <---reply---           <---reply---      |  store (kept over crashes)
 *
 * One queue of events ordered by time, ties in the order they were put in. A request carries all
 * that it says, so that a copy may arrive when its worker has long gone on. A worker has one
 * question open at a time, tries it again until it hears an answer, and ignores answers to older
 * ones.
 */
#ifndef TESTS_SIM_RUN_H
#define TESTS_SIM_RUN_H

#include "base/rng.h"
#include "tests/sim/simulator.h"

#define WORKERS_MAX 8
#define CANDIDATES_MAX 512
#define LEASES_MAX 4096

/* ---- events ---- */

enum request_kind { HELLO, ASK, BEAT, RESULT, FAIL, RELEASE };

struct request {
    enum request_kind kind;
    size_t worker;
    uint64_t boot, question; /* who asks, which question: replies to others are ignored */
    uint64_t worker_id, seq; /* ASK */
    uint64_t lease, candidate;
    uint32_t attempt;
    enum split split;
    enum score_failure failure;
};

struct reply {
    struct request to;
    int status; /* as over HTTP */
    uint64_t worker_id;
    bool cancel;
    bool has_job;
    uint64_t lease, candidate;
    uint32_t attempt;
    enum split split;
};

enum event_kind { ARRIVES, ANSWERED, WAKES, BEATS, TICKS, RESTARTS, MEDDLES, RESUMES };

struct event {
    int64_t at_ms;
    uint64_t order;
    enum event_kind kind;
    size_t worker;
    uint64_t boot, question; /* WAKES, BEATS: of whom; stale ones are ignored */
    struct request request;
    struct reply reply;
};

enum worker_state { SILENT, GREETING, ASKING, WORKING, REPORTING, GONE };

struct worker {
    enum worker_state state;
    uint64_t boot;     /* 0: not alive */
    uint64_t question; /* the open one */
    uint64_t id, seq;
    uint64_t lease, candidate;
    uint32_t attempt;
    enum split split;
    struct request said; /* the open question, to say again */
};

struct run {
    const struct simulation *simulation;
    const struct world *world;
    const struct world_end *expected;
    struct simulation_result *result;
    struct rng64 rng;
    struct store *store;
    struct coordinator *coordinator; /* NULL: it is dead */
    bool crashing;                   /* the hook has struck */
    int64_t now_ms;
    size_t n_events, room_events;
    struct event *events; /* a heap */
    uint64_t order, boots, handled;
    struct worker workers[WORKERS_MAX];
    char *recipes[CANDIDATES_MAX];                 /* by candidate, once it was handed out */
    char acknowledged[CANDIDATES_MAX][DIGEST_HEX]; /* "": no result of it was acknowledged */
    bool failed_once[CANDIDATES_MAX];              /* by chance */
    uint64_t said_failed[LEASES_MAX];              /* leases of which a worker said so */
    size_t n_said_failed;
    bool over;
};

/* ---- network.c ---- */

/* Something that must hold does not. The first one is kept, and ends the run. */
void run_violate(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* In [0, 1); in [least, most]. */
double run_chance(struct run *run);
int64_t run_between(struct run *run, int64_t least, int64_t most);

void run_put(struct run *run, struct event event);
struct event run_take(struct run *run);
/* A message on its way: lost, once, or twice, each with its own delay. */
void run_post(struct run *run, struct event event);

/* ---- workers.c ---- */

void worker_born(struct run *run, size_t w);
void worker_wakes(struct run *run, const struct event *event);
void worker_beats(struct run *run, const struct event *event);
void worker_hears(struct run *run, const struct reply *reply);

/* ---- checks.c ---- */

/* Every acknowledged result is stored with the same bits, at every moment from then on. */
void check_acknowledged(struct run *run);
/* What a person sees, even while the coordinator is dead. */
void check_state(struct run *run, char state[16], char stage[16], char trajectory[DIGEST_HEX]);
void check_end(struct run *run);

#endif
