/*
 * task.c - a task's keys, its records rendered one by one, and the rendered form as JSON.
 */
#include "evaluator/task/task.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "evaluator/task/prompt.h"
#include "evaluator/task/records.h"
#include "evaluator/task/samples.h"
#include "evaluator/task/shots.h"
#include "study/yaml.h"

#define TASK_NAME_MAX 128
#define GENERATION_MAX 256 /* max_new_tokens of the harness */

void task_release(struct task *task)
{
    free(task->name);
    free(task->metrics);
    strings_release(&task->stops);
    for (size_t i = 0; i < task->n_filters; i++) {
        filter_release(&task->filters[i]);
    }
    free(task->filters);
    exact_match_release(&task->match);
    for (size_t i = 0; i < task->n_documents; i++) {
        document_release(&task->documents[i]);
    }
    free(task->documents);
    free(task->stray);
    *task = (struct task){0};
}

bool task_needs_text(const struct task *task)
{
    return task->n_filters > 0 || !exact_match_is_strict(&task->match);
}

bool task_warning(const struct task *task, struct text *out)
{
    if (task->n_strays == 0) {
        return false;
    }
    text_printf(out, "task %s: %s: a gold is none of the choices and counts for nothing",
                task->name, task->stray);
    if (task->n_strays > 1) {
        text_printf(out, "; %zu such documents", task->n_strays);
    }
    return true;
}

/* ---- columns ---- */

size_t task_columns(const struct task *task)
{
    return task->n_filters > 0 ? task->n_filters : task->n_metrics;
}

const char *task_column_name(const struct task *task, size_t column)
{
    return task->n_filters > 0 ? task->filters[column].column : metric_name(task->metrics[column]);
}

enum metric task_column_metric(const struct task *task, size_t column)
{
    return task->metrics[task->n_filters > 0 ? 0 : column];
}

static size_t find_column(const struct task *task, const char *name)
{
    for (size_t i = 0; i < task_columns(task); i++) {
        if (strcmp(task_column_name(task, i), name) == 0) {
            return i;
        }
    }
    return SIZE_MAX;
}

size_t task_metric(const struct task *task, const char *name)
{
    size_t found = find_column(task, name);

    if (found == SIZE_MAX && task->n_filters > 0 && strchr(name, ',') == NULL) {
        char *none = mem_printf("%s,none", name);

        found = find_column(task, none);
        free(none);
        if (found == SIZE_MAX && task->n_filters == 1 &&
            strcmp(name, metric_name(task->metrics[0])) == 0) {
            found = 0;
        }
    }
    return found;
}

static void digest_json(struct digest *digest, const json_t *json)
{
    struct text text = {0};

    doc_print(&text, json);
    digest_add_text(digest, text_get(&text));
    text_release(&text);
}

/* Over what is asked, not over how it is measured: a metric more leaves old scores comparable. But
 * what a name means is part of it: filters, and what a comparison ignores. */
static void find_digest(const struct task *task, char out[DIGEST_HEX])
{
    struct digest *digest = digest_new();

    digest_add_text(digest, task_output_name(task->output));
    digest_add_u64(digest, (uint64_t)task->version);
    digest_add_u64(digest, task->max_new_tokens);
    digest_add_u64(digest, task->stops.n);
    for (size_t i = 0; i < task->stops.n; i++) {
        digest_add_text(digest, task->stops.all[i]);
    }
    digest_add_u64(digest, task->n_documents);
    for (size_t i = 0; i < task->n_documents; i++) {
        document_digest(&task->documents[i], digest);
    }
    for (size_t i = 0; i < task->n_filters; i++) {
        digest_json(digest, task->filters[i].json);
    }
    if (task->match.json != NULL) {
        digest_json(digest, task->match.json);
    }
    digest_end_hex(digest, out);
}

/* ---- ids ---- */

struct named {
    const char *id;
    size_t at;
};

static int by_id(const void *a, const void *b)
{
    const struct named *left = a;
    const struct named *right = b;
    const int order = strcmp(left->id, right->id);

    return order != 0 ? order : (left->at > right->at) - (left->at < right->at);
}

/* True when two documents have one id; *first and *second say which. */
static bool has_twins(const struct task *task, size_t *first, size_t *second)
{
    struct named *all = mem_array(task->n_documents, sizeof *all);
    bool found = false;

    for (size_t i = 0; i < task->n_documents; i++) {
        all[i] = (struct named){task->documents[i].id, i};
    }
    qsort(all, task->n_documents, sizeof *all, by_id);
    for (size_t i = 1; !found && i < task->n_documents; i++) {
        found = strcmp(all[i - 1].id, all[i].id) == 0;
        if (found) {
            *first = all[i - 1].at;
            *second = all[i].at;
        }
    }
    free(all);
    return found;
}

