/*
 * simulator.c - the coordinator's side, people, and the loop. See run.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tests/sim/run.h"

#define EVENTS_MAX 2000000 /* of a run: more and it does not end */
#define STREAM_WORLD 101   /* which world; STREAM_EVENTS: what happens in it */
#define STREAM_EVENTS 102

/* ---- the coordinator ---- */

static int hook(void *context, enum store_edge edge)
{
    struct run *run = context;
    long at = (long)run->result->edges++;

    (void)edge;
    if (run->crashing) {
        return 1; /* it is dead already */
    }
    run->crashing = run->simulation->crash_at >= 0 ? at == run->simulation->crash_at
                                                   : run_chance(run) < run->simulation->crash;
    return run->crashing;
}

static bool some_candidate_is_held(struct run *run)
{
    struct store_candidate *rows = NULL;
    uint64_t generations = 0;
    size_t n = 0;
    bool held = false;

    if (store_count_generations(run->store, &generations, NULL) == 0 && generations > 0 &&
        store_candidates(run->store, generations - 1, &rows, &n, NULL) == 0) {
        for (size_t i = 0; i < n; i++) {
            held = held || rows[i].status == STORE_HELD;
        }
        store_candidates_free(rows, n);
    }
    return held;
}

/* It has ended, or stands still for a reason that a person would have to look at. */
static bool has_ended(struct run *run)
{
    char state[16], stage[16], trajectory[DIGEST_HEX];

    check_state(run, state, stage, trajectory);
    return strcmp(stage, "finished") == 0 ||
           (strcmp(state, "failed") == 0 && !some_candidate_is_held(run));
}

static void open_coordinator(struct run *run)
{
    struct coordinator_options options = run->world->options;
    struct err err = {0};

    if (has_ended(run)) {
        run->over = true;
        return;
    }
    options.fault = run->simulation->fault;
    run->crashing = false;
    int rc = coordinator_open(&run->coordinator, run->store, &options, run->now_ms, &err);
    if (run->crashing) {
        coordinator_close(run->coordinator);
        run->coordinator = NULL;
        run->result->crashes++;
        run_put(run,
                (struct event){.at_ms = run->now_ms + run_between(run, 1, 5000), .kind = RESTARTS});
        return;
    }
    if (rc != 0) {
        run_violate(run, "it does not open again: %s", err.text);
        return;
    }
    run_put(run, (struct event){.at_ms = run->now_ms + 1, .kind = TICKS});
    for (size_t w = 0; w < run->simulation->n_workers; w++) {
        if (run->workers[w].state == GONE) {
            worker_born(run, w); /* who starts it again starts its workers */
        }
    }
}

static void crash(struct run *run)
{
    struct err err = {0};

    coordinator_close(run->coordinator);
    run->coordinator = NULL;
    run->result->crashes++;
    store_rollback(run->store);
    check_acknowledged(run);
    if (store_check(run->store, &err) != 0) {
        run_violate(run, "%s", err.text);
    }
    run_put(run,
            (struct event){.at_ms = run->now_ms + run_between(run, 1, 5000), .kind = RESTARTS});
}

/* After every call: a planted death, an error that nothing explains, the end. */
static bool lives(struct run *run, int rc, const struct err *err)
{
    if (run->crashing) {
        crash(run);
        return false;
    }
    if (rc != 0 && rc != ERR_MISSING) {
        run_violate(run, "an error without a cause: %s", err->text);
        return false;
    }
    return true;
}

static int handle_result(struct run *run, const struct request *request, struct reply *reply,
                         struct err *err)
{
    enum coordinator_verdict verdict = COORDINATOR_INVALID;
    struct score score = {0};

    world_score(run->world, run->recipes[request->candidate], request->split, &score);
    int rc = coordinator_result(run->coordinator, request->candidate, request->attempt,
                                request->lease, &score, run->now_ms, &verdict, err);
    if (rc == 0 && verdict == COORDINATOR_INVALID) {
        run_violate(run, "a good result was refused: %s", err->text);
    }
    if (rc == 0 && (verdict == COORDINATOR_STORED || verdict == COORDINATOR_SAME)) {
        score_digest(&score, run->acknowledged[request->candidate]);
    }
    if (rc == 0 && (verdict == COORDINATOR_DIFFERS || verdict == COORDINATOR_CLOSED)) {
        run_violate(run, "candidate %llu: a good result was turned away (%d)",
                    (unsigned long long)request->candidate, verdict);
    }
    score_release(&score);
    reply->status = 200;
    return rc;
}

