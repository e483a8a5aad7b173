/*
 * cmd_work.c - braid work URL: evaluate candidates for a coordinator until the study is over.
 *
 * Two processes. This one talks to the coordinator and keeps the lease alive; its child (the same
 * program with --child) computes. A candidate that crashes or hangs costs the child; this one
 * reports it and starts another.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/command.h"
#include "evaluator/bundle.h"
#include "evaluator/model/gemm.h"
#include "evaluator/worker.h"
#include "web/link.h"

#define MODEL_DIRS_MAX 16
#define ASK_WAIT_MS 20000

struct arguments {
    const char *url, *token_file, *name, *spool, *scratch;
    const char *model_dirs[MODEL_DIRS_MAX];
    size_t n_model_dirs;
    bool child, allow_commands;
};

enum { KEY_CHILD = 1000, KEY_SCRATCH, KEY_ALLOW };

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;

    switch (key) {
    case 't':
        arguments->token_file = value;
        return 0;
    case 'n':
        arguments->name = value;
        return 0;
    case 's':
        arguments->spool = value;
        return 0;
    case 'm':
        if (arguments->n_model_dirs == MODEL_DIRS_MAX) {
            argp_error(state, "at most %d --models", MODEL_DIRS_MAX);
        }
        arguments->model_dirs[arguments->n_model_dirs++] = value;
        return 0;
    case KEY_ALLOW:
        arguments->allow_commands = true;
        return 0;
    case KEY_SCRATCH:
        arguments->scratch = value;
        return 0;
    case KEY_CHILD:
        arguments->child = true;
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->url != NULL) {
            argp_error(state, "one coordinator, please");
        }
        arguments->url = value;
        return 0;
    case ARGP_KEY_END:
        if (arguments->url == NULL && !arguments->child) {
            argp_error(state, "whose coordinator? Give its URL, as http://127.0.0.1:8471");
        }
        if (arguments->token_file == NULL && !arguments->child) {
            argp_error(state,
                       "--token-file is needed: the coordinator keeps it beside its database");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* What one worker holds while it works. */
struct shift {
    const struct arguments *arguments;
    struct link *link;
    struct text bundle;
    struct worker child;
    char **child_argv; /* [6 + 2 * n_model_dirs], NULL-terminated */
};

static char **child_arguments(const struct arguments *arguments)
{
    char **argv = mem_array(6 + 2 * arguments->n_model_dirs, sizeof(char *));
    size_t n = 0;

    argv[n++] = command_program();
    argv[n++] = mem_text("work");
    argv[n++] = mem_text("--child");
    if (arguments->spool != NULL) {
        argv[n++] = mem_printf("--scratch=%s", arguments->spool);
    }
    for (size_t i = 0; i < arguments->n_model_dirs; i++) {
        argv[n++] = mem_text("--models");
        argv[n++] = mem_text(arguments->model_dirs[i]);
    }
    return argv;
}

static void free_arguments(char **argv)
{
    for (size_t i = 0; argv != NULL && argv[i] != NULL; i++) {
        free(argv[i]);
    }
    free(argv);
}

static bool link_stopped(void *context)
{
    (void)context;
    return command_stopped();
}

static int start_child(struct shift *shift, struct err *err)
{
    if (shift->child.pid != 0) {
        return 0;
    }
    return worker_start(&shift->child, shift->child_argv, text_get(&shift->bundle),
                        shift->bundle.size, err);
}

/* Compute one job. *given_up: the lease was cancelled or we were told to stop; there is no score
 * then. */
static int compute(struct shift *shift, const struct job *job, struct score *score, bool *given_up,
                   struct err *err)
{
    int64_t begun_ms = command_now_ms();
    bool done = false;

    int rc = start_child(shift, err);
    if (rc == 0) {
        rc = worker_send(&shift->child, job, err);
    }
    if (rc != 0) {
        /* It died before it could be asked: say how. */
        return worker_wait(&shift->child, 0, &done, score, err);
    }
    int64_t beat_ms = command_now_ms() + link_beat_ms(shift->link);
    while (rc == 0 && !done) {
        int64_t now_ms = command_now_ms();

        if (now_ms >= beat_ms) {
            link_beat(shift->link, job->lease, given_up);
            beat_ms = now_ms + link_beat_ms(shift->link);
        }
        if (*given_up || command_stopped()) {
            *given_up = true;
            worker_stop(&shift->child);
            return 0;
        }
        if (job->limit_ms > 0 && now_ms - begun_ms > job->limit_ms) {
            worker_stop(&shift->child);
            *score = (struct score){
                .failure = SCORE_TIMEOUT,
                .detail = mem_printf("took longer than %.0f s", (double)job->limit_ms / 1000)};
            return 0;
        }
        rc = worker_wait(&shift->child, 200, &done, score, err);
    }
    return rc;
}

static int work_on(struct shift *shift, const struct job *job, struct err *err)
{
    struct score score = {0};
    bool given_up = false;

    int rc = compute(shift, job, &score, &given_up, err);
    if (rc == 0 && given_up) {
        link_release(shift->link, job->lease);
    } else if (rc == 0) {
        rc = link_report(shift->link, job, &score, err);
    }
    score_release(&score);
    return rc;
}