/* `id` of a record, else the first half of its digest: known by what it says, not by where it
 * stands. */
static int record_id(const json_t *record, char **out, struct err *err)
{
    const json_t *id = json_object_get(record, "id");
    struct text text = {0};
    int rc = 0;

    if (id != NULL) {
        rc = template_add_value(&text, id, "id", err);
        if (rc == 0 && (text.size == 0 || text.size > 256)) {
            rc = err_set(err, ERR_FORMAT, "id has %zu bytes, expected 1 to 256", text.size);
        }
    } else {
        char hex[DIGEST_HEX];

        doc_print(&text, record);
        digest_hex_of(text_get(&text), text.size, hex);
        text_clear(&text);
        text_add_n(&text, hex, 32);
    }
    if (rc == 0) {
        *out = mem_text(text_get(&text));
    }
    text_release(&text);
    return rc;
}

/* ---- keys ---- */

/* All that a task's configuration may hold. */
static int check_keys(const json_t *config, struct err *err)
{
    static const char *const own[] = {"task",    "output_type", "data",
                                      "fewshot", "metrics",     "generation",
                                      "filters", "exact_match", "version"};
    const size_t n_own = sizeof own / sizeof *own;
    const char **known = mem_array(n_own + prompt_n_keys, sizeof *known);

    for (size_t i = 0; i < n_own; i++) {
        known[i] = own[i];
    }
    for (size_t i = 0; i < prompt_n_keys; i++) {
        known[n_own + i] = prompt_keys[i];
    }
    const int rc = doc_only(config, known, n_own + prompt_n_keys, err);

    free(known);
    return rc;
}

static int parse_name(struct task *made, const json_t *config, struct err *err)
{
    const char *name = NULL;
    const char *output = NULL;

    int rc = doc_text(config, "task", &name, err);
    if (rc == 0 && (*name == '\0' || strlen(name) > TASK_NAME_MAX)) {
        rc = err_set(err, ERR_FORMAT, "task: a name has 1 to %d bytes", TASK_NAME_MAX);
    }
    if (rc == 0) {
        made->name = mem_text(name);
        rc = doc_text(config, "output_type", &output, err);
    }
    if (rc == 0 && !task_output_parse(output, &made->output)) {
        rc = err_set(err, ERR_FORMAT,
                     "output_type \"%.64s\" is not multiple_choice, loglikelihood, "
                     "loglikelihood_rolling or generate_until",
                     output);
    }
    if (rc == 0) {
        rc = doc_integer_or(config, "version", INT64_MIN, INT64_MAX, 0, &made->version, err);
    }
    return rc;
}

static int parse_metric(struct task *made, const char *name, struct err *err)
{
    enum metric metric = METRIC_ACC;

    const int rc = metric_parse(&metric, name, made->output, err);
    if (rc != 0) {
        return rc;
    }
    if (task_metric(made, name) != SIZE_MAX) {
        return err_set(err, ERR_FORMAT, "\"%s\" occurs twice", name);
    }
    made->metrics = mem_resize(made->metrics, made->n_metrics + 1, sizeof *made->metrics);
    made->metrics[made->n_metrics++] = metric;
    return 0;
}

/* The named ones, or the first that this kind of task has. */
static int parse_metrics(struct task *made, const json_t *config, struct err *err)
{
    struct strings names = {0};

    if (json_object_get(config, "metrics") == NULL) {
        return parse_metric(made, metric_name(metric_first(made->output)), err);
    }
    int rc = strings_read(&names, config, "metrics", METRICS, err);
    if (rc == 0 && names.n == 0) {
        rc = err_set(err, ERR_FORMAT, "metrics: names none");
    }
    for (size_t i = 0; rc == 0 && i < names.n; i++) {
        rc = parse_metric(made, names.all[i], err);
    }
    strings_release(&names);
    return rc;
}

/* Stop texts; without any, the few-shot delimiter. Empty ones stop nothing. */
static int parse_stops(struct task *made, const json_t *config, const json_t *generation,
                       struct err *err)
{
    struct strings stops = {0};
    const char *delimiter = NULL;