static int handle_ask(struct run *run, const struct request *request, struct reply *reply,
                      struct err *err)
{
    enum coordinator_offer offer = COORDINATOR_NOTHING;
    struct job job = {0};
    int rc = coordinator_lease(run->coordinator, request->worker_id, request->seq, run->now_ms,
                               &offer, &job, err);

    if (rc != 0) {
        return rc;
    }
    reply->status = offer == COORDINATOR_JOB ? 200 : offer == COORDINATOR_OVER ? 410 : 204;
    if (offer == COORDINATOR_JOB) {
        reply->has_job = true;
        reply->lease = job.lease;
        reply->candidate = job.candidate;
        reply->attempt = job.attempt;
        reply->split = job.split;
        if (job.candidate >= CANDIDATES_MAX) {
            run_violate(run, "more candidates than the study can have");
        } else if (run->recipes[job.candidate] == NULL) {
            run->recipes[job.candidate] = mem_text(job.recipe);
        } else if (strcmp(run->recipes[job.candidate], job.recipe) != 0) {
            run_violate(run, "candidate %llu is not what it was",
                        (unsigned long long)job.candidate);
        }
    }
    job_release(&job);
    return rc;
}

static int handle_hello(struct run *run, const struct request *request, struct reply *reply,
                        struct err *err)
{
    char boot_id[33];
    const struct coordinator_worker hello = {boot_id, "sim", "sim", "f32/sim"};

    snprintf(boot_id, sizeof(boot_id), "%032llx", (unsigned long long)request->boot);
    return coordinator_register(run->coordinator, &hello, run->now_ms, &reply->worker_id, err);
}

static int handle(struct run *run, const struct request *request, struct reply *reply,
                  struct err *err)
{
    switch (request->kind) {
    case HELLO:
        return handle_hello(run, request, reply, err);
    case ASK:
        return handle_ask(run, request, reply, err);
    case BEAT:
        return coordinator_beat(run->coordinator, request->lease, run->now_ms, &reply->cancel, err);
    case RESULT:
        return handle_result(run, request, reply, err);
    case FAIL:
        return coordinator_fail(run->coordinator, request->lease, request->failure, "so it is",
                                run->now_ms, err);
    case RELEASE:
        return coordinator_release(run->coordinator, request->lease, run->now_ms, err);
    }
    return 0;
}

/* A study that stands still because a candidate kills workers: a person starts it again. */
static void look_at_state(struct run *run)
{
    struct coordinator_status status;

    coordinator_status(run->coordinator, &status);
    if (strcmp(status.stage, "finished") == 0) {
        run->over = true;
    } else if (strcmp(status.state, "failed") == 0) {
        coordinator_close(run->coordinator);
        run->coordinator = NULL;
        open_coordinator(run);
    }
}

static void on_arrival(struct run *run, const struct request *request)
{
    struct reply reply = {.to = *request};
    struct err err = {0};

    if (run->coordinator == NULL) {
        return; /* nobody listens */
    }
    run->result->messages++;
    int rc = handle(run, request, &reply, &err);
    if (!lives(run, rc, &err)) {
        return;
    }
    run_post(run, (struct event){.kind = ANSWERED, .worker = request->worker, .reply = reply});
    if (!run->over) {
        look_at_state(run);
    }
}

static void on_tick(struct run *run)
{
    int64_t next_ms = run->now_ms + 1000;
    struct err err = {0};

    if (run->coordinator == NULL) {
        return; /* opening it again starts another clock */
    }
    int rc = coordinator_tick(run->coordinator, run->now_ms, &next_ms, &err);
    if (!lives(run, rc, &err)) {
        return;
    }
    look_at_state(run);
    if (run->coordinator != NULL && !run->over) {
        int64_t at_ms = next_ms > run->now_ms ? next_ms : run->now_ms + 1;

        run_put(run,
                (struct event){.at_ms = at_ms < run->now_ms + 1000 ? at_ms : run->now_ms + 1000,
                               .kind = TICKS});
    }
}

/* ---- people ---- */

