/*
 * coordinator_internal.h - the coordinator's memory, shared by its files:
 *
 *   coordinator.c   open and resume, workers, orders, status
 *   leases.c        hand out (T2), beat
 *   results.c       take in (T3), close a candidate
 *   endings.c       leases that end without a result (T5)
 *   stages.c        ask (T1) and tell (T4)
 *   sequel.c        what is asked next
 *   turns.c         from one phase of the search to the next
 *   front.c         several objectives: the front, its finalists and its winner
 *   verdict.c       the winner and the final table
 *   verdict_front.c the same for several objectives
 *   trajectory.c    the hash
 *
 * Memory follows the store: every function writes its transaction first and changes memory only
 * after the commit, so that a commit that fails leaves the coordinator as it was.
 */
#ifndef SEARCH_COORDINATOR_INTERNAL_H
#define SEARCH_COORDINATOR_INTERNAL_H

#include "search/coordinator.h"
#include "search/fitness.h"
#include "search/optimiser.h"
#include "search/phases.h"
#include "search/space.h"
#include "search/statistics.h"

#define COORDINATOR_TTL_MS 30000
#define COORDINATOR_ATTEMPTS_MAX 3 /* failed ones; then the candidate is failed */
#define COORDINATOR_LOSSES_MAX 5   /* lost on two workers or more; then it is held */
#define COORDINATOR_IN_A_ROW 3     /* failures of one kind in a row that stop a study */
#define REASON_MAX 300
#define COORDINATOR_WALLS 101 /* latest evaluations whose median is the usual time */

enum stage { STAGE_BASELINE, STAGE_SEARCH, STAGE_SELECT, STAGE_REPORT, STAGE_FINISHED };

/* A candidate of the open generation. */
struct place {
    struct store_candidate row;
    uint64_t arrived; /* counts closings in this process; only a planted fault reads it */
};

/* An attempt at one of them, active or over. */
struct lease {
    struct store_attempt row;
    size_t place;
    int64_t leased_ms, expires_ms; /* while active */
};

struct generation {
    struct store_generation row;
    enum stage stage;
    size_t n;
    struct place *places; /* [n] in the order of telling */
    bool is_ordered;      /* order is what lease_order gave */
    size_t *order;        /* [n] places in the order of handing out; NULL: that of telling */
};

struct coordinator {
    struct store *store;
    struct coordinator_options options;
    struct fitness_task *tasks; /* [n_tasks] */
    size_t n_tasks;
    struct phase *phase;     /* of the search, the open or the latest one */
    struct store_phase part; /* its row */
    struct optimiser
        *optimiser; /* as it was before the open generation was asked; asking changes nothing */
    struct store_study study;
    struct store_tally tally;
    uint64_t front; /* candidates on it, 0 for a single objective */
    struct generation open;
    /* The last candidates of the generation before, for failures in a row. */
    size_t n_before;
    struct store_candidate before[COORDINATOR_IN_A_ROW - 1];
    size_t n_leases, room_leases;
    struct lease *leases;
    uint64_t granted, hedged; /* leases in this epoch, and those of them for a second attempt */
    size_t n_workers;
    struct store_worker *workers; /* those heard of since we started */
    double walls[COORDINATOR_WALLS];
    size_t n_walls, next_wall; /* a ring */
    double median_s;           /* of walls, 0 when there are none */
    uint64_t arrivals;
    uint64_t wake;
};

static inline bool is_closed(enum store_status status)
{
    return status == STORE_DONE || status == STORE_FAILED;
}

static inline enum coordinator_fault fault_of(const struct coordinator *coordinator)
{
    return coordinator->options.fault;
}

/* ---- coordinator.c ---- */

/* A worker by its number; ERR_MISSING when it never said hello. Valid until the next worker is
 * looked up. */
int coordinator_worker(struct coordinator *coordinator, uint64_t number,
                       const struct store_worker **out, struct err *err);
/* Write a changed row of the study with an event of this kind, in a transaction of its own; memory
 * follows. The row is handed over either way. */
int coordinator_write(struct coordinator *coordinator, struct store_study *next, const char *kind,
                      const char *text, struct err *err);
/* A copy to change; and one text of it changed. */
struct store_study study_copy(const struct store_study *study);
void study_put(char **text, const char *with);
/* Count a candidate that has just been closed. */
void tally_note(struct coordinator *coordinator, const struct store_candidate *row);

/* ---- leases.c ---- */

struct lease *lease_find(struct coordinator *coordinator, uint64_t number);
size_t lease_count(const struct coordinator *coordinator, size_t place, enum store_outcome outcome);
/* Take a generation's attempts from the store; active ones get a whole time-to-live from now. */
int leases_load(struct coordinator *coordinator, int64_t now_ms, struct err *err);
/* A lease older than this is slow: a second attempt is due. */
int64_t lease_slow_ms(const struct coordinator *coordinator);
/* The place that has been longest in one other worker's hands and is slow; SIZE_MAX: none, or there
 * are second attempts enough. worker 0: anyone's. */
size_t lease_pick_slow(const struct coordinator *coordinator, uint64_t worker, int64_t now_ms);

/* ---- endings.c ---- */

/* A lease whose result was no result: it counts against the worker, and as lost. err says why, and
 * keeps saying it. */
int lease_refuse(struct coordinator *coordinator, struct lease *lease, struct err *err);

/* ---- results.c ---- */

