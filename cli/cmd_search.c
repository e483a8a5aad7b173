/*
 * cmd_search.c - braid search study.yaml: coordinator, local workers and page on one machine.
 *
 * One event loop. libevent carries the workers' requests and the page; a timer looks after the
 * child processes, the clock on the wall and the progress line. Killed at any moment, the same
 * command goes on.
 */
#include <event2/event.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/local_workers.h"
#include "cli/notes.h"
#include "cli/prepare.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "store/store.h"
#include "web/api.h"
#include "web/dispatch.h"
#include "web/server.h"
#include "web/stream.h"

#define DEFAULT_LISTEN "127.0.0.1:8471"
#define TEND_MS 100
#define FAREWELL_MS 3000 /* for workers to hear that the study is over */

struct arguments {
    const char *study, *database, *listen;
    int workers; /* -1: one a core */
    bool json, insecure_plaintext, private_reading;
};

enum { KEY_INSECURE = 1000, KEY_PRIVATE };

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    char *end;

    switch (key) {
    case 'd':
        arguments->database = value;
        return 0;
    case 'l':
        arguments->listen = value;
        return 0;
    case 'w':
        arguments->workers = (int)strtol(value, &end, 10);
        if (*value == '\0' || *end != '\0' || arguments->workers < 0 ||
            arguments->workers > LOCAL_WORKERS_MAX) {
            argp_error(state, "--workers %s: expected a number from 0 to %d", value,
                       LOCAL_WORKERS_MAX);
        }
        return 0;
    case 'j':
        arguments->json = true;
        return 0;
    case KEY_INSECURE:
        arguments->insecure_plaintext = true;
        return 0;
    case KEY_PRIVATE:
        arguments->private_reading = true;
        return 0;
    default:
        return command_one(key, value, state, "study", &arguments->study);
    }
}

/* Everything that lives as long as the search runs. */
struct evening {
    const struct arguments *arguments;
    struct prepared prepared;
    char *database, *token_file, *spool;
    struct store *store, *reader;
    struct coordinator *coordinator;
    struct event_base *base;
    struct event *timer;
    struct server *server;
    struct dispatch *dispatch;
    struct stream *stream;
    struct local_workers workers;
    struct progress progress;
    int64_t begun_ms, over_ms; /* over_ms: when the study ended, 0 before */
    uint64_t begun_done;       /* candidates finished when we started, for the rate */
    bool finishing;            /* the wall clock has asked for the end */
    int rc;                    /* what ended us */
    struct err *err;
};

static void show_progress(struct evening *evening, const struct coordinator_status *status)
{
    int64_t now_ms = command_now_ms();
    double rate = (double)(status->done - evening->begun_done) /
                  fmax((double)(now_ms - evening->begun_ms) / 1000, 0.1);
    double left = status->evaluations_max > status->evaluations
                      ? (double)(status->evaluations_max - status->evaluations)
                      : 0;
    char eta[32], best[64] = "-", parent[48] = "", phase[64] = "";

    if (status->front > 0) {
        snprintf(best, sizeof(best), "%.4f  %" PRIu64 " on the front", status->best, status->front);
    } else if (!isnan(status->best)) {
        snprintf(best, sizeof(best), "%.4f", status->best);
    }
    if (!isnan(status->best_parent) && status->front == 0) {
        snprintf(parent, sizeof(parent), " (best parent %.4f)", status->best_parent);
    }
    if (status->phase[0] != '\0' && strcmp(status->stage, "search") == 0) {
        snprintf(phase, sizeof(phase), " (%s)", status->phase);
    }
    progress_show(&evening->progress, now_ms,
                  "%s  %s%s  %" PRIu64 "/%" PRIu64 "  %.1f/s  ETA %s  best %s%s%s",
                  evening->prepared.study.name, status->stage, phase, status->evaluations,
                  status->evaluations_max, rate,
                  progress_span(eta, rate > 0 ? left / rate : (double)NAN), best, parent,
                  strcmp(status->state, "paused") == 0 ? "  paused" : "");
}

static void end_loop(struct evening *evening, int rc)
{
    if (evening->rc == 0) {
        evening->rc = rc;
    }
    event_base_loopbreak(evening->base);
}

static void on_fatal(const struct err *err, void *context)
{
    struct evening *evening = context;

    if (evening->rc == 0) {
        *evening->err = *err;
    }
    end_loop(evening, err->code);
}

static void on_change(void *context)
{
    struct evening *evening = context;

    stream_poke(evening->stream);
}

static void worker_lost(const char *name, void *context)
{
    struct evening *evening = context;

    dispatch_worker_lost(evening->dispatch, name);
}