    int rc = doc_text_or(config, "fewshot_delimiter", "\n\n", &delimiter, err);
    if (rc == 0 && json_object_get(generation, "until") != NULL) {
        rc = strings_read(&stops, generation, "until", TASK_STOPS_MAX, err);
    } else {
        strings_add(&stops, mem_text(rc == 0 ? delimiter : ""));
    }
    for (size_t i = 0; rc == 0 && i < stops.n; i++) {
        if (*stops.all[i] != '\0') {
            strings_add(&made->stops, mem_text(stops.all[i]));
        }
    }
    strings_release(&stops);
    return rc;
}

static int parse_generation(struct task *made, const json_t *config, struct err *err)
{
    static const char *const known[] = {"until", "max_new_tokens"};
    json_t *generation = json_object_get(config, "generation");
    json_t *none = json_object();
    int64_t tokens = 0;

    if (generation == NULL) {
        generation = none;
    } else if (made->output != TASK_GENERATE_UNTIL) {
        json_decref(none);
        return err_set(err, ERR_FORMAT, "generation: only for generate_until tasks");
    }
    int rc = doc_only(generation, known, sizeof known / sizeof *known, err);
    if (rc == 0) {
        rc = doc_integer_or(generation, "max_new_tokens", 1, TASK_NEW_TOKENS_MAX, GENERATION_MAX,
                            &tokens, err);
    }
    if (rc == 0 && made->output == TASK_GENERATE_UNTIL) {
        made->max_new_tokens = (size_t)tokens;
        rc = parse_stops(made, config, generation, err);
    }
    json_decref(none);
    return rc == 0 ? 0 : err_wrap(err, "generation");
}

/* ---- how texts are measured ---- */

static int add_filter(struct task *made, const json_t *json, struct err *err)
{
    struct filter *filter = &made->filters[made->n_filters];
    const int rc = filter_read(filter, json, err);

    if (rc != 0) {
        return rc;
    }
    made->n_filters++;
    for (size_t i = 0; i + 1 < made->n_filters; i++) {
        if (strcmp(made->filters[i].name, filter->name) == 0) {
            return err_set(err, ERR_FORMAT, "two are named %.64s", filter->name);
        }
    }
    return 0;
}

static int parse_filters(struct task *made, const json_t *config, struct err *err)
{
    json_t *list = NULL;
    int rc = doc_array(config, "filters", &list, err);

    if (rc != 0) {
        return rc;
    }
    if (json_array_size(list) > FILTERS_MAX) {
        return err_set(err, ERR_LIMIT, "filters: %zu, at most %zu", json_array_size(list),
                       FILTERS_MAX);
    }
    made->filters = mem_array(json_array_size(list), sizeof *made->filters);
    for (size_t i = 0; rc == 0 && i < json_array_size(list); i++) {
        rc = add_filter(made, json_array_get(list, i), err);
        if (rc != 0) {
            rc = err_wrap(err, "filters[%zu]", i);
        }
    }
    return rc;
}

static int parse_matching(struct task *made, const json_t *config, struct err *err)
{
    const json_t *match = json_object_get(config, "exact_match");
    const bool filters = json_object_get(config, "filters") != NULL;
    int rc = 0;

    if (made->output != TASK_GENERATE_UNTIL && (match != NULL || filters)) {
        return err_set(err, ERR_FORMAT, "%s: only for generate_until tasks",
                       filters ? "filters" : "exact_match");
    }
    if (match != NULL) {
        rc = exact_match_read(&made->match, match, err);
    }
    if (rc == 0 && filters) {
        rc = parse_filters(made, config, err);
    }
    return rc;
}

/* ---- records to documents ---- */

/* An answer that is empty or has a stop text in it can never be written; but it may be found in
 * what is. */
static int check_answers(const struct task *task, const struct document *document, struct err *err)
{
    if (task_needs_text(task)) {
        return 0;
    }
    for (size_t i = 0; i < document->continuations.n; i++) {
        if (i < document->choices.n && *document->choices.all[i] == '\0') {
            return err_set(err, ERR_FORMAT, "gold is empty");
        }
        for (size_t k = 0; k < task->stops.n; k++) {
            if (strstr(document->continuations.all[i], task->stops.all[k]) != NULL) {
                return err_set(err, ERR_FORMAT, "answer \"%.64s\" contains a stop text",
                               document->continuations.all[i]);
            }
        }
    }
    return 0;
}

static void note_stray(struct task *made, const char *path, size_t line)
{
    if (made->n_strays++ == 0) {
        made->stray = mem_printf("%s:%zu", path, line);
    }
}

