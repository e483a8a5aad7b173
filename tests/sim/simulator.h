/*
 * simulator.h - a whole search with pretend workers, a pretend network and a pretend clock.
 *
 * The coordinator and the store are the real ones. Messages are lost, come twice and late; workers
 * die, are slow, give leases back, fail; the coordinator dies at the edges of commits and is opened
 * again on what the store has. All of it follows from one seed.
 *
 * What must hold whatever happens: a result that was acknowledged is stored with the same bits;
 * nothing counts as a failure that no worker said; every candidate is told once and in order, so
 * that the trajectory is that of the undisturbed run; every study ends.
 */
#ifndef TESTS_SIM_SIMULATOR_H
#define TESTS_SIM_SIMULATOR_H

#include "tests/sim/world.h"

/* How bad the world is: probabilities, drawn from the seed by simulation_init. */
struct simulation {
    uint64_t seed;
    enum coordinator_fault fault;
    size_t n_workers;
    double lose, repeat; /* a message */
    double crash;        /* the coordinator, an edge of a commit */
    double die;          /* a worker, a job */
    double slow;         /* a job takes thirty times as long */
    double give_back;    /* a job is released */
    double fail;         /* a job fails on this worker only, at most once a candidate */
    double meddle;       /* someone pauses the study, or stops and starts it, a second */
    long crash_at;       /* -1: by chance; else the only crash is at this edge, counted from 0 */
};

struct simulation_result {
    char violation[400]; /* "": none */
    char trajectory[DIGEST_HEX];
    uint64_t evaluations; /* results and failures that workers computed */
    uint64_t candidates;  /* that there are */
    uint64_t crashes, edges, messages;
    int64_t end_ms; /* of the pretend clock */
};

void simulation_init(struct simulation *simulation, uint64_t seed);

/* Search world's study to its end; expected is how the undisturbed run ended. */
void simulation_run(const struct simulation *simulation, const struct world *world,
                    const struct world_end *expected, struct simulation_result *out);

#endif