static void order(struct run *run, enum coordinator_order what)
{
    struct err err = {0};

    if (run->coordinator == NULL || run->over) {
        return;
    }
    int rc = coordinator_command(run->coordinator, what, run->now_ms, &err);
    if (lives(run, rc, &err) && what != COORDINATOR_STOP) {
        look_at_state(run);
    }
}

/* Stopped, it is started again; its process ends in between. */
static void stop_and_start(struct run *run)
{
    order(run, COORDINATOR_STOP);
    if (run->coordinator != NULL) {
        coordinator_close(run->coordinator);
        run->coordinator = NULL;
        run_put(run, (struct event){.at_ms = run->now_ms + run_between(run, 1, 20000),
                                    .kind = RESTARTS});
    }
}

static void on_meddling(struct run *run)
{
    run_put(run, (struct event){.at_ms = run->now_ms + 1000, .kind = MEDDLES});
    if (run->coordinator == NULL || run_chance(run) >= run->simulation->meddle) {
        return;
    }
    if (run_chance(run) < 0.5) {
        order(run, COORDINATOR_PAUSE);
        run_put(run,
                (struct event){.at_ms = run->now_ms + run_between(run, 1, 5000), .kind = RESUMES});
    } else {
        stop_and_start(run);
    }
}

static void handle_event(struct run *run, const struct event *event)
{
    switch (event->kind) {
    case ARRIVES:
        on_arrival(run, &event->request);
        break;
    case ANSWERED:
        worker_hears(run, &event->reply);
        break;
    case WAKES:
        worker_wakes(run, event);
        break;
    case BEATS:
        worker_beats(run, event);
        break;
    case TICKS:
        on_tick(run);
        break;
    case RESTARTS:
        open_coordinator(run);
        break;
    case MEDDLES:
        on_meddling(run);
        break;
    case RESUMES:
        order(run, COORDINATOR_RESUME);
        break;
    }
}

void simulation_init(struct simulation *simulation, uint64_t seed)
{
    struct rng64 rng;

    rng64_seed(&rng, seed, STREAM_WORLD);
    *simulation = (struct simulation){
        .seed = seed,
        .n_workers = 1 + (size_t)rng64_below(&rng, 5),
        .crash_at = -1,
    };
    double *const probabilities[] = {&simulation->lose, &simulation->repeat, &simulation->crash,
                                     &simulation->die,  &simulation->slow,   &simulation->give_back,
                                     &simulation->fail, &simulation->meddle};
    static const double worst[] = {0.2, 0.2, 0.06, 0.15, 0.1, 0.1, 0.1, 0.05};
    for (size_t i = 0; i < sizeof(worst) / sizeof(worst[0]); i++) {
        /* Each trouble is away in one world of three, so that the others are seen alone too. */
        double share = rng64_uniform(&rng) * 1.5 - 0.5;

        *probabilities[i] = share > 0.0 ? share * worst[i] : 0.0;
    }
}

static void run_release(struct run *run)
{
    coordinator_close(run->coordinator);
    if (run->store != NULL) {
        store_set_hook(run->store, NULL, NULL);
    }
    store_close(run->store);
    for (size_t c = 0; c < CANDIDATES_MAX; c++) {
        free(run->recipes[c]);
    }
    free(run->events);
    free(run);
}

void simulation_run(const struct simulation *simulation, const struct world *world,
                    const struct world_end *expected, struct simulation_result *out)
{
    struct run *run = mem_array(1, sizeof(*run));
    struct err err = {0};

    *out = (struct simulation_result){0};
    run->simulation = simulation;
    run->world = world;
    run->expected = expected;
    run->result = out;
    rng64_seed(&run->rng, simulation->seed, STREAM_EVENTS);
    if (store_open(&run->store, ":memory:", &err) != 0) {
        run_violate(run, "%s", err.text);
        run_release(run);
        return;
    }
    store_set_hook(run->store, hook, run);
    open_coordinator(run);
    for (size_t w = 0; w < simulation->n_workers && !run->over; w++) {
        worker_born(run, w);
    }
    run_put(run, (struct event){.at_ms = 1000, .kind = MEDDLES});
    while (!run->over && run->n_events > 0) {
        struct event event = run_take(run);

        run->now_ms = event.at_ms;
        handle_event(run, &event);
        if (++run->handled > EVENTS_MAX) {
            run_violate(run, "it does not end");
        }
    }
    out->end_ms = run->now_ms;
    if (out->violation[0] == '\0') {
        check_end(run);
    }
    run_release(run);
}