/* How a candidate ends: for the transaction, and for memory after it. */
struct closing {
    size_t place;
    enum store_status status; /* STORE_DONE or STORE_FAILED */
    double value;
    unsigned failures;
    struct lease *lease;       /* whose end this is; NULL: not known */
    enum store_outcome ending; /* of that lease */
    uint32_t attempt;
    const struct score *score;
    char digest[DIGEST_HEX];
};
/* In a transaction: the evaluation, the candidate, its repeats, its leases. */
int closing_store(struct coordinator *coordinator, const struct closing *closing, struct err *err);
/* After it. */
void closing_apply(struct coordinator *coordinator, const struct closing *closing);
/* Add a wall time to those whose median is the usual one. */
void note_wall(struct coordinator *coordinator, double wall_s);

/* ---- stages.c ---- */

const char *stage_name(enum stage stage);
enum stage stage_parse(const char *name);
void generation_release(struct generation *generation);

/* Set up the first generation in the transaction that sets up the study. */
int stages_begin(struct coordinator *coordinator, struct err *err);
/* Read the open generation again, ask the optimiser again and compare. */
int stages_resume(struct coordinator *coordinator, struct err *err);
/* Tell every generation that is whole and ask the next; stop a study that cannot go on. Each in a
 * transaction of its own. */
int stages_advance(struct coordinator *coordinator, struct err *err);

/* ---- sequel.c ---- */

/* All that telling a generation changes. */
struct sequel {
    struct optimiser *optimiser; /* as it will be */
    struct generation next;      /* n = 0: there is none */
    struct store_study study;    /* the row as it will be */
    char over[REASON_MAX];       /* why the open phase is over; "": it goes on */
    struct phase *phase; /* the next one, with its row; NULL: the search stays in its phase */
    struct store_phase part;
    uint64_t front;    /* as it will be */
    uint64_t improved; /* generation of the search that last found something better */
    size_t room;
};
void sequel_release(struct sequel *sequel);

/* The first generation: the baselines; or, when there are none, a generation of the search. */
int sequel_baseline(struct coordinator *coordinator, struct sequel *sequel, struct err *err);
void sequel_search(struct coordinator *coordinator, struct sequel *sequel, uint64_t number,
                   uint64_t generation);
/* What follows the open generation, in the transaction that tells it: sequel->optimiser and the
 * row's trajectory are as after it. sequel->next.n is 0 when the study ends. */
int sequel_next(struct coordinator *coordinator, struct sequel *sequel, struct err *err);
/* The canonical recipe of a point; free() it. */
char *sequel_recipe(const struct space *space, const double *point);

/* ---- turns.c ---- */

/* Every phase can be laid out. */
int turn_check(const struct coordinator *coordinator, struct err *err);
/* Lay out phase `index`, which begins with this generation of the search, and fill the sequel's
 * phase, its row and its optimiser. ended is that of the phase before, NULL for phase 0. */
int turn_to(struct coordinator *coordinator, struct sequel *sequel, size_t index,
            const struct optimiser *ended, uint64_t generation, struct err *err);
/* After a generation of the search: whether the phase is over, and what comes next. */
int turn_decide(struct coordinator *coordinator, struct sequel *sequel, struct err *err);
/* In a transaction: the phase that ends, the one that begins. */
int turn_store(struct coordinator *coordinator, const struct sequel *sequel, struct err *err);
/* After it. */
void turn_adopt(struct coordinator *coordinator, struct sequel *sequel);
/* Lay out a phase again. */
int turn_resume(struct coordinator *coordinator, uint64_t phase, struct err *err);
/* ---- front.c ---- */

static inline bool has_front(const struct coordinator *coordinator)
{
    return coordinator->options.study->objective == STUDY_PARETO;
}

/* The objectives of a candidate that is done, as an optimiser is told them, [n_objectives]. */
int front_objectives(const struct coordinator *coordinator, uint64_t candidate, double *out,
                     struct err *err);
/* In the transaction that tells it: the front after the open generation. */
int front_update(struct coordinator *coordinator, struct err *err);
/* At most so many of the front as the study has finalists, spread along it; as
 * store_best_candidates. */
int front_finalists(struct coordinator *coordinator, struct store_candidate **out, size_t *n,
                    struct err *err);
/* Of the finalists in the open generation the best compromise, as verdict_choose. */
int front_choose(struct coordinator *coordinator, size_t *winner, struct err *err);

/* ---- verdict.c ---- */

/* Which of the finalists in the open generation wins: its place, SIZE_MAX when all failed. */
int verdict_choose(struct coordinator *coordinator, size_t *winner, struct err *err);
/* In a transaction: the final table and the sentences (JSON list, free() it). */
int verdict_store(struct coordinator *coordinator, char **sentences, struct err *err);
/* Ours less theirs in one task; all NaN when either failed. */
void verdict_compare_task(struct statistics_difference *out, const struct coordinator *coordinator,
                          size_t task, const struct score *ours, const struct score *theirs);

/* ---- verdict_front.c ---- */

/* In a transaction: the open report generation's rows in each objective, from their scores, which
 * are empty where they failed. */
int standings_store(struct coordinator *coordinator, const struct score *scores, struct err *err);
/* The winner in each objective against the best parent in it, in words: texts added to the list. */
void standings_say(json_t *sentences, const struct coordinator *coordinator,
                   const struct score *scores, enum statistics_unit unit);

/* ---- trajectory.c ---- */

/* The hash before the first generation. */
void trajectory_begin(const char *identity, char out[DIGEST_HEX]);
/* The hash after the open generation, with the optimiser's bytes after it. */
int trajectory_extend(struct coordinator *coordinator, const unsigned char *optimiser, size_t n,
                      char out[DIGEST_HEX], struct err *err);
/* Walk all told generations again. ERR_CONFLICT names the first whose stored candidates or
 * optimiser do not give its hash. */
int trajectory_check(struct coordinator *coordinator, struct err *err);

#endif
