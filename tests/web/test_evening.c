/*
 * A whole small study over HTTP: the real store, coordinator and server in one process, workers
 * with the real link and a pretend evaluator in others. Whoever is killed on the way, the search is
 * the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <math.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/doc.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "search/coordinator.h"
#include "store/store.h"
#include "store/views.h"
#include "study/recipe.h"
#include "tests/support/support.h"
#include "web/api.h"
#include "web/dispatch.h"
#include "web/link.h"
#include "web/stream.h"

#define DOCUMENTS 20
#define WORKERS 2
#define EVALUATIONS 40

/* What the processes share. */
struct shared {
    char url[64];
    volatile int done; /* candidates finished so far */
    volatile int over; /* the study has ended */
};

struct evening {
    struct shared *shared;
    char *folder, *database, *token_file;
    char listen[64];
    pid_t coordinator;
    pid_t workers[WORKERS];
};

static const char form[] = "{\"study\": \"night\", \"seed\": 7, \"models\": {\"base\": \"b\", "
                           "\"one\": \"m1\", \"two\": \"m2\"},"
                           " \"merge\": {\"method\": \"task_arithmetic\", \"base\": \"base\", "
                           "\"sources\": [\"one\", \"two\"],"
                           " \"layers\": 2, \"search\": {\"weight\": [0, 1.5]}},"
                           " \"tasks\": [{\"task\": \"sums.yaml\", \"metric\": \"acc\"}], "
                           "\"budget\": {\"evaluations\": 40}}";

/* ---- the coordinator's process ---- */

struct night {
    struct evening *evening;
    struct coordinator *coordinator;
    struct stream *stream;
    struct event_base *base;
};

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static char *baseline_recipe(const char *const *sources, size_t n)
{
    const struct method *linear = NULL;
    struct recipe recipe = {0};
    struct text text = {0};

    method_find(&linear, "linear", NULL);
    recipe_init(&recipe, linear, RECIPE_FLOAT32, 7, 4, sources, n, NULL);
    recipe_print(&text, &recipe);
    recipe_release(&recipe);
    return text_take(&text);
}

static void on_fatal(const struct err *err, void *context)
{
    (void)context;
    fprintf(stderr, "coordinator: %s\n", err->text);
    _exit(9);
}

static void on_change(void *context)
{
    struct night *night = context;
    struct coordinator_status status;

    coordinator_status(night->coordinator, &status);
    night->evening->shared->done = (int)status.done;
    stream_poke(night->stream);
    if (strcmp(status.state, "finished") == 0 || strcmp(status.state, "failed") == 0) {
        const struct timeval farewell = {.tv_usec = 300000}; /* the workers hear that it is over */

        night->evening->shared->over = 1;
        event_base_loopexit(night->base, &farewell);
    }
}

static void must(int rc, const struct err *err)
{
    if (rc != 0) {
        fprintf(stderr, "coordinator: %s\n", err->text);
        _exit(8);
    }
}

static void coordinate(struct evening *evening)
{
    static char digests[3][DIGEST_HEX];
    const char *const models[] = {digests[0], digests[1], digests[2]};
    char task_digest[DIGEST_HEX];
    struct night night = {.evening = evening, .base = event_base_new()};
    struct study study = {0};
    struct store *store = NULL;
    struct store *reader = NULL;
    struct server *server = NULL;
    struct dispatch *dispatch = NULL;
    struct err err = {0};
    json_t *doc = NULL;

    for (int i = 0; i < 3; i++) {
        memset(digests[i], 'a' + i, DIGEST_HEX - 1);
    }
    memset(task_digest, 'e', DIGEST_HEX - 1);
    task_digest[DIGEST_HEX - 1] = '\0';
    must(doc_parse(&doc, form, strlen(form), &err), &err);
    must(study_parse(&study, doc, evening->folder, &err), &err);
    const struct coordinator_task task = {.name = "sums",
                                          .digest = task_digest,
                                          .metric = "acc",
                                          .higher_is_better = true,
                                          .weight = 1,
                                          .documents = {60, DOCUMENTS, DOCUMENTS, DOCUMENTS}};
    const struct coordinator_baseline baselines[] = {
        {"parent one", true, baseline_recipe(models + 1, 1)},
        {"parent two", true, baseline_recipe(models + 2, 1)},
        {"uniform average", false, baseline_recipe(models + 1, 2)},
    };
    const struct coordinator_options options = {.study = &study,
                                                .n_layers = 4,
                                                .model_digests = models,
                                                .tasks = &task,
                                                .baselines = baselines,
                                                .n_baselines = 3,
                                                .ttl_ms = 1000};
    must(store_open(&store, evening->database, &err), &err);
    must(coordinator_open(&night.coordinator, store, &options, now_ms(), &err), &err);
    must(store_open_reader(&reader, evening->database, &err), &err);
    const struct server_options server_options = {.listen = evening->listen,
                                                  .token_file = evening->token_file};
    must(server_open(&server, night.base, &server_options, &err), &err);
    api_open(server, reader);
    must(stream_open(&night.stream, server, night.base, reader, &err), &err);
    const struct dispatch_options dispatch_options = {.coordinator = night.coordinator,
                                                      .study = "night",
                                                      .study_id = store_id(store),
                                                      .bundle = "{}",
                                                      .bundle_size = 2,
                                                      .ttl_ms = 1000,
                                                      .on_fatal = on_fatal,
                                                      .on_change = on_change,
                                                      .context = &night};
    must(dispatch_open(&dispatch, server, night.base, &dispatch_options, &err), &err);
    snprintf(evening->shared->url, sizeof(evening->shared->url), "%s", server_url(server));
    on_change(&night);
    event_base_dispatch(night.base);
    dispatch_close(dispatch);
    stream_close(night.stream);
    server_close(server);
    coordinator_close(night.coordinator);
    store_close(reader);
    store_close(store);
    _exit(0);
}

