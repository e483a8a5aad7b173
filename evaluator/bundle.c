/*
 * bundle.c - all that a worker must know of a study, as one JSON object.
 */
#include "evaluator/bundle.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "study/benchmark.h"
#include "study/yaml.h"

#define BUNDLE_VERSION 1

void bundle_release(struct bundle *bundle)
{
    for (size_t i = 0; i < bundle->n_models; i++) {
        free(bundle->models[i].name);
        free(bundle->models[i].path);
    }
    for (size_t t = 0; t < bundle->n_tasks; t++) {
        task_release(&bundle->tasks[t].task);
        if (bundle->tasks[t].program != NULL) {
            program_release(bundle->tasks[t].program);
            free(bundle->tasks[t].program);
        }
    }
    free(bundle->models);
    free(bundle->tasks);
    free(bundle->study);
    *bundle = (struct bundle){0};
}

/* ---- tasks ---- */

static bool is_program(const json_t *config)
{
    const char *output = json_string_value(json_object_get(config, "output_type"));

    return output != NULL && strcmp(output, PROGRAM_OUTPUT) == 0;
}

/* The name of the data: what the result file calls it, what the harness is told to run, or what the
 * task is called for want of these. */
static const char *benchmark_of_program(const struct program *program)
{
    const char *found = benchmark_of(program->task != NULL ? program->task : program->name);

    for (size_t i = 1; i < program->words.n && found == NULL; i++) {
        const char *word = program->words.all[i];

        if (strncmp(word, "--tasks=", 8) == 0) {
            found = benchmark_of(word + 8);
        } else if (strcmp(program->words.all[i - 1], "--tasks") == 0) {
            found = benchmark_of(word);
        }
    }
    return found;
}

/* Prompts that a harness has logged: by the task's name and by the log's, "samples_NAME_...". */
static const char *benchmark_of_log(const struct task *task, const char *path)
{
    const char *name = file_name(path);
    const char *found = benchmark_of(task->name);

    return found != NULL || strncmp(name, "samples_", 8) != 0 ? found : benchmark_of(name + 8);
}

/* Takes what program holds. */
static void set_program(struct bundle_task *out, const struct program *program)
{
    *out = (struct bundle_task){.task.name = mem_text(program->name),
                                .program = mem_array(1, sizeof(*program)),
                                .benchmark = benchmark_of_program(program)};
    memcpy(out->task.digest, program->digest, DIGEST_HEX);
    *out->program = *program;
}

int bundle_task_parse(struct bundle_task *out, const json_t *config, const char *folder,
                      const struct task_chat *chat, struct err *err)
{
    struct program program = {0};

    if (is_program(config) && chat != NULL && chat->always) {
        return err_set(err, ERR_FORMAT, "command: it asks in its own way, chat or not");
    }
    if (is_program(config)) {
        int rc = program_parse(&program, config, folder, err);

        if (rc == 0) {
            set_program(out, &program);
        }
        return rc;
    }
    const char *log = json_string_value(json_object_get(config, "samples"));
    int rc = task_parse_for(&out->task, config, folder, chat, err);

    if (rc == 0 && log != NULL) {
        out->benchmark = benchmark_of_log(&out->task, log);
    }
    return rc;
}

int bundle_task_load(struct bundle_task *out, const char *path, const struct task_chat *chat,
                     struct err *err)
{
    json_t *config = NULL;
    char *folder = file_folder(path);
    int rc = yaml_load(&config, path, err);

    if (rc == 0) {
        rc = bundle_task_parse(out, config, folder, chat, err);
        rc = rc == 0 ? 0 : err_wrap(err, "%s", path);
    }
    json_decref(config);
    free(folder);
    return rc;
}

size_t bundle_programs(const struct bundle *bundle)
{
    size_t n = 0;

    for (size_t t = 0; t < bundle->n_tasks; t++) {
        n += bundle->tasks[t].program != NULL;
    }
    return n;
}

/* ---- the wire form ---- */

static json_t *print_task(const struct bundle_task *task)
{
    return task->program != NULL ? json_pack("{s:o, s:I}", "command", program_print(task->program),
                                             "limit", (json_int_t)task->limit)
                                 : json_pack("{s:o, s:I}", "task", task_print(&task->task), "limit",
                                             (json_int_t)task->limit);
}