/* Whoever hands out jobs chooses what this machine runs for a task of a program: its own
 * coordinator may, another only where that was said. */
static int check_commands(const struct shift *shift, struct err *err)
{
    struct bundle bundle = {0};
    json_t *doc = NULL;

    if (shift->arguments->allow_commands || link_is_local(shift->link)) {
        return 0;
    }
    int rc = doc_parse(&doc, text_get(&shift->bundle), shift->bundle.size, err);
    if (rc == 0) {
        rc = bundle_parse(&bundle, doc, err);
    }
    for (size_t t = 0; t < bundle.n_tasks && rc == 0; t++) {
        if (bundle.tasks[t].program != NULL) {
            rc = err_set(err, ERR_CONFLICT,
                         "task %s runs the command %s here; --allow-commands lets it",
                         bundle.tasks[t].task.name, bundle.tasks[t].program->words.all[0]);
        }
    }
    bundle_release(&bundle);
    json_decref(doc);
    return rc;
}

static int work(struct shift *shift, struct err *err)
{
    int rc = link_register(shift->link, err);

    if (rc == 0) {
        rc = link_bundle(shift->link, &shift->bundle, err);
    }
    if (rc == 0) {
        rc = check_commands(shift, err);
    }
    /* Models are mapped and tasks tokenised while the first job is asked for. */
    if (rc == 0) {
        rc = start_child(shift, err);
    }
    while (rc == 0 && !command_stopped()) {
        enum link_offer offer;
        struct job job = {0};

        rc = link_ask(shift->link, ASK_WAIT_MS, &offer, &job, err);
        if (rc == 0 && offer == LINK_OVER) {
            break;
        }
        if (rc == 0 && offer == LINK_JOB) {
            rc = work_on(shift, &job, err);
        }
        job_release(&job);
    }
    return rc;
}

static int read_token(struct file_bytes *out, const char *path, struct err *err)
{
    int rc = file_read(out, path, 4096, err);

    if (rc == 0) {
        out->data[strcspn(out->data, " \r\n")] = '\0';
    }
    return rc;
}

static int run(const struct arguments *arguments, struct err *err)
{
    struct shift shift = {.arguments = arguments};
    struct file_bytes token = {0};
    char host[64] = "worker";

    gethostname(host, sizeof(host) - 1);
    char *name = arguments->name != NULL ? mem_text(arguments->name)
                                         : mem_printf("%s-%ld", host, (long)getpid());
    struct link_options options = {.url = arguments->url,
                                   .name = name,
                                   .build = BRAID_VERSION,
                                   .path = gemm_path(numeric_best()),
                                   .spool = arguments->spool,
                                   .stopped = link_stopped};

    int rc = read_token(&token, arguments->token_file, err);
    if (rc == 0) {
        options.token = token.data;
        rc = link_open(&shift.link, &options, err);
    }
    if (rc == 0) {
        shift.child_argv = child_arguments(arguments);
        rc = work(&shift, err);
    }
    worker_stop(&shift.child);
    link_close(shift.link);
    text_release(&shift.bundle);
    free_arguments(shift.child_argv);
    free(name);
    file_release(&token);
    return rc;
}

static int compute_for_parent(const struct arguments *arguments, struct err *err)
{
    const struct worker_options options = {.model_dirs = arguments->model_dirs,
                                           .n_dirs = arguments->n_model_dirs,
                                           .scratch = arguments->scratch};

    return worker_serve(STDIN_FILENO, STDOUT_FILENO, &options, err);
}

int cmd_work(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"token-file", 't', "FILE", 0, "the coordinator's token, kept beside its database", 0},
        {"models", 'm', "DIR", 0, "look for source models here, by digest (repeat for more)", 0},
        {"name", 'n', "NAME", 0, "how the dashboard calls this worker", 0},
        {"spool", 's', "DIR", 0, "keep results here until they are acknowledged", 0},
        {"allow-commands", KEY_ALLOW, NULL, 0,
         "run the commands of tasks also for a coordinator on another machine", 0},
        {"scratch", KEY_SCRATCH, "DIR", OPTION_HIDDEN, "where the child writes for programs", 0},
        {"child", KEY_CHILD, NULL, OPTION_HIDDEN, "compute for the parent process", 0},
        {0}};
    static const struct argp argp = {
        options,
        parse_option,
        "URL",
        "Evaluate candidates for a coordinator until its study is over. One worker is one "
        "core; start as many as you have.\v"
        "Example: braid work http://127.0.0.1:8471 --token-file night.db.token",
        NULL,
        NULL,
        NULL};
    struct arguments arguments = {0};
    struct err err = {0};

    command_parse(&argp, argc, argv, &arguments);
    command_catch_signals();
    int rc = arguments.child ? compute_for_parent(&arguments, &err) : run(&arguments, &err);
    if (command_stopped()) {
        return COMMAND_STOPPED;
    }
    return rc == 0 ? COMMAND_DONE : command_fail(argv[0], &err);
}