/* ---- a worker's process ---- */

/* How good a recipe is, in (0, 1]: the nearer its weights are to 0.7, the better. */
static double quality_of(const char *recipe)
{
    json_t *doc = NULL;
    size_t g;
    size_t s;
    const json_t *group;
    const json_t *source;
    double distance = 0;
    double n = 0;

    if (doc_parse(&doc, recipe, strlen(recipe), NULL) != 0) {
        return 0;
    }
    json_array_foreach(json_object_get(doc, "groups"), g, group)
    {
        json_array_foreach(json_object_get(group, "sources"), s, source)
        {
            double weight = json_number_value(json_object_get(source, "weight"));

            distance += (weight - 0.7) * (weight - 0.7);
            n += 1;
        }
    }
    json_decref(doc);
    return 1 / (1 + 4 * distance / n);
}

/* A deterministic score: document i is right when it is easier than the recipe is good. */
static struct score evaluate(const struct job *job)
{
    struct score score = {.path = mem_text("f32/pretend"), .n_tasks = 1};
    struct score_task *task = mem_array(1, sizeof(*task));
    double quality = quality_of(job->recipe);
    double right = 0;

    digest_hex_of(job->recipe, strlen(job->recipe), score.weights);
    memset(task->digest, 'e', DIGEST_HEX - 1);
    task->name = mem_text("sums");
    task->n = DOCUMENTS;
    task->n_metrics = 1;
    task->metrics = mem_array(1, sizeof(char *));
    task->metrics[0] = mem_text("acc");
    task->values = mem_array(1, sizeof(double));
    task->errors = mem_array(1, sizeof(double));
    task->ids = mem_array(DOCUMENTS, sizeof(char *));
    task->document_values = mem_array(DOCUMENTS, sizeof(double));
    task->first = mem_array(DOCUMENTS + 1, sizeof(uint32_t));
    task->loglikelihoods = mem_array(DOCUMENTS, sizeof(double));
    task->greedy = mem_array(DOCUMENTS, 1);
    for (uint32_t i = 0; i < DOCUMENTS; i++) {
        double ease = (double)((i * 7 + (uint32_t)job->split * 3) % DOCUMENTS) / DOCUMENTS;

        task->ids[i] = mem_printf("%u", i);
        task->document_values[i] = ease < quality;
        task->loglikelihoods[i] = -quality;
        task->first[i + 1] = i + 1;
        right += task->document_values[i];
    }
    task->values[0] = right / DOCUMENTS;
    task->errors[0] = (double)NAN;
    score.tasks = task;
    return score;
}

static bool wanted(void *context)
{
    const struct evening *evening = context;

    return evening->shared->over !=
           0; /* the coordinator may be gone before the last worker has asked */
}

static void work(struct evening *evening, int i)
{
    char token[ACCESS_TOKEN_MAX] = "";
    char *name = mem_printf("local-%d", i + 1);
    char *spool = mem_printf("%s/spool-%d", evening->folder, i + 1);
    struct link *link = NULL;
    struct err err = {0};

    while (access_token_read(evening->token_file, token, &err) != 0) {
        usleep(10000);
    }
    const struct link_options options = {.url = evening->shared->url,
                                         .token = token,
                                         .name = name,
                                         .build = "0.1.0",
                                         .path = "f32/pretend",
                                         .spool = spool,
                                         .patience_ms = 20000,
                                         .stopped = wanted,
                                         .context = evening};
    int rc = link_open(&link, &options, &err);
    rc = rc != 0 ? rc : link_register(link, &err);
    while (rc == 0) {
        enum link_offer offer;
        struct job job = {0};

        rc = link_ask(link, 500, &offer, &job, &err);
        if (rc != 0 || offer == LINK_OVER) {
            break;
        }
        if (offer == LINK_JOB) {
            struct score score = evaluate(&job);

            usleep(2000);
            rc = link_report(link, &job, &score, &err);
            score_release(&score);
            job_release(&job);
        }
    }
    if (rc != 0 && evening->shared->over == 0) {
        fprintf(stderr, "worker: %s\n", err.text);
        _exit(7);
    }
    link_close(link);
    _exit(0);
}

/* ---- processes ---- */

