/*
 * workers.c - pretend workers: they greet, ask, work, beat and report, and some do none of it well.
 */
#include "tests/sim/run.h"

#define BEAT_MS 1000
#define JOB_MS 1000
#define RETRY_MS 400

static void wake_at(struct run *run, size_t w, int64_t at_ms)
{
    const struct worker *worker = &run->workers[w];

    run_put(run, (struct event){.at_ms = at_ms,
                                .kind = WAKES,
                                .worker = w,
                                .boot = worker->boot,
                                .question = worker->question});
}

/* Say it, and say it again if nothing is heard. */
static void say(struct run *run, size_t w)
{
    run_post(run, (struct event){.kind = ARRIVES, .worker = w, .request = run->workers[w].said});
    wake_at(run, w, run->now_ms + run_between(run, RETRY_MS / 2, RETRY_MS));
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

void worker_born(struct run *run, size_t w)
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
    wake_at(run, w, run->now_ms + run_between(run, 100, 10000));
}

static void begin_job(struct run *run, size_t w, const struct reply *reply)
{
    struct worker *worker = &run->workers[w];
    int64_t takes_ms = run_between(run, JOB_MS / 2, 2 * JOB_MS);

    worker->state = WORKING;
    worker->question++;
    worker->lease = reply->lease;
    worker->candidate = reply->candidate;
    worker->attempt = reply->attempt;
    worker->split = reply->split;
    if (run_chance(run) < run->simulation->slow) {
        takes_ms *= 30;
    }
    wake_at(run, w, run->now_ms + takes_ms);
    run_put(run, (struct event){.at_ms = run->now_ms + BEAT_MS,
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

    if (run_chance(run) < run->simulation->die) {
        die(run, w);
        return;
    }
    if (run_chance(run) < run->simulation->give_back) {
        worker->state = REPORTING;
        ask_new(run, w, about_job(worker, RELEASE));
        return;
    }
    run->result->evaluations++;
    if (failure != SCORE_OK) {
        say_failed(run, w, failure);
    } else if (!run->failed_once[worker->candidate] && run_chance(run) < run->simulation->fail) {
        run->failed_once[worker->candidate] = true;
        say_failed(run, w, SCORE_OOM);
    } else {
        worker->state = REPORTING;
        ask_new(run, w, about_job(worker, RESULT));
    }
}

void worker_wakes(struct run *run, const struct event *event)
{
    struct worker *worker = &run->workers[event->worker];

    if (worker->boot != event->boot || worker->question != event->question) {
        return;
    }
    switch (worker->state) {
    case SILENT:
        worker_born(run, event->worker);
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

void worker_beats(struct run *run, const struct event *event)
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
    run_post(run, (struct event){.kind = ARRIVES, .worker = event->worker, .request = request});
    next.at_ms = run->now_ms + BEAT_MS;
    run_put(run, next);
}

void worker_hears(struct run *run, const struct reply *reply)
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