static int render_record(struct task *made, const struct prompt *prompt, struct shots *shots,
                         const json_t *record, struct err *err)
{
    struct document document = {0};
    const json_t *const *examples = NULL;
    size_t n = 0;
    char *id = NULL;

    shots_draw(shots, record, &examples, &n);
    int rc = record_id(record, &id, err);
    if (rc == 0) {
        rc = prompt_render(prompt, record, examples, n, &document, err);
    }
    if (rc == 0) {
        rc = check_answers(made, &document, err);
    }
    if (rc != 0) {
        free(id);
        document_release(&document);
        return rc;
    }
    document.id = id;
    made->documents[made->n_documents++] = document;
    return 0;
}

static int render_records(struct task *made, const json_t *config, const struct prompt *prompt,
                          const struct records *records, const char *folder, struct err *err)
{
    struct shots shots = {0};

    if (records->n == 0) {
        return err_set(err, ERR_FORMAT, "%s: no records", records->path);
    }
    int rc = shots_open(&shots, config, records, folder, err);
    if (rc != 0) {
        return rc;
    }
    made->documents = mem_array(records->n, sizeof *made->documents);
    for (size_t i = 0; rc == 0 && i < records->n; i++) {
        rc = render_record(made, prompt, &shots, records->all[i], err);
        if (rc != 0) {
            rc = records_wrap(records, i, err);
        } else if (made->output == TASK_MULTIPLE_CHOICE &&
                   made->documents[i].n_golds < prompt_golds(prompt, records->all[i])) {
            note_stray(made, records->path, records->lines[i]);
        }
    }
    shots_release(&shots);
    size_t first = 0;
    size_t second = 0;

    if (rc == 0 && has_twins(made, &first, &second)) {
        err_set(err, ERR_FORMAT, "id \"%.64s\" is on line %zu too", made->documents[first].id,
                records->lines[first]);
        rc = records_wrap(records, second, err);
    }
    return rc;
}

/* In chat mode the template is the model's, and must be one that renders. */
static int choose_template(struct prompt *prompt, const struct task_chat *chat, struct err *err)
{
    if (chat != NULL && chat->always && prompt->output != TASK_LOGLIKELIHOOD_ROLLING) {
        prompt->chat = true;
    }
    if (!prompt->chat) {
        return prompt->multiturn
                   ? err_set(err, ERR_FORMAT, "fewshot_as_multiturn: only in chat mode")
                   : 0;
    }
    if (chat == NULL) {
        return err_set(err, ERR_MISSING, "chat: there is no model to take a template from");
    }
    prompt->template = chat->template;
    const int rc = chat_usable(chat->template, err);

    return rc == 0 ? 0 : err_wrap(err, "chat");
}

static int parse_documents(struct task *made, const json_t *config, const char *folder,
                           const struct task_chat *chat, struct err *err)
{
    struct prompt prompt = {0};
    struct records records = {0};
    const char *data = NULL;
    char *path = NULL;

    int rc = prompt_parse(&prompt, config, made->output, err);
    if (rc == 0) {
        rc = choose_template(&prompt, chat, err);
    }
    if (rc == 0) {
        rc = doc_text(config, "data", &data, err);
    }
    if (rc == 0) {
        path = file_resolve(folder, data);
        rc = records_load(&records, path, err);
    }
    if (rc == 0) {
        rc = render_records(made, config, &prompt, &records, folder, err);
    }
    free(path);
    records_release(&records);
    prompt_release(&prompt);
    return rc;
}

/* ---- a log in place of records ---- */

static int check_sample_keys(const json_t *config, struct err *err)
{
    static const char *const known[] = {"task",    "output_type", "samples",     "target_delimiter",
                                        "metrics", "filters",     "exact_match", "version"};

    return doc_only(config, known, sizeof known / sizeof *known, err);
}

/* Documents are handed over one by one; what was recorded of them stays behind. */
static int take_documents(struct task *made, struct samples *samples, const char *path,
                          struct err *err)
{
    size_t first = 0;
    size_t second = 0;

