/*
 * stages.c - a generation is told when it is whole, and the next is asked in the same transaction
 * (T4 and T1).
 *
 *     all closed --> learn: the optimiser, restored from its stored bytes, is told
 *                --> decide whether its phase of the search is over (turns.c)
 *                --> make what comes next (sequel.c)
 *                --> one commit: told, trajectory, the study's row, the next generation
 *                --> memory takes the sequel's place
 *
 * Between any two commits a restart finds either the open generation or the next one, never
 * something in between.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "search/coordinator_internal.h"

static const char *const stage_names[] = {"baseline", "search", "select", "report", "finished"};

const char *stage_name(enum stage stage)
{
    return stage_names[stage];
}

enum stage stage_parse(const char *name)
{
    size_t i = STAGE_BASELINE;

    while (i < STAGE_FINISHED && strcmp(stage_names[i], name) != 0) {
        i++;
    }
    return (enum stage)i;
}

void generation_release(struct generation *generation)
{
    for (size_t i = 0; i < generation->n; i++) {
        store_candidate_release(&generation->places[i].row);
    }
    free(generation->places);
    free(generation->order);
    store_generation_release(&generation->row);
    *generation = (struct generation){0};
}

/* ---- T1 ---- */

/* A recipe that was measured on this split before shares that outcome; so does one that comes twice
 * in a generation. */
static int find_repeat(struct coordinator *coordinator, struct store_candidate *row, uint64_t first,
                       struct err *err)
{
    struct store_candidate earlier = {0};

    int rc = store_find_candidate(coordinator->store, row->recipe_digest, row->split, &row->repeats,
                                  err);
    if (rc != 0 || row->repeats == 0 || row->repeats >= first) {
        return rc;
    }
    rc = store_candidate(coordinator->store, row->repeats, &earlier, err);
    if (rc != 0) {
        return rc;
    }
    row->status = earlier.status;
    row->value = earlier.value;
    row->failure = earlier.failure;
    memcpy(row->digest, earlier.digest, DIGEST_HEX);
    memcpy(row->weights, earlier.weights, DIGEST_HEX);
    store_candidate_release(&earlier);
    return 0;
}

/* In a transaction: the generation and its candidates, with the optimiser's bytes as it was asked.
 */
static int store_asked(struct coordinator *coordinator, struct sequel *sequel, struct err *err)
{
    struct generation *next = &sequel->next;
    uint64_t first = coordinator->tally.candidates + 1;
    char digest[DIGEST_HEX];

    int rc = store_add_generation(coordinator->store, &next->row, err);
    for (size_t i = 0; i < next->n && rc == 0; i++) {
        struct store_candidate *row = &next->places[i].row;

        row->candidate = first + i;
        rc = find_repeat(coordinator, row, first, err);
        if (rc == 0) {
            rc = store_add_candidate(coordinator->store, row, err);
        }
        if (rc == 0 && is_closed(row->status)) {
            rc = store_copy_evaluation(coordinator->store, row->repeats, row->candidate, err);
        }
    }
    if (rc != 0) {
        return rc;
    }
    digest_hex_of(next->row.optimiser, next->row.n_optimiser, digest);
    const struct store_event event = {.kind = "ask", .digest = digest};
    return store_add_event(coordinator->store, &event, err, "%s %llu: %zu candidates asked",
                           next->row.stage, (unsigned long long)next->row.generation, next->n);
}

/* After the commit: memory takes the sequel's place. */
static void adopt(struct coordinator *coordinator, struct sequel *sequel)
{
    struct generation *open = &coordinator->open;

    for (size_t i = 0; i < coordinator->n_before; i++) {
        store_candidate_release(&coordinator->before[i]);
    }
    coordinator->n_before = 0;
    if (sequel->next.n > 0) {
        size_t n = open->n < COORDINATOR_IN_A_ROW - 1 ? open->n : COORDINATOR_IN_A_ROW - 1;

        for (size_t i = open->n - n; i < open->n; i++) {
            coordinator->before[coordinator->n_before++] = open->places[i].row;
            open->places[i].row = (struct store_candidate){0}; /* handed over */
        }
        generation_release(open);
        *open = sequel->next;
        sequel->next = (struct generation){0};
        coordinator->n_leases = 0;
        coordinator->tally.candidates += open->n;
        for (size_t i = 0; i < open->n; i++) {
            if (is_closed(open->places[i].row.status)) {
                tally_note(coordinator, &open->places[i].row);
            }
        }
    }
    struct optimiser *old = coordinator->optimiser;
    coordinator->optimiser = sequel->optimiser;
    sequel->optimiser = old;
    struct store_study row = coordinator->study;
    coordinator->study = sequel->study;
    sequel->study = row;
    coordinator->front = sequel->front;
    turn_adopt(coordinator, sequel);
    coordinator->wake++;
}

