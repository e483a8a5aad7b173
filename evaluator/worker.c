/*
 * worker.c - jobs in and scores out on two file descriptors, in a process of its own.
 *
 *   braid work                         braid work --child
 *   ----------                         ------------------
 *   worker_start   -- bundle line -->  opens models and tasks
 *   worker_send    --   job line  -->  evaluator_run
 *   worker_wait    <-- score line --
 *   (beats meanwhile)
 */
#include "evaluator/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/doc.h"
#include "base/mem.h"
#include "base/text.h"
#include "evaluator/bundle.h"
#include "evaluator/evaluator.h"

#define LINE_MAX_BYTES ((size_t)1 << 30) /* a bundle holds every rendered document */
#define ANSWER_MAX ((size_t)256 << 20)

/* ---- the child's side ---- */

static double seconds_of(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Of this process, and of those that have ended under it: programs and what wrote for them. */
static double cpu_seconds(void)
{
    struct rusage usage;

    getrusage(RUSAGE_CHILDREN, &usage);
    return seconds_of(CLOCK_PROCESS_CPUTIME_ID) +
           (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static int run_job(struct evaluator *evaluator, const json_t *job, struct score *out,
                   struct err *err)
{
    const char *recipe;
    const char *name;
    enum split split;
    double wall = seconds_of(CLOCK_MONOTONIC);
    double cpu = cpu_seconds();

    int rc = doc_text(job, "recipe", &recipe, err);
    if (rc == 0) {
        rc = doc_text(job, "split", &name, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (!split_parse(name, &split)) {
        return err_set(err, ERR_FORMAT, "split: no such split '%s'", name);
    }
    rc = evaluator_run(evaluator, recipe, strlen(recipe), split, out, err);
    out->wall_s = seconds_of(CLOCK_MONOTONIC) - wall;
    out->cpu_s = cpu_seconds() - cpu;
    return rc;
}

static int answer_job(struct evaluator *evaluator, const char *line, size_t n, FILE *to,
                      struct err *err)
{
    json_t *job = NULL;
    struct score score = {0};
    struct text text = {0};

    int rc = doc_parse(&job, line, n, err);
    if (rc == 0) {
        rc = run_job(evaluator, job, &score, err);
    }
    if (rc == 0) {
        json_t *doc = score_print(&score);

        doc_print(&text, doc);
        json_decref(doc);
        text_add_char(&text, '\n');
        if (fwrite(text_get(&text), 1, text.size, to) != text.size || fflush(to) != 0) {
            rc = err_set_errno(err, ERR_IO, "answer");
        }
    }
    text_release(&text);
    score_release(&score);
    json_decref(job);
    return rc;
}

static int serve_jobs(struct evaluator *evaluator, FILE *from, FILE *to, struct err *err)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t n;
    int rc = 0;

    while (rc == 0 && (n = getline(&line, &capacity, from)) > 0) {
        rc = answer_job(evaluator, line, (size_t)n, to, err);
    }
    free(line);
    return rc;
}

static int read_bundle(struct bundle *out, FILE *from, struct err *err)
{
    char *line = NULL;
    size_t capacity = 0;
    json_t *doc = NULL;
    ssize_t n = getline(&line, &capacity, from);
    int rc;

    if (n <= 0 || (size_t)n > LINE_MAX_BYTES) {
        rc = err_set(err, ERR_FORMAT, "bundle: nothing to read");
    } else {
        rc = doc_parse(&doc, line, (size_t)n, err);
    }
    if (rc == 0) {
        rc = bundle_parse(out, doc, err);
    }
    json_decref(doc);
    free(line);
    return rc;
}

int worker_serve(int in, int out, const struct worker_options *options, struct err *err)
{
    struct bundle bundle = {0};
    struct evaluator *evaluator = NULL;
    FILE *from = fdopen(in, "r");
    FILE *to = fdopen(out, "w");
    int rc;

    if (from == NULL || to == NULL) {
        rc = err_set_errno(err, ERR_IO, "pipe");
        goto out;
    }
    rc = read_bundle(&bundle, from, err);
    if (rc == 0) {
        rc = evaluator_open(&evaluator, &bundle, options->model_dirs, options->n_dirs, err);
    }
    if (rc == 0) {
        evaluator_scratch(evaluator, options->scratch);
        rc = serve_jobs(evaluator, from, to, err);
    }
out:
    evaluator_close(evaluator);
    bundle_release(&bundle);
    if (from != NULL) {
        fclose(from);
    }
    if (to != NULL) {
        fclose(to);
    }
    return rc;
}

/* ---- the parent's side ---- */

static void exec_child(char *const *argv, int in, int out, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0) {
        _exit(127);
    }
    execv(argv[0], argv);
    _exit(127);
}

/* Write all or fail; the child reads eagerly, so this blocks only while it parses. */
static int write_all(int fd, const char *bytes, size_t size, struct err *err)
{
    while (size > 0) {
        ssize_t n = write(fd, bytes, size);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return err_set_errno(err, ERR_IO, "evaluator process");
        }
        bytes += n;
        size -= (size_t)n;
    }
    return 0;
}

/* A pipe that other children do not inherit. */
static int private_pipe(int ends[2])
{
    if (pipe(ends) != 0) {
        return -1;
    }
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    return 0;
}

int worker_start(struct worker *out, char *const *argv, const char *bundle, size_t size,
                 struct err *err)
{
    int to[2] = {-1, -1};
    int from[2] = {-1, -1};
    pid_t parent = getpid();
    struct worker made = {0};

    if (private_pipe(to) != 0 || private_pipe(from) != 0) {
        int rc = err_set_errno(err, ERR_IO, "pipe");

        if (to[0] >= 0) {
            close(to[0]);
            close(to[1]);
        }
        return rc;
    }
    made.pid = fork();
    if (made.pid == 0) {
        exec_child(argv, to[0], from[1], parent);
    }
    close(to[0]);
    close(from[1]);
    made.to = to[1];
    made.from = from[0];
    int rc = 0;
    if (made.pid < 0) {
        made.pid = 0;
        rc = err_set_errno(err, ERR_IO, "fork");
        close(made.to);
        close(made.from);
        return rc;
    }
    rc = write_all(made.to, bundle, size, err);
    if (rc == 0) {
        rc = write_all(made.to, "\n", 1, err);
    }
    if (rc != 0) {
        worker_stop(&made);
        return rc;
    }
    *out = made;
    return 0;
}

int worker_send(struct worker *worker, const struct job *job, struct err *err)
{
    json_t *doc = json_pack("{s:s, s:s}", "recipe", job->recipe, "split", split_name(job->split));
    struct text text = {0};

    doc_print(&text, doc);
    text_add_char(&text, '\n');
    int rc = write_all(worker->to, text_get(&text), text.size, err);
    text_release(&text);
    json_decref(doc);
    return rc;
}

/* The child has closed its end: reap it and say how it ended. */
static void score_of_end(struct worker *worker, struct score *out)
{
    int status = 0;
    pid_t pid = worker->pid;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    worker->pid = 0;
    worker_stop(worker);
    *out = (struct score){0};
    if (WIFSIGNALED(status)) {
        out->failure = SCORE_SIGNAL;
        out->detail = mem_printf("the evaluator process was ended by signal %d (%s)%s",
                                 WTERMSIG(status), strsignal(WTERMSIG(status)),
                                 WTERMSIG(status) == SIGKILL ? "; out of memory?" : "");
    } else {
        out->failure = SCORE_EXIT;
        out->detail = mem_printf("the evaluator process ended with status %d", WEXITSTATUS(status));
    }
}

static int read_some(struct worker *worker, bool *ended, struct err *err)
{
    if (worker->capacity - worker->n < 65536) {
        if (worker->capacity > ANSWER_MAX) {
            return err_set(err, ERR_LIMIT, "evaluator process: answer larger than %zu bytes",
                           ANSWER_MAX);
        }
        worker->capacity = worker->capacity * 2 + 131072;
        worker->answer = mem_resize(worker->answer, worker->capacity, 1);
    }
    ssize_t n = read(worker->from, worker->answer + worker->n, worker->capacity - worker->n);
    if (n < 0) {
        return errno == EINTR ? 0 : err_set_errno(err, ERR_IO, "evaluator process");
    }
    *ended = n == 0;
    worker->n += (size_t)n;
    return 0;
}

static void parse_answer(struct worker *worker, struct score *out)
{
    json_t *doc = NULL;
    struct err err = {0};

    int rc = doc_parse(&doc, worker->answer, worker->n - 1, &err);
    if (rc == 0) {
        rc = score_parse(out, doc, &err);
    }
    if (rc != 0) {
        *out = (struct score){.failure = SCORE_BAD_OUTPUT, .detail = mem_text(err.text)};
    }
    json_decref(doc);
    worker->n = 0;
}

int worker_wait(struct worker *worker, int64_t wait_ms, bool *done, struct score *out,
                struct err *err)
{
    struct pollfd poll_fd = {.fd = worker->from, .events = POLLIN};
    bool ended = false;

    *done = false;
    int n = poll(&poll_fd, 1, (int)wait_ms);
    if (n < 0 && errno != EINTR) {
        return err_set_errno(err, ERR_IO, "evaluator process");
    }
    if (n <= 0) {
        return 0;
    }
    int rc = read_some(worker, &ended, err);
    if (rc != 0) {
        return rc;
    }
    if (ended) {
        score_of_end(worker, out);
        *done = true;
    } else if (worker->n > 0 && worker->answer[worker->n - 1] == '\n') {
        parse_answer(worker, out);
        *done = true;
    }
    return 0;
}

void worker_stop(struct worker *worker)
{
    if (worker->pid > 0) {
        kill(worker->pid, SIGKILL);
        while (waitpid(worker->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    if (worker->from > 0) {
        close(worker->to);
        close(worker->from);
    }
    free(worker->answer);
    *worker = (struct worker){0};
}