int bundle_print(const struct bundle *bundle, json_t **out, struct err *err)
{
    json_t *models = json_array();
    json_t *tasks = json_array();

    for (size_t i = 0; i < bundle->n_models; i++) {
        const struct bundle_model *model = &bundle->models[i];

        json_array_append_new(models, json_pack("{s:s, s:s, s:s}", "name", model->name, "path",
                                                model->path, "digest", model->digest));
    }
    for (size_t t = 0; t < bundle->n_tasks; t++) {
        json_array_append_new(tasks, print_task(&bundle->tasks[t]));
    }
    *out = json_pack("{s:i, s:s, s:I, s:[f, f, f], s:o, s:o}", "bundle", BUNDLE_VERSION, "study",
                     bundle->study, "seed", (json_int_t)bundle->seed, "shares", bundle->shares[0],
                     bundle->shares[1], bundle->shares[2], "models", models, "tasks", tasks);
    if (*out != NULL && bundle->memory > 0) {
        json_object_set_new(*out, "memory", json_integer((json_int_t)bundle->memory));
    }
    if (*out != NULL && bundle->prefix_cache_off) {
        json_object_set_new(*out, "prefix_cache", json_false());
    }
    if (*out != NULL && bundle->numeric != NUMERIC_F32) {
        json_object_set_new(*out, "numeric", json_string(numeric_name(bundle->numeric)));
    }
    return *out != NULL ? 0 : err_set(err, ERR_FORMAT, "bundle: a text that is not UTF-8");
}

static int read_models(struct bundle *bundle, const json_t *models, struct err *err)
{
    bundle->models = mem_array(json_array_size(models), sizeof(struct bundle_model));
    for (size_t i = 0; i < json_array_size(models); i++) {
        const json_t *doc = json_array_get(models, i);
        const char *name;
        const char *path;
        const char *digest;
        int rc;

        if ((rc = doc_text(doc, "name", &name, err)) != 0 ||
            (rc = doc_text(doc, "path", &path, err)) != 0 ||
            (rc = doc_text(doc, "digest", &digest, err)) != 0) {
            return err_wrap(err, "models[%zu]", i);
        }
        if (!digest_is_hex(digest)) {
            return err_set(err, ERR_FORMAT, "models[%zu]: the digest is not 64 hex digits", i);
        }
        struct bundle_model *model = &bundle->models[bundle->n_models++];
        *model = (struct bundle_model){.name = mem_text(name), .path = mem_text(path)};
        memcpy(model->digest, digest, DIGEST_HEX);
    }
    return 0;
}

static int read_task(struct bundle_task *out, const json_t *doc, struct err *err)
{
    const json_t *command = json_object_get(doc, "command");
    struct program program = {0};
    json_t *task;
    int64_t limit;
    int rc = doc_integer(doc, "limit", 0, INT64_MAX, &limit, err);

    if (rc == 0 && command != NULL) {
        rc = program_read(&program, command, err);
        if (rc == 0) {
            set_program(out, &program);
        }
    } else if (rc == 0) {
        rc = doc_object(doc, "task", &task, err);
        rc = rc == 0 ? task_read(&out->task, task, err) : rc;
    }
    if (rc == 0) {
        out->limit = (size_t)limit;
    }
    return rc;
}

static int read_tasks(struct bundle *bundle, const json_t *tasks, struct err *err)
{
    bundle->tasks = mem_array(json_array_size(tasks), sizeof(struct bundle_task));
    for (size_t t = 0; t < json_array_size(tasks); t++) {
        if (read_task(&bundle->tasks[t], json_array_get(tasks, t), err) != 0) {
            return err_wrap(err, "tasks[%zu]", t);
        }
        bundle->n_tasks++;
    }
    return 0;
}

int bundle_parse(struct bundle *out, const json_t *doc, struct err *err)
{
    struct bundle made = {0};
    const char *study;
    json_t *shares;
    json_t *models;
    json_t *tasks;
    const char *numeric;
    int64_t version;
    int64_t seed;
    int64_t memory;
    bool shared;
    int rc;

    if ((rc = doc_integer(doc, "bundle", BUNDLE_VERSION, BUNDLE_VERSION, &version, err)) != 0 ||
        (rc = doc_text(doc, "study", &study, err)) != 0 ||
        (rc = doc_integer(doc, "seed", 0, INT64_MAX, &seed, err)) != 0 ||
        (rc = doc_array(doc, "shares", &shares, err)) != 0 ||
        (rc = doc_integer_or(doc, "memory", 0, INT64_MAX, 0, &memory, err)) != 0 ||
        (rc = doc_bool_or(doc, "prefix_cache", true, &shared, err)) != 0 ||
        (rc = doc_text_or(doc, "numeric", "f32", &numeric, err)) != 0 ||
        (rc = doc_array(doc, "models", &models, err)) != 0 ||
        (rc = doc_array(doc, "tasks", &tasks, err)) != 0) {
        return err_wrap(err, "bundle");
    }
    if (!numeric_parse(numeric, &made.numeric)) {
        return err_set(err, ERR_FORMAT, "bundle: numeric: '%s' is not known here", numeric);
    }
    made.study = mem_text(study);
    made.seed = (uint64_t)seed;
    made.memory = (uint64_t)memory;
    made.prefix_cache_off = !shared;
    for (size_t i = 0; i < 3; i++) {
        made.shares[i] = json_number_value(json_array_get(shares, i));
    }
    rc = read_models(&made, models, err);
    if (rc == 0) {
        rc = read_tasks(&made, tasks, err);
    }
    if (rc != 0) {
        bundle_release(&made);
        return err_wrap(err, "bundle");
    }
    *out = made;
    return 0;
}