static void start_coordinator(struct evening *evening)
{
    evening->shared->url[0] = '\0';
    fflush(NULL);
    evening->coordinator = fork();
    if (evening->coordinator == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        coordinate(evening);
    }
    for (int i = 0; i < 1000 && evening->shared->url[0] == '\0'; i++) {
        usleep(5000);
    }
    assert_true(evening->shared->url[0] != '\0');
    /* Started again, it listens where the workers know it. */
    snprintf(evening->listen, sizeof(evening->listen), "%s",
             evening->shared->url + strlen("http://"));
}

static void start_worker(struct evening *evening, int i)
{
    fflush(NULL);
    evening->workers[i] = fork();
    if (evening->workers[i] == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        work(evening, i);
    }
}

static void kill_hard(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void wait_for_done(const struct evening *evening, int done)
{
    for (int i = 0; i < 6000 && evening->shared->done < done && evening->shared->over == 0; i++) {
        usleep(5000);
    }
}

static void expect_success(pid_t pid)
{
    int status = 0;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void set_up(struct evening *evening)
{
    signal(SIGPIPE, SIG_IGN);
    log_set_level(LOG_LEVEL_ERROR);
    evening->shared = mmap(NULL, sizeof(*evening->shared), PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(evening->shared != MAP_FAILED);
    evening->folder = support_temp_dir();
    evening->database = file_join(evening->folder, "night.db");
    evening->token_file = file_join(evening->folder, "night.db.token");
    strcpy(evening->listen, "127.0.0.1:0");
    start_coordinator(evening);
    for (int i = 0; i < WORKERS; i++) {
        start_worker(evening, i);
    }
}

static void end_and_read(struct evening *evening, json_t **summary)
{
    struct store *reader = NULL;
    struct err err = {0};

    expect_success(evening->coordinator);
    for (int i = 0; i < WORKERS; i++) {
        expect_success(evening->workers[i]);
    }
    assert_int_equal(store_open_reader(&reader, evening->database, &err), 0);
    assert_int_equal(store_view_summary(reader, summary, &err), 0);
    store_close(reader);
    munmap(evening->shared, sizeof(*evening->shared));
    free(evening->database);
    free(evening->token_file);
    support_remove_dir(evening->folder);
}

static const char *text_of(const json_t *doc, const char *key)
{
    return json_string_value(json_object_get(doc, key));
}

/* An undisturbed evening's trajectory. */
static char *quiet_trajectory(void)
{
    static char trajectory[DIGEST_HEX];
    struct evening evening = {0};
    json_t *summary = NULL;

    if (trajectory[0] == '\0') {
        set_up(&evening);
        end_and_read(&evening, &summary);
        snprintf(trajectory, sizeof(trajectory), "%s", text_of(summary, "trajectory"));
        json_decref(summary);
    }
    return trajectory;
}

/* ---- behaviour ---- */

static void a_study_runs_from_hello_to_report(void **state)
{
    struct evening evening = {0};
    json_t *summary = NULL;

    (void)state;
    set_up(&evening);
    end_and_read(&evening, &summary);
    assert_string_equal(text_of(summary, "state"), "finished");
    assert_true(json_integer_value(json_object_get(summary, "evaluations")) <= EVALUATIONS);
    assert_true(json_integer_value(json_object_get(summary, "evaluations")) > EVALUATIONS / 2);
    assert_int_equal(json_array_size(json_object_get(summary, "baselines")), 3);
    assert_int_equal(json_array_size(json_object_get(summary, "report")), 4);
    assert_true(json_array_size(json_object_get(summary, "verdict")) > 0);
    assert_true(json_is_object(json_object_get(summary, "winner")));
    assert_true(json_is_object(json_object_get(summary, "comparison")));
    assert_true(digest_is_hex(text_of(summary, "trajectory")));
    json_decref(summary);
}

static void a_killed_coordinator_changes_nothing(void **state)
{
    struct evening evening = {0};
    json_t *summary = NULL;

    (void)state;
    char *quiet = quiet_trajectory();
    set_up(&evening);
    for (int done = 6; done <= 24; done += 6) {
        wait_for_done(&evening, done);
        kill_hard(evening.coordinator);
        start_coordinator(&evening);
    }
    end_and_read(&evening, &summary);
    assert_string_equal(text_of(summary, "state"), "finished");
    assert_string_equal(text_of(summary, "trajectory"), quiet);
    json_decref(summary);
}

static void killed_workers_change_nothing(void **state)
{
    struct evening evening = {0};
    json_t *summary = NULL;

    (void)state;
    char *quiet = quiet_trajectory();
    set_up(&evening);
    for (int done = 5; done <= 25; done += 5) {
        wait_for_done(&evening, done);
        kill_hard(evening.workers[done / 5 % WORKERS]);
        start_worker(&evening, done / 5 % WORKERS);
    }
    end_and_read(&evening, &summary);
    assert_string_equal(text_of(summary, "trajectory"), quiet);
    json_decref(summary);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_study_runs_from_hello_to_report),
        cmocka_unit_test(a_killed_coordinator_changes_nothing),
        cmocka_unit_test(killed_workers_change_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