static bool clock_says_stop(const struct study_budget *budget, int64_t begun_ms)
{
    if (budget->wall_ms > 0 && command_now_ms() - begun_ms >= budget->wall_ms) {
        return true;
    }
    if (budget->until_minute < 0) {
        return false;
    }
    time_t now = (time_t)(command_calendar_ms() / 1000);
    struct tm day;

    localtime_r(&now, &day);
    return day.tm_hour * 60 + day.tm_min == budget->until_minute &&
           command_now_ms() - begun_ms > 60000;
}

/* The study's own end: finished, failed, or stopped by someone on the page. */
static bool is_over(const struct coordinator_status *status)
{
    return strcmp(status->state, "finished") == 0 || strcmp(status->state, "failed") == 0 ||
           strcmp(status->state, "stopped") == 0;
}

static void tend(evutil_socket_t fd, short what, void *context)
{
    struct evening *evening = context;
    struct coordinator_status status;
    int64_t now_ms = command_now_ms();

    (void)fd;
    (void)what;
    coordinator_status(evening->coordinator, &status);
    show_progress(evening, &status);
    if (command_stopped()) {
        end_loop(evening, 0);
        return;
    }
    bool over = is_over(&status);
    if (over && evening->over_ms == 0) {
        evening->over_ms = now_ms;
        stream_poke(evening->stream);
    }
    int rc = local_workers_tend(&evening->workers, !over, status.done, now_ms, worker_lost, evening,
                                evening->err);
    if (rc != 0) {
        end_loop(evening, rc);
    } else if (over && (local_workers_running(&evening->workers) == 0 ||
                        now_ms - evening->over_ms > FAREWELL_MS)) {
        end_loop(evening, 0);
    } else if (!over && !evening->finishing &&
               clock_says_stop(&evening->prepared.study.budget, evening->begun_ms)) {
        evening->finishing = true;
        log_info("search", "time is up; the winner is chosen from what has been found");
        dispatch_order(evening->dispatch, COORDINATOR_FINISH);
    }
}

/* The door, the page, and the loop's timer. */
static int open_door(struct evening *evening, struct err *err)
{
    const struct arguments *arguments = evening->arguments;
    const struct server_options server_options = {
        .listen = arguments->listen != NULL ? arguments->listen : DEFAULT_LISTEN,
        .token_file = evening->token_file,
        .private_reading = arguments->private_reading,
        .insecure_plaintext = arguments->insecure_plaintext,
    };
    const struct timeval period = {.tv_usec = TEND_MS * 1000};

    evening->base = event_base_new();
    if (evening->base == NULL) {
        return err_set(err, ERR_MEMORY, "cannot set up an event loop");
    }
    int rc = server_open(&evening->server, evening->base, &server_options, err);
    if (rc != 0) {
        return rc;
    }
    api_open(evening->server, evening->reader);
    rc = stream_open(&evening->stream, evening->server, evening->base, evening->reader, err);
    if (rc != 0) {
        return rc;
    }
    struct dispatch_options dispatch_options = {
        .coordinator = evening->coordinator,
        .study = evening->prepared.study.name,
        .study_id = store_id(evening->store),
        .bundle = text_get(&evening->prepared.bundle_text),
        .bundle_size = evening->prepared.bundle_text.size,
        .on_fatal = on_fatal,
        .on_change = on_change,
        .context = evening,
    };
    rc = dispatch_open(&evening->dispatch, evening->server, evening->base, &dispatch_options, err);
    if (rc != 0) {
        return rc;
    }
    evening->timer = event_new(evening->base, -1, EV_PERSIST, tend, evening);
    event_add(evening->timer, &period);
    return 0;
}

static size_t worker_count(const struct arguments *arguments)
{
    if (arguments->workers >= 0) {
        return (size_t)arguments->workers;
    }
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores < 1 ? 1 : cores > LOCAL_WORKERS_MAX ? LOCAL_WORKERS_MAX : (size_t)cores;
}

static int run_loop(struct evening *evening, struct err *err)
{
    struct coordinator_status status;

    coordinator_status(evening->coordinator, &status);
    evening->begun_done = status.done;
    evening->begun_ms = command_now_ms();
    fprintf(stderr, "%s: %s\n", evening->prepared.study.name, server_url(evening->server));
    if (server_token(evening->server)[0] != '\0' && isatty(STDERR_FILENO)) {
        fprintf(stderr, "  with pause, finish and stop: %s/#token=%s\n",
                server_url(evening->server), server_token(evening->server));
    }
    int rc = local_workers_start(&evening->workers, worker_count(evening->arguments),
                                 server_url(evening->server), evening->token_file, evening->spool,
                                 evening->begun_ms, err);
    if (rc != 0) {
        return rc;
    }
    progress_begin(&evening->progress);
    event_base_dispatch(evening->base);
    progress_end(&evening->progress);
    return evening->rc;
}

