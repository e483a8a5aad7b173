/*
 * checks.c - what must hold, whatever happens.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/run.h"

/* An acknowledged result is stored with the same bits, at every moment from then on. */
static void check_candidate(struct run *run, uint64_t candidate)
{
    struct store_candidate row = {0};

    if (run->acknowledged[candidate][0] == '\0') {
        return;
    }
    if (store_candidate(run->store, candidate, &row, NULL) != 0 || row.status != STORE_DONE ||
        strcmp(row.digest, run->acknowledged[candidate]) != 0) {
        run_violate(run, "candidate %llu: its result was acknowledged, and is not stored",
                    (unsigned long long)candidate);
    }
    store_candidate_release(&row);
}

void check_acknowledged(struct run *run)
{
    for (uint64_t c = 0; c < CANDIDATES_MAX; c++) {
        check_candidate(run, c);
    }
}

void check_state(struct run *run, char state[16], char stage[16], char trajectory[DIGEST_HEX])
{
    struct store_study study = {0};

    state[0] = stage[0] = trajectory[0] = '\0';
    if (store_study(run->store, &study, NULL) == 0) {
        snprintf(state, 16, "%s", study.state);
        snprintf(stage, 16, "%s", study.stage);
        memcpy(trajectory, study.trajectory, DIGEST_HEX);
    }
    store_study_release(&study);
}

/* ---- at the end ---- */

static bool somebody_said_failed(const struct run *run, uint64_t lease)
{
    for (size_t i = 0; i < run->n_said_failed; i++) {
        if (run->said_failed[i] == lease) {
            return true;
        }
    }
    return false;
}

/* Failures are those that workers said, each attempt once; a failed candidate has three or a final
 * one. */
static void check_failures(struct run *run, uint64_t generation)
{
    struct store_candidate *rows = NULL;
    struct store_attempt *attempts = NULL;
    size_t n = 0, n_attempts = 0;

    if (store_candidates(run->store, generation, &rows, &n, NULL) != 0 ||
        store_attempts(run->store, generation, &attempts, &n_attempts, NULL) != 0) {
        run_violate(run, "generation %llu cannot be read", (unsigned long long)generation);
    }
    for (size_t i = 0; i < n; i++) {
        unsigned failed = 0;

        for (size_t a = 0; a < n_attempts; a++) {
            if (attempts[a].candidate != rows[i].candidate || attempts[a].outcome != STORE_BROKEN) {
                continue;
            }
            failed++;
            if (!somebody_said_failed(run, attempts[a].lease)) {
                run_violate(run, "candidate %llu: a lease counts as failed, and no worker said so",
                            (unsigned long long)rows[i].candidate);
            }
        }
        if (failed != rows[i].failures) {
            run_violate(run, "candidate %llu: %u failures counted, %u attempts failed",
                        (unsigned long long)rows[i].candidate, rows[i].failures, failed);
        }
        if (rows[i].status == STORE_FAILED && rows[i].repeats == 0 && failed < 3 &&
            !score_failure_final(rows[i].failure)) {
            run_violate(run, "candidate %llu is failed after %u",
                        (unsigned long long)rows[i].candidate, failed);
        }
        run->result->candidates++;
    }
    store_candidates_free(rows, n);
    free(attempts);
}

void check_end(struct run *run)
{
    char state[16], stage[16];
    uint64_t generations = 0;
    struct err err = {0};

    check_state(run, state, stage, run->result->trajectory);
    if (strcmp(state, run->expected->state) != 0) {
        run_violate(run, "it ended %s, the undisturbed run %s", state, run->expected->state);
    }
    if (strcmp(run->result->trajectory, run->expected->trajectory) != 0) {
        run_violate(run, "its trajectory is not that of the undisturbed run");
    }
    check_acknowledged(run);
    store_count_generations(run->store, &generations, NULL);
    for (uint64_t g = 0; g < generations; g++) {
        check_failures(run, g);
    }
    if (store_check(run->store, &err) != 0) {
        run_violate(run, "%s", err.text);
    }
}
