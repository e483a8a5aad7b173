/*
 * coordinator.h - one study from its first baseline to its final table.
 *
 * The core is deterministic: events come in as calls with the time as an argument, effects go out
 * as the returned reply and the wake counter. It opens no socket, reads no clock, starts no thread;
 * the only thing outside it is the store. The event loop (web/dispatch) and the simulator
 * (tests/sim) drive the same functions.
 *
 * A study runs in stages, each made of generations, each made of candidates:
 *
 *   baseline   every parent, the uniform average, the method at its defaults; search split
 *   search     generations of an optimiser; search split
 *   select     the finalists (best by search score, and the distribution's mean; of several
 *              objectives members of the front); select split
 *   report     the winner and every baseline (and the other finalists, of several objectives);
 *              report split, read once
 *
 * Rules that hold always: candidate rows are durable before they are leased; a result is durable
 * (FULL) before its reply is given; a generation is told in candidate order, when it is whole, in
 * the same transaction that asks the next; an expired lease's result is still good; the first
 * durable result wins. Whatever the number of workers, crashes and repeats, the trajectory hash is
 * the same.
 */
#ifndef SEARCH_COORDINATOR_H
#define SEARCH_COORDINATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "store/store.h"
#include "study/job.h"
#include "study/score.h"
#include "study/study.h"

struct coordinator;
struct phase_past;

/* What must be known of a task to check a result and to compute fitness; made by the caller from
 * evaluator/task. */
struct coordinator_task {
    const char *name;
    const char *digest; /* of its rendered requests */
    const char *metric; /* what the search optimises */
    bool higher_is_better;
    double weight;
    size_t documents[4]; /* how many in each enum split; 0: known to an outside program alone */
    bool unsplit;        /* every split is scored on the same documents */
};

/* One baseline: a short label ("parent adder", "uniform average", "task_arithmetic at its
 * defaults") and its recipe. */
struct coordinator_baseline {
    const char *label;
    bool parent;        /* counts for "best parent" */
    const char *recipe; /* canonical JSON */
};

/* Faults the simulator plants to prove that it would see them. COORDINATOR_FAULT_NONE everywhere
 * else. */
enum coordinator_fault {
    COORDINATOR_FAULT_NONE,
    COORDINATOR_FAULT_EARLY_ACK,      /* replies before the commit */
    COORDINATOR_FAULT_ARRIVAL_ORDER,  /* tells results in the order they came */
    COORDINATOR_FAULT_LOST_IS_FAILED, /* an expired lease counts as a failure */
    COORDINATOR_FAULT_SPLIT_COMMIT,   /* optimiser state and generation in two commits */
    COORDINATOR_FAULT_DOUBLE_FAIL,    /* a repeated fail counts twice */
    COORDINATOR_FAULT_HEDGE_REOPENS   /* a second attempt's lease reopens a finished candidate */
};

struct coordinator_options {
    const struct study *study;            /* kept until coordinator_close; so is all below */
    uint32_t n_layers;                    /* of every source of the merge */
    const uint32_t *model_layers;         /* [study->n_models] of each model; NULL: n_layers all */
    const char *const *model_digests;     /* [study->n_models] manifest digests, 64 hex */
    const struct coordinator_task *tasks; /* [study->n_tasks] */
    const struct coordinator_baseline *baselines;
    size_t n_baselines;
    /* What the study named by warm_start found: recipes and values. Only a new search reads it. */
    const struct phase_past *earlier;
    const char *version; /* of braid, kept with the study; NULL: not said */
    int64_t ttl_ms;      /* of a lease; 0: 30 s */
    uint32_t attempts;   /* failed ones until a candidate is failed; 0: three */
    enum coordinator_fault fault;
};

/*
 * Open a study on a store: a new one is set up and its baselines asked for; an old one is resumed.
 * Resuming walks the told generations again, restores the optimiser, asks it for the open
 * generation once more and compares; leases that were active get a whole time-to-live again. A
 * study that was stopped, or stands still because of failures, goes on: who starts it again has
 * seen to the cause. ERR_CONFLICT when the store holds another study or is damaged (the line says
 * which and where).
 */
int coordinator_open(struct coordinator **out, struct store *store,
                     const struct coordinator_options *options, int64_t now_ms, struct err *err);
void coordinator_close(struct coordinator *coordinator);