static int open_study(struct evening *evening, struct err *err)
{
    const struct arguments *arguments = evening->arguments;

    int rc = prepare_study(&evening->prepared, arguments->study, err);
    if (rc != 0) {
        return rc;
    }
    rc = prepare_benchmarks(&evening->prepared, err);
    if (rc != 0) {
        return rc;
    }
    fprintf(stderr, "%s", text_get(&evening->prepared.notes));
    evening->database = arguments->database != NULL ? mem_text(arguments->database)
                                                    : prepare_database_path(arguments->study);
    evening->token_file = mem_printf("%s.token", evening->database);
    evening->spool = mem_printf("%s.spool", evening->database);
    rc = store_open(&evening->store, evening->database, err);
    if (rc == 0) {
        rc = coordinator_open(&evening->coordinator, evening->store, &evening->prepared.options,
                              command_now_ms(), err);
    }
    if (rc == 0) {
        struct coordinator_status status;

        coordinator_status(evening->coordinator, &status);
        rc = notes_numeric(evening->store, &evening->prepared, status.done > 0, err);
    }
    if (rc == 0) {
        rc = notes_write(evening->store, &evening->prepared, err);
    }
    /* Local workers of an earlier run ended with it: what they had in hand is free. */
    if (rc == 0) {
        rc = coordinator_free_leases(evening->coordinator, LOCAL_WORKERS_PREFIX, command_now_ms(),
                                     err);
    }
    if (rc == 0) {
        rc = store_open_reader(&evening->reader, evening->database, err);
    }
    return rc;
}

static void close_study(struct evening *evening)
{
    local_workers_stop(&evening->workers);
    if (evening->timer != NULL) {
        event_free(evening->timer);
    }
    dispatch_close(evening->dispatch);
    stream_close(evening->stream);
    server_close(evening->server);
    if (evening->base != NULL) {
        event_base_free(evening->base);
    }
    coordinator_close(evening->coordinator);
    store_close(evening->reader);
    store_close(evening->store);
    prepare_release(&evening->prepared);
    free(evening->database);
    free(evening->token_file);
    free(evening->spool);
}

/* Say how it stands at the end; the exit code. */
static int conclude(struct evening *evening, const char *name, struct err *err)
{
    struct coordinator_status status;

    coordinator_status(evening->coordinator, &status);
    if (command_stopped()) {
        fprintf(stderr, "%s: stopped; everything is saved, the same command goes on\n", name);
        return COMMAND_STOPPED;
    }
    int rc = report_print(evening->reader, evening->arguments->json, stdout, err);
    if (rc != 0) {
        return command_fail(name, err);
    }
    if (strcmp(status.state, "failed") == 0) {
        fprintf(stderr, "%s: %s\n", name, status.reason);
        return COMMAND_FAILED;
    }
    return COMMAND_DONE;
}

int cmd_search(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"db", 'd', "FILE", 0, "the study's database (default: beside the study, ending in .db)",
         0},
        {"workers", 'w', "N", 0, "worker processes on this machine (default: one a core; 0: none)",
         0},
        {"listen", 'l', "ADDR:PORT", 0,
         "the page and the workers' door (default " DEFAULT_LISTEN "; port 0 picks one)", 0},
        {"json", 'j', NULL, 0, "print the final report as JSON", 0},
        {"private", KEY_PRIVATE, NULL, 0, "reading the page needs the token too", 0},
        {"insecure-plaintext", KEY_INSECURE, NULL, 0,
         "listen beyond this machine although nothing is encrypted", 0},
        {0}};
    static const struct argp argp = {
        options,
        parse_option,
        "STUDY.yaml",
        "Search for the best merge a study asks for, with a page to watch it on. Started "
        "again on the same study it resumes; finished, it says so.\v"
        "Example: braid search night.yaml --workers 8",
        NULL,
        NULL,
        NULL};
    struct arguments arguments = {.workers = -1};
    struct evening evening = {.arguments = &arguments};
    struct coordinator_status status;
    struct err err = {0};
    int code;

    command_parse(&argp, argc, argv, &arguments);
    command_catch_signals();
    evening.err = &err;
    int rc = open_study(&evening, &err);
    if (rc == 0) {
        coordinator_status(evening.coordinator, &status);
        if (strcmp(status.state, "finished") != 0) {
            rc = open_door(&evening, &err);
            if (rc == 0) {
                rc = run_loop(&evening, &err);
            }
        } else {
            fprintf(stderr, "%s: finished already\n", evening.prepared.study.name);
        }
    }
    code = rc == 0 ? conclude(&evening, argv[0], &err) : command_fail(argv[0], &err);
    close_study(&evening);
    return code;
}
