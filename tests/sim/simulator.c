/*
 * simulator.c - see simulator.h.
 *
 *     worker  --request-->  network  --request-->  coordinator
 *             <---reply---           <---reply---      |  store (kept over crashes)
 *
 * One queue of events ordered by time, ties in the order they were put in. A request carries all
 * that it says, so that a copy may arrive when its worker has long gone on. A worker has one
 * question open at a time, tries it again until it hears an answer, and ignores answers to older
 * ones.
 */
#include "tests/sim/simulator.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

#define WORKERS_MAX 8
#define CANDIDATES_MAX 512
#define LEASES_MAX 4096
#define EVENTS_MAX 2000000 /* of a run: more and it does not end */
#define BEAT_MS 1000
#define JOB_MS 1000
#define RETRY_MS 400
#define STREAM_WORLD 101 /* which world; STREAM_EVENTS: what happens in it */
#define STREAM_EVENTS 102

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

/* ---- the world in motion ---- */

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

static void violate(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void violate(struct run *run, const char *format, ...)
{
    va_list arguments;

    if (run->result->violation[0] != '\0') {
        return;
    }
    va_start(arguments, format);
    vsnprintf(run->result->violation, sizeof(run->result->violation), format, arguments);
    va_end(arguments);
    run->over = true;
}

static double chance(struct run *run)
{
    return rng64_uniform(&run->rng);
}

static int64_t between(struct run *run, int64_t least, int64_t most)
{
    return least + (int64_t)rng64_below(&run->rng, (uint64_t)(most - least + 1));
}

/* ---- the queue ---- */

static bool before(const struct event *a, const struct event *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void put(struct run *run, struct event event)
{
    if (run->n_events == run->room_events) {
        run->room_events = run->room_events == 0 ? 64 : 2 * run->room_events;
        run->events = mem_resize(run->events, run->room_events, sizeof(*run->events));
    }
    event.order = run->order++;
    size_t i = run->n_events++;
    while (i > 0 && before(&event, &run->events[(i - 1) / 2])) {
        run->events[i] = run->events[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    run->events[i] = event;
}

static struct event take(struct run *run)
{
    struct event first = run->events[0], last = run->events[--run->n_events];
    size_t i = 0;

    for (;;) {
        size_t child = 2 * i + 1;

        if (child >= run->n_events) {
            break;
        }
        if (child + 1 < run->n_events && before(&run->events[child + 1], &run->events[child])) {
            child++;
        }
        if (!before(&run->events[child], &last)) {
            break;
        }
        run->events[i] = run->events[child];
        i = child;
    }
    run->events[i] = last;
    return first;
}

/* A message on its way: lost, once, or twice, each with its own delay. */
static void post(struct run *run, struct event event)
{
    int copies = chance(run) < run->simulation->repeat ? 2 : 1;

    for (int i = 0; i < copies; i++) {
        if (chance(run) >= run->simulation->lose) {
            event.at_ms =
                run->now_ms + (chance(run) < 0.05 ? between(run, 1, 8000) : between(run, 1, 40));
            put(run, event);
        }
    }
}

/* ---- workers ---- */

static void wake_at(struct run *run, size_t w, int64_t at_ms)
{
    const struct worker *worker = &run->workers[w];

    put(run, (struct event){.at_ms = at_ms,
                            .kind = WAKES,
                            .worker = w,
                            .boot = worker->boot,
                            .question = worker->question});
}

/* Say it, and say it again if nothing is heard. */
static void say(struct run *run, size_t w)
{
    post(run, (struct event){.kind = ARRIVES, .worker = w, .request = run->workers[w].said});
    wake_at(run, w, run->now_ms + between(run, RETRY_MS / 2, RETRY_MS));
}

static void ask_new(struct run *run, size_t w, struct request request)
{
    struct worker *worker = &run->workers[w];

    worker->question++;
    request.worker = w;
    request.boot = worker->boot;
    request.question = worker->question;
    worker->said = request;
    say(run, w);
}

static void be_born(struct run *run, size_t w)
{
    struct worker *worker = &run->workers[w];

    *worker = (struct worker){.state = GREETING, .boot = ++run->boots};
    ask_new(run, w, (struct request){.kind = HELLO});
}

static void ask_for_work(struct run *run, size_t w)
{
    struct worker *worker = &run->workers[w];

    worker->state = ASKING;
    worker->seq++;
    ask_new(run, w, (struct request){.kind = ASK, .worker_id = worker->id, .seq = worker->seq});
}

static struct request about_job(const struct worker *worker, enum request_kind kind)
{
    return (struct request){.kind = kind,
                            .lease = worker->lease,
                            .candidate = worker->candidate,
                            .attempt = worker->attempt,
                            .split = worker->split};
}

/* Dead: nothing of it is left but what it has sent. Another takes its place. */
static void die(struct run *run, size_t w)
{
    run->workers[w] = (struct worker){.state = SILENT, .boot = ++run->boots};
    wake_at(run, w, run->now_ms + between(run, 100, 10000));
}

static void begin_job(struct run *run, size_t w, const struct reply *reply)
{
    struct worker *worker = &run->workers[w];
    int64_t takes_ms = between(run, JOB_MS / 2, 2 * JOB_MS);

    worker->state = WORKING;
    worker->question++;
    worker->lease = reply->lease;
    worker->candidate = reply->candidate;
    worker->attempt = reply->attempt;
    worker->split = reply->split;
    if (chance(run) < run->simulation->slow) {
        takes_ms *= 30;
    }
    wake_at(run, w, run->now_ms + takes_ms);
    put(run, (struct event){.at_ms = run->now_ms + BEAT_MS,
                            .kind = BEATS,
                            .worker = w,
                            .boot = worker->boot,
                            .question = worker->question});
}

static void say_failed(struct run *run, size_t w, enum score_failure failure)
{
    struct request request = about_job(&run->workers[w], FAIL);

    request.failure = failure;
    if (run->n_said_failed < LEASES_MAX) {
        run->said_failed[run->n_said_failed++] = request.lease;
    }
    run->workers[w].state = REPORTING;
    ask_new(run, w, request);
}

/* The job's time is up: report, or one of the bad ends. */
static void end_job(struct run *run, size_t w)
{
    struct worker *worker = &run->workers[w];
    enum score_failure failure = world_failure(run->world, run->recipes[worker->candidate]);

    if (chance(run) < run->simulation->die) {
        die(run, w);
        return;
    }
    if (chance(run) < run->simulation->give_back) {
        worker->state = REPORTING;
        ask_new(run, w, about_job(worker, RELEASE));
        return;
    }
    run->result->evaluations++;
    if (failure != SCORE_OK) {
        say_failed(run, w, failure);
    } else if (!run->failed_once[worker->candidate] && chance(run) < run->simulation->fail) {
        run->failed_once[worker->candidate] = true;
        say_failed(run, w, SCORE_OOM);
    } else {
        worker->state = REPORTING;
        ask_new(run, w, about_job(worker, RESULT));
    }
}

static void on_wake(struct run *run, const struct event *event)
{
    struct worker *worker = &run->workers[event->worker];

    if (worker->boot != event->boot || worker->question != event->question) {
        return;
    }
    switch (worker->state) {
    case SILENT:
        be_born(run, event->worker);
        break;
    case WORKING:
        end_job(run, event->worker);
        break;
    case GREETING:
    case ASKING:
    case REPORTING:
        say(run, event->worker); /* nothing was heard */
        break;
    case GONE:
        break;
    }
}

static void on_beat(struct run *run, const struct event *event)
{
    const struct worker *worker = &run->workers[event->worker];
    struct event next = *event;

    if (worker->boot != event->boot || worker->question != event->question) {
        return;
    }
    struct request request = about_job(worker, BEAT);
    request.worker = event->worker;
    request.boot = worker->boot;
    request.question = worker->question;
    post(run, (struct event){.kind = ARRIVES, .worker = event->worker, .request = request});
    next.at_ms = run->now_ms + BEAT_MS;
    put(run, next);
}

static void hear(struct run *run, const struct reply *reply)
{
    size_t w = reply->to.worker;
    struct worker *worker = &run->workers[w];

    if (worker->boot != reply->to.boot || worker->question != reply->to.question) {
        return; /* to another, or to an older question */
    }
    switch (reply->to.kind) {
    case HELLO:
        worker->id = reply->worker_id;
        ask_for_work(run, w);
        break;
    case ASK:
        if (reply->has_job) {
            begin_job(run, w, reply);
        } else if (reply->status == 410) {
            worker->state = GONE;
        } /* nothing now: it asks again when it wakes */
        break;
    case BEAT:
        if (reply->cancel) {
            ask_for_work(run, w);
        }
        break;
    case RESULT:
    case FAIL:
    case RELEASE:
        ask_for_work(run, w);
        break;
    }
}

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
                                                   : chance(run) < run->simulation->crash;
    return run->crashing;
}

/* An acknowledged result is stored with the same bits, at every moment from then on. */
static void check_acknowledged(struct run *run, uint64_t candidate)
{
    struct store_candidate row = {0};

    if (run->acknowledged[candidate][0] == '\0') {
        return;
    }
    if (store_candidate(run->store, candidate, &row, NULL) != 0 || row.status != STORE_DONE ||
        strcmp(row.digest, run->acknowledged[candidate]) != 0) {
        violate(run, "candidate %llu: its result was acknowledged, and is not stored",
                (unsigned long long)candidate);
    }
    store_candidate_release(&row);
}

static void check_all_acknowledged(struct run *run)
{
    for (uint64_t c = 0; c < CANDIDATES_MAX; c++) {
        check_acknowledged(run, c);
    }
}

/* What a person sees, even while the coordinator is dead. */
static void read_state(struct run *run, char state[16], char stage[16], char trajectory[DIGEST_HEX])
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

    read_state(run, state, stage, trajectory);
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
        put(run, (struct event){.at_ms = run->now_ms + between(run, 1, 5000), .kind = RESTARTS});
        return;
    }
    if (rc != 0) {
        violate(run, "it does not open again: %s", err.text);
        return;
    }
    put(run, (struct event){.at_ms = run->now_ms + 1, .kind = TICKS});
    for (size_t w = 0; w < run->simulation->n_workers; w++) {
        if (run->workers[w].state == GONE) {
            be_born(run, w); /* who starts it again starts its workers */
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
    check_all_acknowledged(run);
    if (store_check_events(run->store, &err) != 0) {
        violate(run, "%s", err.text);
    }
    put(run, (struct event){.at_ms = run->now_ms + between(run, 1, 5000), .kind = RESTARTS});
}

/* After every call: a planted death, an error that nothing explains, the end. */
static bool lives(struct run *run, int rc, const struct err *err)
{
    if (run->crashing) {
        crash(run);
        return false;
    }
    if (rc != 0 && rc != ERR_MISSING) {
        violate(run, "an error without a cause: %s", err->text);
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
        violate(run, "a good result was refused: %s", err->text);
    }
    if (rc == 0 && (verdict == COORDINATOR_STORED || verdict == COORDINATOR_SAME)) {
        score_digest(&score, run->acknowledged[request->candidate]);
    }
    if (rc == 0 && (verdict == COORDINATOR_DIFFERS || verdict == COORDINATOR_CLOSED)) {
        violate(run, "candidate %llu: a good result was turned away (%d)",
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
            violate(run, "more candidates than the study can have");
        } else if (run->recipes[job.candidate] == NULL) {
            run->recipes[job.candidate] = mem_text(job.recipe);
        } else if (strcmp(run->recipes[job.candidate], job.recipe) != 0) {
            violate(run, "candidate %llu is not what it was", (unsigned long long)job.candidate);
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
    post(run, (struct event){.kind = ANSWERED, .worker = request->worker, .reply = reply});
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

        put(run, (struct event){.at_ms = at_ms < run->now_ms + 1000 ? at_ms : run->now_ms + 1000,
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
        put(run, (struct event){.at_ms = run->now_ms + between(run, 1, 20000), .kind = RESTARTS});
    }
}

static void on_meddling(struct run *run)
{
    put(run, (struct event){.at_ms = run->now_ms + 1000, .kind = MEDDLES});
    if (run->coordinator == NULL || chance(run) >= run->simulation->meddle) {
        return;
    }
    if (chance(run) < 0.5) {
        order(run, COORDINATOR_PAUSE);
        put(run, (struct event){.at_ms = run->now_ms + between(run, 1, 5000), .kind = RESUMES});
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
        hear(run, &event->reply);
        break;
    case WAKES:
        on_wake(run, event);
        break;
    case BEATS:
        on_beat(run, event);
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

/* ---- the end ---- */

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
        violate(run, "generation %llu cannot be read", (unsigned long long)generation);
    }
    for (size_t i = 0; i < n; i++) {
        unsigned failed = 0;

        for (size_t a = 0; a < n_attempts; a++) {
            if (attempts[a].candidate != rows[i].candidate || attempts[a].outcome != STORE_BROKEN) {
                continue;
            }
            failed++;
            if (!somebody_said_failed(run, attempts[a].lease)) {
                violate(run, "candidate %llu: a lease counts as failed, and no worker said so",
                        (unsigned long long)rows[i].candidate);
            }
        }
        if (failed != rows[i].failures) {
            violate(run, "candidate %llu: %u failures counted, %u attempts failed",
                    (unsigned long long)rows[i].candidate, rows[i].failures, failed);
        }
        if (rows[i].status == STORE_FAILED && rows[i].repeats == 0 && failed < 3 &&
            !score_failure_final(rows[i].failure)) {
            violate(run, "candidate %llu is failed after %u", (unsigned long long)rows[i].candidate,
                    failed);
        }
        run->result->candidates++;
    }
    store_candidates_free(rows, n);
    free(attempts);
}

static void check_end(struct run *run)
{
    char state[16], stage[16];
    uint64_t generations = 0;
    struct err err = {0};

    read_state(run, state, stage, run->result->trajectory);
    if (strcmp(state, run->expected->state) != 0) {
        violate(run, "it ended %s, the undisturbed run %s", state, run->expected->state);
    }
    if (strcmp(run->result->trajectory, run->expected->trajectory) != 0) {
        violate(run, "its trajectory is not that of the undisturbed run");
    }
    check_all_acknowledged(run);
    store_count_generations(run->store, &generations, NULL);
    for (uint64_t g = 0; g < generations; g++) {
        check_failures(run, g);
    }
    if (store_check_events(run->store, &err) != 0) {
        violate(run, "%s", err.text);
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
        violate(run, "%s", err.text);
        run_release(run);
        return;
    }
    store_set_hook(run->store, hook, run);
    open_coordinator(run);
    for (size_t w = 0; w < simulation->n_workers && !run->over; w++) {
        be_born(run, w);
    }
    put(run, (struct event){.at_ms = 1000, .kind = MEDDLES});
    while (!run->over && run->n_events > 0) {
        struct event event = take(run);

        run->now_ms = event.at_ms;
        handle_event(run, &event);
        if (++run->handled > EVENTS_MAX) {
            violate(run, "it does not end");
        }
    }
    out->end_ms = run->now_ms;
    if (out->violation[0] == '\0') {
        check_end(run);
    }
    run_release(run);
}