/* A worker says hello. The same boot_id (32 hex digits) gets the same id again. */
struct coordinator_worker {
    const char *boot_id, *name, *build, *path;
};
int coordinator_register(struct coordinator *coordinator, const struct coordinator_worker *worker,
                         int64_t now_ms, uint64_t *worker_id, struct err *err);

enum coordinator_offer {
    COORDINATOR_JOB,     /* *job is filled; the caller releases it */
    COORDINATOR_NOTHING, /* ask again later (hold the long-poll until the wake counter moves) */
    COORDINATOR_PAUSED,
    COORDINATOR_OVER /* the study is finished or stopped: the worker may go home */
};
/* (worker_id, seq) is idempotent: the same pair gets the same job while its lease lives.
 * ERR_MISSING: unknown worker. */
int coordinator_lease(struct coordinator *coordinator, uint64_t worker_id, uint64_t seq,
                      int64_t now_ms, enum coordinator_offer *offer, struct job *job,
                      struct err *err);

/* Heartbeat. *cancel: stop working on it, another attempt is done. ERR_MISSING: no such lease. */
int coordinator_beat(struct coordinator *coordinator, uint64_t lease, int64_t now_ms, bool *cancel,
                     struct err *err);

enum coordinator_verdict {
    COORDINATOR_STORED,  /* 201 */
    COORDINATOR_SAME,    /* 200: the same bits are stored already */
    COORDINATOR_DIFFERS, /* 409: other bits are stored; kept as evidence */
    COORDINATOR_CLOSED,  /* 410: the candidate is closed as failed, or unknown */
    COORDINATOR_INVALID  /* 422: refused, err says why; counts against the worker */
};
/* A successful score. The reply may be sent only when this returns 0: it is durable then. An error
 * return (store trouble) means the outcome is unknown: send nothing good, stop, restart, read
 * again. */
int coordinator_result(struct coordinator *coordinator, uint64_t candidate, uint32_t attempt,
                       uint64_t lease, const struct score *score, int64_t now_ms,
                       enum coordinator_verdict *verdict, struct err *err);

/* The evaluator says the candidate failed. Idempotent a lease. As many distinct attempts as
 * the options say, or a final kind, close it as failed. */
int coordinator_fail(struct coordinator *coordinator, uint64_t lease, enum score_failure kind,
                     const char *detail, int64_t now_ms, struct err *err);
/* The worker gives the lease back (SIGTERM, preemption): no failure is counted. */
int coordinator_release(struct coordinator *coordinator, uint64_t lease, int64_t now_ms,
                        struct err *err);

/* Give back every lease of workers whose name starts with prefix: those that ended with the process
 * before us. No failure or loss is counted. */
int coordinator_free_leases(struct coordinator *coordinator, const char *prefix, int64_t now_ms,
                            struct err *err);

/* Time passes: expire leases, notice silent workers. *next_ms: when to call again at the latest. */
int coordinator_tick(struct coordinator *coordinator, int64_t now_ms, int64_t *next_ms,
                     struct err *err);

/* People: pause hands out nothing; resume goes on; finish ends the search stage after the open
 * generation and goes on to select and report; stop ends everything as it is (resumable). */
enum coordinator_order {
    COORDINATOR_PAUSE,
    COORDINATOR_RESUME,
    COORDINATOR_FINISH,
    COORDINATOR_STOP
};
int coordinator_command(struct coordinator *coordinator, enum coordinator_order order,
                        int64_t now_ms, struct err *err);

/* Moves whenever something new can be leased or the state changed: wake held long-polls, tell the
 * event streams. */
uint64_t coordinator_wake(const struct coordinator *coordinator);

struct coordinator_status {
    const char *stage;    /* "baseline", "search", "select", "report", "finished" */
    const char *phase;    /* of the search, "weights, 4 groups"; "" when it has but one */
    const char *state;    /* "running", "paused", "stopped", "finished", "failed" */
    const char *reason;   /* why it ended or stands still, in words; "" while running */
    uint64_t generation;  /* of the search stage */
    uint64_t evaluations; /* finished search candidates */
    uint64_t evaluations_max;
    uint64_t done; /* finished candidates of all stages */
    uint64_t failed;
    uint64_t leased;
    double best; /* best search objective as people read it (higher is better), NaN when none */
    double best_parent; /* same split, NaN while unknown */
    uint64_t front;     /* several objectives: candidates that none dominates, else 0 */
    char trajectory[DIGEST_HEX];
};
void coordinator_status(const struct coordinator *coordinator, struct coordinator_status *out);

#endif