    made->documents = mem_array(samples->n, sizeof *made->documents);
    for (size_t i = 0; i < samples->n; i++) {
        made->documents[made->n_documents++] = samples->all[i].document;
        samples->all[i].document = (struct document){0};
        if (samples->all[i].stray) {
            note_stray(made, path, samples->all[i].line);
        }
    }
    made->stops = samples->stops;
    samples->stops = (struct strings){0};
    made->max_new_tokens = samples->max_new_tokens;
    for (size_t i = 0; i < made->n_documents; i++) {
        if (check_answers(made, &made->documents[i], err) != 0) {
            return err_wrap(err, "%s: document %s", path, made->documents[i].id);
        }
    }
    return has_twins(made, &first, &second) ? err_set(err, ERR_FORMAT, "%s: doc_id %s occurs twice",
                                                      path, made->documents[first].id)
                                            : 0;
}

/* The harness's own, which changes nothing: texts are then decoded and compared as it does. */
static int take_default_filter(struct task *made, const struct samples *samples, const char *path,
                               struct err *err)
{
    if (strcmp(samples->filter, "none") != 0) {
        return err_set(err, ERR_FORMAT,
                       "%s: its filter %.64s changes the generated text: say how under filters",
                       path, samples->filter);
    }
    json_t *json = json_pack("{s:s, s:[s]}", "name", "none", "steps", "take_first");

    made->filters = mem_array(1, sizeof *made->filters);
    const int rc = add_filter(made, json, err);

    json_decref(json);
    return rc;
}

static int parse_samples(struct task *made, const json_t *config, const char *folder,
                         struct err *err)
{
    struct samples samples = {0};
    const char *name = NULL;
    const char *delimiter = NULL;
    char *path = NULL;

    int rc = check_sample_keys(config, err);
    if (rc == 0) {
        rc = parse_matching(made, config, err);
    }
    if (rc == 0) {
        rc = doc_text(config, "samples", &name, err);
    }
    if (rc == 0) {
        rc = doc_text_or(config, "target_delimiter", " ", &delimiter, err);
    }
    if (rc == 0) {
        path = file_resolve(folder, name);
        rc = samples_load(&samples, path, made->output, delimiter, err);
    }
    if (rc == 0 && made->output == TASK_GENERATE_UNTIL && made->n_filters == 0) {
        rc = take_default_filter(made, &samples, path, err);
    }
    if (rc == 0) {
        rc = take_documents(made, &samples, path, err);
    }
    samples_release(&samples);
    free(path);
    return rc;
}

/* ---- a task ---- */

/* Everything but name, kind and metrics. */
static int parse_questions(struct task *made, const json_t *config, const char *folder,
                           const struct task_chat *chat, struct err *err)
{
    if (json_object_get(config, "samples") != NULL) {
        return chat == NULL || !chat->always
                   ? parse_samples(made, config, folder, err)
                   : err_set(err, ERR_FORMAT, "samples: a log has its prompts, chat or not");
    }
    int rc = check_keys(config, err);
    if (rc == 0) {
        rc = parse_generation(made, config, err);
    }
    if (rc == 0) {
        rc = parse_matching(made, config, err);
    }
    if (rc == 0) {
        rc = parse_documents(made, config, folder, chat, err);
    }
    return rc;
}

int task_parse(struct task *out, const json_t *config, const char *folder, struct err *err)
{
    return task_parse_for(out, config, folder, NULL, err);
}

int task_parse_for(struct task *out, const json_t *config, const char *folder,
                   const struct task_chat *chat, struct err *err)
{
    struct task made = {0};

    int rc = parse_name(&made, config, err);
    if (rc == 0) {
        rc = parse_metrics(&made, config, err);
    }
    if (rc == 0) {
        rc = parse_questions(&made, config, folder, chat, err);
    }
    if (rc != 0) {
        task_release(&made);
        return rc;
    }
    find_digest(&made, made.digest);
    *out = made;
    return 0;
}

int task_load(struct task *out, const char *path, struct err *err)
{
    json_t *config = NULL;
    char *folder = file_folder(path);

    int rc = yaml_load(&config, path, err);
    if (rc == 0) {
        rc = task_parse(out, config, folder, err);
        rc = rc == 0 ? 0 : err_wrap(err, "%s", path);
    }
    json_decref(config);
    free(folder);
    return rc;
}

/* ---- the rendered form ---- */