int stages_begin(struct coordinator *coordinator, struct err *err)
{
    struct sequel sequel = {.study = study_copy(&coordinator->study)};

    int rc = turn_to(coordinator, &sequel, 0, NULL, 0, err);
    if (rc == 0 && coordinator->options.n_baselines > 0) {
        rc = sequel_baseline(coordinator, &sequel, err);
    } else if (rc == 0) {
        sequel_search(coordinator, &sequel, 0, 0);
    }
    if (rc == 0) {
        optimiser_save(sequel.optimiser, &sequel.next.row.optimiser, &sequel.next.row.n_optimiser);
        rc = store_add_study(coordinator->store, &sequel.study, err);
    }
    if (rc == 0) {
        rc = turn_store(coordinator, &sequel, err);
    }
    if (rc == 0) {
        rc = store_asked(coordinator, &sequel, err);
    }
    if (rc == 0) {
        rc = store_commit(coordinator->store, err);
    }
    if (rc == 0) {
        adopt(coordinator, &sequel);
    }
    sequel_release(&sequel);
    return rc;
}

/* ---- T4 ---- */

/* What the optimiser is told of a candidate, [m]; NaN for a failed one. */
static int fill_row(const struct coordinator *coordinator, const struct store_candidate *row,
                    size_t m, double *fitness, struct err *err)
{
    if (m > 1 && row->status == STORE_DONE) {
        return front_objectives(coordinator, row->candidate, fitness, err);
    }
    for (size_t k = 0; k < m; k++) {
        fitness[k] = -row->value;
    }
    return 0;
}

/* What it is told, [open.n, m] in candidate order. */
static int fill_fitness(const struct coordinator *coordinator, size_t m, double *fitness,
                        struct err *err)
{
    const struct generation *open = &coordinator->open;
    int rc = 0;

    for (size_t i = 0; i < open->n && rc == 0; i++) {
        size_t at = i;

        if (fault_of(coordinator) == COORDINATOR_FAULT_ARRIVAL_ORDER) {
            at = 0;
            for (size_t j = 0; j < open->n; j++) {
                at += open->places[j].arrived < open->places[i].arrived;
            }
        }
        rc = fill_row(coordinator, &open->places[i].row, m, fitness + at * m, err);
    }
    return rc;
}

/* The optimiser as it is after the open generation. */
static int learn(const struct coordinator *coordinator, struct optimiser **out, struct err *err)
{
    const struct store_generation *row = &coordinator->open.row;
    struct optimiser *optimiser = NULL;

    int rc = optimiser_restore(&optimiser, row->optimiser, row->n_optimiser, err);
    if (rc == 0 && coordinator->open.stage == STAGE_SEARCH) {
        size_t m = optimiser_objectives(optimiser);
        double *fitness = mem_array(coordinator->open.n * m, sizeof(*fitness));

        rc = fill_fitness(coordinator, m, fitness, err);
        rc = rc != 0 ? rc : optimiser_tell(optimiser, fitness, err);
        free(fitness);
    }
    if (rc != 0) {
        optimiser_free(optimiser);
        return rc;
    }
    *out = optimiser;
    return 0;
}

/* In a transaction: what the open generation brought. */
static int find_progress(struct coordinator *coordinator, struct sequel *sequel, struct err *err)
{
    sequel->improved = coordinator->tally.best_generation;
    if (!has_front(coordinator)) {
        return 0;
    }
    int rc = coordinator->open.stage == STAGE_SEARCH ? front_update(coordinator, err) : 0;

    return rc != 0 ? rc
                   : store_front_state(coordinator->store, &sequel->front, &sequel->improved, err);
}