json_t *task_print(const struct task *task)
{
    json_t *metrics = json_array();
    json_t *documents = json_array();
    json_t *filters = json_array();

    for (size_t i = 0; i < task->n_metrics; i++) {
        json_array_append_new(metrics, json_string(metric_name(task->metrics[i])));
    }
    for (size_t i = 0; i < task->n_documents; i++) {
        json_array_append_new(documents, document_print(&task->documents[i]));
    }
    json_t *made =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:o, s:o, s:o}", "task", task->name, "output_type",
                  task_output_name(task->output), "digest", task->digest, "version",
                  (json_int_t)task->version, "max_new_tokens", (json_int_t)task->max_new_tokens,
                  "stops", strings_print(&task->stops), "metrics", metrics, "documents", documents);

    for (size_t i = 0; i < task->n_filters; i++) {
        json_array_append(filters, task->filters[i].json);
    }
    if (task->n_filters > 0) {
        json_object_set(made, "filters", filters);
    }
    if (task->match.json != NULL) {
        json_object_set(made, "exact_match", task->match.json);
    }
    json_decref(filters);
    return made;
}

static int read_documents(struct task *made, const json_t *json, struct err *err)
{
    json_t *documents = NULL;

    int rc = doc_array(json, "documents", &documents, err);
    const size_t n = json_array_size(documents);

    if (rc != 0) {
        return rc;
    }
    if (n == 0 || n > TASK_DOCUMENTS_MAX) {
        return err_set(err, ERR_LIMIT, "documents: %zu, expected 1 to %zu", n, TASK_DOCUMENTS_MAX);
    }
    made->documents = mem_array(n, sizeof *made->documents);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = document_read(&made->documents[i], json_array_get(documents, i), err);
        if (rc != 0) {
            return err_wrap(err, "documents: entry %zu", i);
        }
        made->n_documents++;
    }
    size_t first = 0;
    size_t second = 0;

    return has_twins(made, &first, &second)
               ? err_set(err, ERR_FORMAT, "documents: id \"%.64s\" occurs twice",
                         made->documents[first].id)
               : 0;
}

/* What rendering guarantees and the wire must not break: shapes by output, golds, lengths. */
static int check_document(const struct task *task, const struct document *document, struct err *err)
{
    const bool choice = task->output == TASK_MULTIPLE_CHOICE;
    const bool rolling = task->output == TASK_LOGLIKELIHOOD_ROLLING;
    const size_t pairs = rolling ? 0 : document->choices.n;

    if ((document->continuations.n == 0) != rolling || (choice && document->choices.n == 0) ||
        (!rolling && document_pairs(document) != pairs) || (!choice && document->contexts.n != 1)) {
        return err_set(err, ERR_FORMAT, "document \"%.64s\" has not the shape of a %s task",
                       document->id, task_output_name(task->output));
    }
    for (size_t i = 0; i < document->choices.n; i++) {
        if (*document->choices.all[i] == '\0' && !task_needs_text(task)) {
            return err_set(err, ERR_FORMAT, "document \"%.64s\": choice %zu is empty", document->id,
                           i);
        }
    }
    return 0;
}

static int read_members(struct task *made, const json_t *json, struct err *err)
{
    static const char *const known[] = {"task",           "output_type", "digest",  "version",
                                        "max_new_tokens", "stops",       "metrics", "documents",
                                        "filters",        "exact_match"};
    int64_t tokens = 0;

    int rc = doc_only(json, known, sizeof known / sizeof *known, err);
    if (rc == 0) {
        rc = parse_name(made, json, err);
    }
    if (rc == 0) {
        rc = parse_metrics(made, json, err);
    }
    if (rc == 0) {
        rc = parse_matching(made, json, err);
    }
    if (rc == 0) {
        rc = doc_integer(json, "max_new_tokens", 0, TASK_NEW_TOKENS_MAX, &tokens, err);
    }
    if (rc == 0) {
        made->max_new_tokens = (size_t)tokens;
        rc = strings_read(&made->stops, json, "stops", TASK_STOPS_MAX, err);
    }
    if (rc == 0) {
        rc = read_documents(made, json, err);
    }
    for (size_t i = 0; rc == 0 && i < made->n_documents; i++) {
        rc = check_document(made, &made->documents[i], err);
    }
    return rc;
}

int task_read(struct task *out, const json_t *json, struct err *err)
{
    struct task made = {0};
    const char *digest = NULL;

    int rc = read_members(&made, json, err);
    if (rc == 0) {
        rc = doc_text(json, "digest", &digest, err);
    }
    if (rc == 0) {
        find_digest(&made, made.digest);
        if (strcmp(made.digest, digest) != 0) {
            rc = err_set(err, ERR_CONFLICT, "digest %.64s, but its documents have %s", digest,
                         made.digest);
        }
    }
    if (rc != 0) {
        task_release(&made);
        return err_wrap(err, "task");
    }
    *out = made;
    return 0;
}