/* In a transaction: the generation is told, and what follows from it. */
static int store_told(struct coordinator *coordinator, struct sequel *sequel, struct err *err)
{
    const struct store_generation *open = &coordinator->open.row;
    const struct store_event told = {.kind = "tell", .digest = sequel->study.trajectory};
    char best[48] = "";

    if (coordinator->open.stage == STAGE_SEARCH && sequel->front > 0) {
        snprintf(best, sizeof(best), ", %llu on the front", (unsigned long long)sequel->front);
    } else if (coordinator->open.stage == STAGE_SEARCH && !isnan(coordinator->tally.best)) {
        snprintf(best, sizeof(best), ", best so far %.6g", coordinator->tally.best);
    }
    int rc = store_set_told(coordinator->store, open->number, sequel->study.trajectory, err);
    if (rc == 0) {
        rc = store_add_event(coordinator->store, &told, err, "%s %llu: told%s", open->stage,
                             (unsigned long long)open->generation, best);
    }
    if (rc == 0 && fault_of(coordinator) == COORDINATOR_FAULT_SPLIT_COMMIT) {
        rc = store_commit(coordinator->store, err);
        rc = rc != 0 ? rc : store_begin(coordinator->store, STORE_DURABLE, err);
    }
    if (rc == 0) {
        rc = turn_store(coordinator, sequel, err);
    }
    if (rc == 0) {
        rc = sequel_next(coordinator, sequel, err);
    }
    if (rc == 0) {
        rc = store_set_study(coordinator->store, &sequel->study, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (sequel->next.n == 0) {
        const struct store_event end = {.kind = "end"};

        return store_add_event(coordinator->store, &end, err, "%s: %s", sequel->study.state,
                               sequel->study.reason);
    }
    optimiser_save(sequel->optimiser, &sequel->next.row.optimiser, &sequel->next.row.n_optimiser);
    return store_asked(coordinator, sequel, err);
}

static int tell(struct coordinator *coordinator, struct err *err)
{
    struct sequel sequel = {.study = study_copy(&coordinator->study)};
    unsigned char *bytes = NULL;
    size_t n = 0;

    int rc = learn(coordinator, &sequel.optimiser, err);
    if (rc == 0) {
        rc = store_begin(coordinator->store, STORE_DURABLE, err);
    }
    if (rc == 0) {
        rc = find_progress(coordinator, &sequel, err);
    }
    if (rc == 0 && coordinator->open.stage == STAGE_SEARCH) {
        rc = turn_decide(coordinator, &sequel, err);
    }
    if (rc == 0) {
        optimiser_save(sequel.optimiser, &bytes, &n);
        rc = trajectory_extend(coordinator, bytes, n, sequel.study.trajectory, err);
    }
    if (rc == 0) {
        rc = store_told(coordinator, &sequel, err);
    }
    if (rc == 0) {
        rc = store_commit(coordinator->store, err);
    }
    if (rc == 0) {
        adopt(coordinator, &sequel);
    } else {
        store_rollback(coordinator->store);
    }
    free(bytes);
    sequel_release(&sequel);
    return rc;
}

/* ---- what stops a study ---- */

/* The last of so many failures of one kind in a row, in candidate order; NULL: there are none. */
static const struct store_candidate *failed_in_a_row(const struct coordinator *coordinator)
{
    const struct generation *open = &coordinator->open;
    enum score_failure kind = SCORE_OK;
    size_t run = 0;

    for (size_t i = 0; i < coordinator->n_before + open->n; i++) {
        const struct store_candidate *row = i < coordinator->n_before
                                                ? &coordinator->before[i]
                                                : &open->places[i - coordinator->n_before].row;

        if (row->repeats != 0) {
            continue; /* says nothing new */
        }
        if (row->status != STORE_FAILED || row->candidate <= coordinator->study.forgiven) {
            run = 0;
            continue;
        }
        run = run > 0 && row->failure == kind ? run + 1 : 1;
        kind = row->failure;
        if (run == COORDINATOR_IN_A_ROW) {
            return row;
        }
    }
    return NULL;
}

/* Whole, or held up: nothing waits, nothing is in work, and some candidate is held. */
static void look_at_generation(const struct generation *open, bool *whole,
                               const struct store_candidate **held)
{
    bool moving = false;

    *whole = true;
    *held = NULL;
    for (size_t i = 0; i < open->n; i++) {
        const struct store_candidate *row = &open->places[i].row;

        *whole = *whole && is_closed(row->status);
        moving = moving || row->status == STORE_LEASED ||
                 (row->status == STORE_PENDING && row->repeats == 0);
        if (row->status == STORE_HELD && *held == NULL) {
            *held = row;
        }
    }
    if (moving) {
        *held = NULL;
    }
}

static int stop_study(struct coordinator *coordinator, const char *reason, struct err *err)
{
    struct store_study next = study_copy(&coordinator->study);

    study_put(&next.state, "failed");
    study_put(&next.reason, reason);
    return coordinator_write(coordinator, &next, "end", reason, err);
}

static int stop_failing(struct coordinator *coordinator, const struct store_candidate *last,
                        struct err *err)
{
    struct score score = {0};
    char reason[REASON_MAX];

    int rc = store_score(coordinator->store, last->candidate, &score, err);
    if (rc != 0) {
        return rc;
    }
    bool said = score.detail != NULL && score.detail[0] != '\0';
    snprintf(reason, sizeof(reason),
             "%d candidates in a row failed in one way (%s), the last one %llu%s%s",
             COORDINATOR_IN_A_ROW, score_failure_name(last->failure),
             (unsigned long long)last->candidate, said ? ": " : "", said ? score.detail : "");
    score_release(&score);
    return stop_study(coordinator, reason, err);
}

static int stop_held(struct coordinator *coordinator, const struct store_candidate *held,
                     struct err *err)
{
    char reason[REASON_MAX];

    snprintf(reason, sizeof(reason),
             "candidate %llu kills workers: %u were lost with it; start again to try it once more",
             (unsigned long long)held->candidate, held->losses);
    return stop_study(coordinator, reason, err);
}

int stages_advance(struct coordinator *coordinator, struct err *err)
{
    int rc = 0;

    while (rc == 0 && strcmp(coordinator->study.stage, "finished") != 0 &&
           strcmp(coordinator->study.state, "failed") != 0) {
        const struct store_candidate *failing = failed_in_a_row(coordinator);
        const struct store_candidate *held;
        bool whole;

        look_at_generation(&coordinator->open, &whole, &held);
        if (failing != NULL) {
            rc = stop_failing(coordinator, failing, err);
        } else if (whole) {
            rc = tell(coordinator, err);
        } else if (held != NULL) {
            rc = stop_held(coordinator, held, err);
        } else {
            break;
        }
    }
    return rc;
}

/* ---- going on after a restart ---- */

static int load_before(struct coordinator *coordinator, uint64_t number, struct err *err)
{
    struct store_candidate *rows = NULL;
    size_t n = 0;

    if (number == 0) {
        return 0;
    }
    int rc = store_candidates(coordinator->store, number - 1, &rows, &n, err);
    size_t keep = n < COORDINATOR_IN_A_ROW - 1 ? n : COORDINATOR_IN_A_ROW - 1;
    for (size_t i = n - keep; i < n && rc == 0; i++) {
        coordinator->before[coordinator->n_before++] = rows[i];
        rows[i] = (struct store_candidate){0}; /* handed over */
    }
    store_candidates_free(rows, n);
    return rc;
}

static int load_open(struct coordinator *coordinator, struct err *err)
{
    struct generation *open = &coordinator->open;
    struct store_candidate *rows = NULL;
    size_t n = 0;
    uint64_t count = 0;

    int rc = store_count_generations(coordinator->store, &count, err);
    if (rc == 0) {
        rc = store_generation(coordinator->store, count - 1, &open->row, err);
    }
    if (rc == 0) {
        rc = store_candidates(coordinator->store, count - 1, &rows, &n, err);
    }
    if (rc != 0) {
        return rc;
    }
    open->stage = stage_parse(open->row.stage);
    open->n = n;
    open->places = mem_array(n, sizeof(*open->places));
    for (size_t i = 0; i < n; i++) {
        open->places[i].row = rows[i];
    }
    free(rows); /* the rows themselves are handed over */
    return load_before(coordinator, count - 1, err);
}

/* The optimiser, asked again, must say what it said. */
static int compare_asked(const struct coordinator *coordinator, struct err *err)
{
    const struct generation *open = &coordinator->open;
    size_t n = optimiser_n(coordinator->optimiser), lambda = optimiser_asks(coordinator->optimiser);
    int rc = 0;

    if (n != space_n(coordinator->phase->space) || lambda != open->n) {
        return err_set(err, ERR_CONFLICT, "database: its optimiser is not this study's");
    }
    double *points = mem_array(n * lambda, sizeof(*points));
    optimiser_ask(coordinator->optimiser, points);
    for (size_t k = 0; k < lambda && rc == 0; k++) {
        const struct store_candidate *row = &open->places[k].row;
        char *recipe = sequel_recipe(coordinator->phase->space, points + k * n);

        if (row->n_point != n || memcmp(row->point, points + k * n, n * sizeof(double)) != 0 ||
            strcmp(row->recipe, recipe) != 0) {
            rc =
                err_set(err, ERR_CONFLICT,
                        "database: candidate %llu is not what the optimiser asks for; was it begun "
                        "with another build?",
                        (unsigned long long)row->candidate);
        }
        free(recipe);
    }
    free(points);
    return rc;
}

int stages_resume(struct coordinator *coordinator, struct err *err)
{
    bool finished = strcmp(coordinator->study.stage, "finished") == 0;
    int rc = load_open(coordinator, err);

    if (rc != 0) {
        return rc;
    }
    const struct generation *open = &coordinator->open;
    if ((open->row.trajectory[0] != '\0') != finished ||
        (!finished && strcmp(open->row.stage, coordinator->study.stage) != 0)) {
        return err_set(err, ERR_CONFLICT,
                       "database: damaged: its stage is not its last generation's");
    }
    rc = turn_resume(coordinator, open->row.phase, err);
    if (rc == 0) {
        rc = optimiser_restore(&coordinator->optimiser, open->row.optimiser, open->row.n_optimiser,
                               err);
    }
    if (rc == 0 && open->stage == STAGE_SEARCH) {
        rc = compare_asked(coordinator, err);
    }
    return rc;
}
