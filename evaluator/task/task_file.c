/*
 * task_file.c - a task read and rendered.
 */
#include "evaluator/task/task_file.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "study/yaml.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define DATA_SIZE_MAX ((size_t)1 << 30)
#define FEWSHOT_MAX 1000

static const char *const output_names[] = {"multiple_choice", "loglikelihood",
                                           "loglikelihood_rolling", "generate_until"};

static const char *const choice_metrics[] = {
    "acc",         "acc_norm",       "acc_bytes",          "exact_match",
    "brier_score", "choice_logprob", "choice_logprob_norm"};
static const char *const loglikelihood_metrics[] = {"acc", "perplexity"};
static const char *const rolling_metrics[] = {"word_perplexity", "byte_perplexity",
                                              "bits_per_byte"};
static const char *const generate_metrics[] = {"exact_match"};

const char *const *task_metric_names(enum task_output output, size_t *n)
{
    switch (output) {
    case TASK_MULTIPLE_CHOICE:
        *n = COUNT(choice_metrics);
        return choice_metrics;
    case TASK_LOGLIKELIHOOD:
        *n = COUNT(loglikelihood_metrics);
        return loglikelihood_metrics;
    case TASK_ROLLING:
        *n = COUNT(rolling_metrics);
        return rolling_metrics;
    default:
        *n = COUNT(generate_metrics);
        return generate_metrics;
    }
}

bool task_higher_is_better(const char *metric)
{
    return strstr(metric, "perplexity") == NULL && strcmp(metric, "bits_per_byte") != 0 &&
           strcmp(metric, "brier_score") != 0;
}

static void free_texts(char **texts, size_t n)
{
    for (size_t i = 0; texts != NULL && i < n; i++) {
        free(texts[i]);
    }
    free(texts);
}

void task_release(struct task *task)
{
    free(task->name);
    free_texts(task->metrics, task->n_metrics);
    free_texts(task->until, task->n_until);
    for (size_t i = 0; i < task->n; i++) {
        free(task->documents[i].id);
    }
    for (size_t i = 0; i < task->n_requests; i++) {
        free(task->requests[i].context);
        free(task->requests[i].continuation);
    }
    free(task->documents);
    free(task->requests);
    *task = (struct task){0};
}

static struct task_document *add_document(struct task *task, const char *id)
{
    if ((task->n & (task->n - 1)) == 0) {
        task->documents = mem_resize(task->documents, task->n == 0 ? 1 : 2 * task->n,
                                     sizeof(struct task_document));
    }
    task->documents[task->n] =
        (struct task_document){.id = mem_text(id), .first = task->n_requests};
    return &task->documents[task->n++];
}

/* To the last document. Both texts are taken over. */
static struct task_request *add_request(struct task *task, char *context, char *continuation)
{
    size_t n = task->n_requests;

    if ((n & (n - 1)) == 0) {
        task->requests =
            mem_resize(task->requests, n == 0 ? 1 : 2 * n, sizeof(struct task_request));
    }
    task->requests[n] = (struct task_request){.context = context, .continuation = continuation};
    task->documents[task->n - 1].n++;
    return &task->requests[task->n_requests++];
}

static uint32_t count_characters(const char *s)
{
    uint32_t n = 0;

    for (; *s != '\0'; s++) {
        n += ((unsigned char)*s & 0xc0) != 0x80;
    }
    return n;
}

/* Pieces between runs of whitespace, the empty ones at the ends included. */
static uint32_t count_words(const char *s)
{
    uint32_t n = 1;

    for (; *s != '\0'; s++) {
        n += isspace((unsigned char)*s) && !isspace((unsigned char)s[1]);
    }
    return n;
}

static void identify(struct task *task)
{
    struct digest *digest = digest_new();

    digest_add_text(digest, output_names[task->output]);
    for (size_t i = 0; i < task->n_until; i++) {
        digest_add_text(digest, task->until[i]);
    }
    for (size_t i = 0; i < task->n; i++) {
        const struct task_document *document = &task->documents[i];

        digest_add_text(digest, document->id);
        digest_add_u64(digest, document->gold);
        for (size_t r = 0; r < document->n; r++) {
            digest_add_text(digest, task->requests[document->first + r].context);
            digest_add_text(digest, task->requests[document->first + r].continuation);
        }
    }
    digest_end_hex(digest, task->digest);
}

/* ---- what the file says ---- */

struct form {
    enum task_output output;
    const char *prompt, *description, *target_delimiter, *fewshot_delimiter, *gold, *choices;
    const json_t *choice_list; /* literal choices */
    const char *data_name;     /* for messages */
    size_t n_fewshot;
    json_t **examples; /* [n_examples] records */
    size_t n_examples;
    bool own_examples; /* they come from the data being scored */
};

static const char *const task_keys[] = {"task",
                                        "output_type",
                                        "data",
                                        "fewshot",
                                        "description",
                                        "prompt",
                                        "target_delimiter",
                                        "fewshot_delimiter",
                                        "choices",
                                        "gold",
                                        "metrics",
                                        "generation",
                                        "filters",
                                        "version"};

static int read_output(struct task *task, const json_t *doc, struct err *err)
{
    const char *name;
    int rc = doc_text(doc, "output_type", &name, err);

    for (size_t i = 0; rc == 0 && i < COUNT(output_names); i++) {
        if (strcmp(output_names[i], name) == 0) {
            task->output = (enum task_output)i;
            return 0;
        }
    }
    if (rc != 0) {
        return rc;
    }
    const char *near = text_nearest(name, output_names, COUNT(output_names));
    return err_set(err, ERR_FORMAT, "output_type: no kind '%s'; did you mean %s?", name,
                   near != NULL ? near : "multiple_choice");
}

static int read_metrics(struct task *task, const json_t *doc, struct err *err)
{
    const json_t *metrics = json_object_get(doc, "metrics");
    size_t n_known;
    const char *const *known = task_metric_names(task->output, &n_known);
    size_t n = json_array_size(metrics);

    if (metrics == NULL) {
        task->metrics = mem_array(1, sizeof(char *));
        task->metrics[task->n_metrics++] = mem_text(known[0]);
        return 0;
    }
    if (n == 0 || n > TASK_METRICS_MAX) {
        return err_set(err, ERR_FORMAT, "metrics: expected a list of 1 to %d", TASK_METRICS_MAX);
    }
    task->metrics = mem_array(n, sizeof(char *));
    for (size_t i = 0; i < n; i++) {
        const char *name = json_string_value(json_array_get(metrics, i));
        bool found = false;

        for (size_t k = 0; name != NULL && k < n_known; k++) {
            found |= strcmp(known[k], name) == 0;
        }
        if (!found) {
            return err_set(err, ERR_FORMAT, "metrics[%zu]: %s has no metric '%s' here", i,
                           output_names[task->output], name != NULL ? name : "");
        }
        task->metrics[task->n_metrics++] = mem_text(name);
    }
    return 0;
}

static int read_generation(struct task *task, const struct form *form, const json_t *doc,
                           struct err *err)
{
    static const char *const known[] = {"until", "max_new_tokens"};
    const json_t *generation = json_object_get(doc, "generation");
    const json_t *until = json_object_get(generation, "until");
    size_t n = json_array_size(until);

    if (json_array_size(json_object_get(doc, "filters")) > 0) {
        return err_set(err, ERR_FORMAT,
                       "filters: not available in this version; answers are compared as they are");
    }
    if (generation != NULL && doc_only(generation, known, COUNT(known), err) != 0) {
        return err_wrap(err, "generation");
    }
    if (task->output != TASK_GENERATE) {
        return 0;
    }
    task->until = mem_array(n + 1, sizeof(char *));
    for (size_t i = 0; i < n; i++) {
        const char *s = json_string_value(json_array_get(until, i));

        if (s == NULL) {
            return err_set(err, ERR_FORMAT, "generation.until[%zu]: expected a text", i);
        }
        if (*s != '\0') {
            task->until[task->n_until++] = mem_text(s);
        }
    }
    if (n == 0) {
        task->until[task->n_until++] = mem_text(form->fewshot_delimiter);
    }
    return 0;
}

static int read_form(struct form *form, const json_t *doc, struct err *err)
{
    int rc;

    if ((rc = doc_text(doc, "prompt", &form->prompt, err)) != 0 ||
        (rc = doc_text_or(doc, "description", "", &form->description, err)) != 0 ||
        (rc = doc_text_or(doc, "target_delimiter", " ", &form->target_delimiter, err)) != 0 ||
        (rc = doc_text_or(doc, "fewshot_delimiter", "\n\n", &form->fewshot_delimiter, err)) != 0 ||
        (rc = doc_text_or(doc, "gold", NULL, &form->gold, err)) != 0) {
        return rc;
    }
    const json_t *choices = json_object_get(doc, "choices");
    if (form->output == TASK_MULTIPLE_CHOICE && choices == NULL) {
        return err_set(err, ERR_MISSING, "choices: multiple_choice needs them");
    }
    if (form->output != TASK_ROLLING && form->gold == NULL) {
        return err_set(err, ERR_MISSING, "gold: which member holds the answer?");
    }
    form->choice_list = json_is_array(choices) ? choices : NULL;
    form->choices = json_string_value(choices);
    if (choices != NULL && form->choice_list == NULL && form->choices == NULL) {
        return err_set(err, ERR_FORMAT, "choices: expected a list or \"{member}\", got %s",
                       doc_kind(choices));
    }
    return 0;
}

/* ---- rendering ---- */

/* A member's value as text: texts as they are, numbers in decimal. */
static int add_value(struct text *out, const json_t *record, const char *name, struct err *err)
{
    const json_t *value = json_object_get(record, name);

    if (value == NULL || json_is_null(value)) {
        return err_set(err, ERR_MISSING, "no member '%s'", name);
    }
    if (json_is_string(value)) {
        text_add(out, json_string_value(value));
    } else if (json_is_number(value)) {
        doc_print(out, value);
    } else {
        return err_set(err, ERR_FORMAT, "member '%s' is %s, not a text", name, doc_kind(value));
    }
    return 0;
}

/* "{name}" is a member of the record, "{{" and "}}" are braces. */
static int render(struct text *out, const char *template, const json_t *record, struct err *err)
{
    for (const char *s = template; *s != '\0'; s++) {
        if ((*s == '{' || *s == '}') && s[1] == *s) {
            text_add_char(out, *s++);
        } else if (*s == '{') {
            const char *end = strchr(s, '}');

            if (end == NULL) {
                return err_set(err, ERR_FORMAT, "prompt: a brace is not closed");
            }
            char *name = mem_text_n(s + 1, (size_t)(end - s - 1));
            int rc = add_value(out, record, name, err);
            free(name);
            if (rc != 0) {
                return rc;
            }
            s = end;
        } else {
            text_add_char(out, *s);
        }
    }
    return 0;
}

/* The record's choices; borrowed. */
static int choices_of(const struct form *form, const json_t *record, const json_t **out,
                      struct err *err)
{
    size_t n = form->choices != NULL ? strlen(form->choices) : 0;

    *out = form->choice_list;
    if (*out == NULL) {
        char *name = n > 2 && form->choices[0] == '{' && form->choices[n - 1] == '}'
                         ? mem_text_n(form->choices + 1, n - 2)
                         : mem_text(form->choices);

        *out = json_object_get(record, name);
        if (!json_is_array(*out)) {
            int rc = err_set(err, ERR_MISSING, "member '%s' holds no list of choices", name);

            free(name);
            return rc;
        }
        free(name);
    }
    n = json_array_size(*out);
    if (n < 1 || n > TASK_CHOICES_MAX) {
        return err_set(err, ERR_LIMIT, "%zu choices, expected 1 to %d", n, TASK_CHOICES_MAX);
    }
    for (size_t i = 0; i < n; i++) {
        const char *choice = json_string_value(json_array_get(*out, i));

        if (choice == NULL || *choice == '\0') {
            return err_set(err, ERR_FORMAT, "choice %zu is empty or not a text", i);
        }
    }
    return 0;
}

/* Which choice a gold value names: its index, or its text. */
static int gold_bit(const json_t *gold, const json_t *choices, uint64_t *bits, struct err *err)
{
    size_t n = json_array_size(choices);
    const char *text = json_string_value(gold);

    if (json_is_integer(gold)) {
        json_int_t i = json_integer_value(gold);

        if (i < 0 || (size_t)i >= n) {
            return err_set(err, ERR_LIMIT, "gold %lld is not among the %zu choices", (long long)i,
                           n);
        }
        *bits |= (uint64_t)1 << i;
        return 0;
    }
    for (size_t i = 0; text != NULL && i < n; i++) {
        if (strcmp(json_string_value(json_array_get(choices, i)), text) == 0) {
            *bits |= (uint64_t)1 << i;
            return 0;
        }
    }
    return err_set(err, ERR_FORMAT, "gold '%.60s' is not among the choices",
                   text != NULL ? text : doc_kind(gold));
}

static int gold_of(const struct form *form, const json_t *record, const json_t *choices,
                   uint64_t *bits, struct err *err)
{
    const json_t *gold = json_object_get(record, form->gold);
    int rc = 0;

    if (gold == NULL || json_is_null(gold) || (json_is_array(gold) && json_array_size(gold) == 0)) {
        return err_set(err, ERR_MISSING, "no gold: member '%s' is missing", form->gold);
    }
    if (!json_is_array(gold)) {
        return gold_bit(gold, choices, bits, err);
    }
    for (size_t i = 0; i < json_array_size(gold) && rc == 0; i++) {
        rc = gold_bit(json_array_get(gold, i), choices, bits, err);
    }
    return rc;
}

/* The answer written out, as a few-shot example shows it. */
static int add_answer(struct text *out, const struct form *form, const json_t *record,
                      struct err *err)
{
    const json_t *gold = json_object_get(record, form->gold);
    const json_t *choices;

    if (json_is_array(gold)) {
        gold = json_array_get(gold, 0);
    }
    if (json_is_string(gold)) {
        text_add(out, json_string_value(gold));
        return 0;
    }
    if (!json_is_integer(gold) || form->output != TASK_MULTIPLE_CHOICE) {
        return add_value(out, record, form->gold, err);
    }
    int rc = choices_of(form, record, &choices, err);
    if (rc != 0) {
        return rc;
    }
    const char *choice =
        json_string_value(json_array_get(choices, (size_t)json_integer_value(gold)));
    if (choice == NULL) {
        return err_set(err, ERR_LIMIT, "gold is not among the choices");
    }
    text_add(out, choice);
    return 0;
}

static int add_context(struct text *out, const struct form *form, const json_t *record,
                       struct err *err)
{
    size_t shown = 0;
    int rc = 0;

    text_add(out, form->description);
    for (size_t i = 0; i < form->n_examples && shown < form->n_fewshot && rc == 0; i++) {
        if (form->own_examples && json_equal(form->examples[i], record)) {
            continue;
        }
        shown++;
        rc = render(out, form->prompt, form->examples[i], err);
        text_add(out, form->target_delimiter);
        if (rc == 0) {
            rc = add_answer(out, form, form->examples[i], err);
        }
        text_add(out, form->fewshot_delimiter);
    }
    return rc != 0 ? rc : render(out, form->prompt, record, err);
}

static void add_target(struct task *task, const struct form *form, const char *context,
                       const char *target)
{
    struct task_request *request =
        add_request(task, mem_text(context), mem_printf("%s%s", form->target_delimiter, target));

    request->characters = count_characters(target);
    request->bytes = (uint32_t)strlen(target);
}

static int add_targets(struct task *task, const struct form *form, const json_t *record,
                       const char *context, struct err *err)
{
    const json_t *gold = json_object_get(record, form->gold);
    size_t n = json_is_array(gold) ? json_array_size(gold) : 1;

    if (gold == NULL || json_is_null(gold) || n == 0) {
        return err_set(err, ERR_MISSING, "no gold: member '%s' is missing", form->gold);
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_is_array(gold) ? json_array_get(gold, i) : gold;
        struct text text = {0};

        if (!json_is_string(one) && !json_is_number(one)) {
            return err_set(err, ERR_FORMAT, "member '%s' is %s, not a text", form->gold,
                           doc_kind(one));
        }
        if (json_is_string(one)) {
            text_add(&text, json_string_value(one));
        } else {
            doc_print(&text, one);
        }
        add_target(task, form, context, text_get(&text));
        text_release(&text);
    }
    task->documents[task->n - 1].gold = ~(uint64_t)0;
    return 0;
}

static int add_requests(struct task *task, const struct form *form, const json_t *record,
                        const char *context, struct err *err)
{
    const json_t *choices;

    if (form->output == TASK_ROLLING) {
        struct task_request *request = add_request(task, mem_text(""), mem_text(context));

        request->characters = count_words(context);
        request->bytes = (uint32_t)strlen(context);
        return 0;
    }
    if (form->output != TASK_MULTIPLE_CHOICE) {
        return add_targets(task, form, record, context, err);
    }
    int rc = choices_of(form, record, &choices, err);
    if (rc == 0) {
        rc = gold_of(form, record, choices, &task->documents[task->n - 1].gold, err);
    }
    for (size_t i = 0; rc == 0 && i < json_array_size(choices); i++) {
        add_target(task, form, context, json_string_value(json_array_get(choices, i)));
    }
    return rc;
}

static int add_record(struct task *task, const struct form *form, const json_t *record, size_t line,
                      struct err *err)
{
    const json_t *id = json_object_get(record, "id");
    struct text name = {0};
    struct text context = {0};
    int rc = 0;

    if (json_is_string(id)) {
        text_add(&name, json_string_value(id));
    } else if (json_is_integer(id)) {
        doc_print(&name, id);
    } else {
        text_printf(&name, "%zu", line);
    }
    add_document(task, text_get(&name));
    if (task->n > TASK_DOCUMENTS_MAX) {
        rc = err_set(err, ERR_LIMIT, "more than %zu documents", TASK_DOCUMENTS_MAX);
    }
    if (rc == 0) {
        rc = add_context(&context, form, record, err);
    }
    if (rc == 0) {
        rc = add_requests(task, form, record, text_get(&context), err);
    }
    text_release(&name);
    text_release(&context);
    return rc;
}

/* ---- JSON lines ---- */

/* Call visit with each record; errors get "file:line: " in front. */
static int each_record(const char *path,
                       int (*visit)(void *context, json_t *record, size_t line, struct err *err),
                       void *context, struct err *err)
{
    struct file_bytes bytes = {0};
    size_t line = 0;
    int rc = file_read(&bytes, path, DATA_SIZE_MAX, err);

    for (size_t at = 0; rc == 0 && at < bytes.size;) {
        const char *start = bytes.data + at;
        const char *end = memchr(start, '\n', bytes.size - at);
        size_t n = end != NULL ? (size_t)(end - start) : bytes.size - at;
        json_t *record = NULL;

        line++;
        at += n + 1;
        if (strspn(start, " \t\r") >= n) {
            continue;
        }
        rc = doc_parse(&record, start, n, err);
        if (rc == 0 && !json_is_object(record)) {
            rc = err_set(err, ERR_FORMAT, "expected an object, got %s", doc_kind(record));
        }
        if (rc == 0) {
            rc = visit(context, record, line, err);
        }
        json_decref(record);
        if (rc != 0) {
            rc = err_wrap(err, "%s:%zu", path, line);
        }
    }
    file_release(&bytes);
    return rc;
}

struct filling {
    struct task *task;
    struct form *form;
};

static int visit_document(void *context, json_t *record, size_t line, struct err *err)
{
    const struct filling *filling = context;

    return add_record(filling->task, filling->form, record, line, err);
}

static int visit_example(void *context, json_t *record, size_t line, struct err *err)
{
    struct form *form = context;

    (void)line;
    (void)err;
    if (form->n_examples <= form->n_fewshot) {
        form->examples[form->n_examples++] = json_incref(record);
    }
    return 0;
}

static int read_fewshot(struct form *form, const json_t *doc, const char *data, const char *folder,
                        struct err *err)
{
    static const char *const known[] = {"data", "num", "sampler", "seed"};
    const json_t *fewshot = json_object_get(doc, "fewshot");
    const char *sampler;
    const char *file;
    int64_t n;
    int rc;

    if (fewshot == NULL) {
        return 0;
    }
    if ((rc = doc_only(fewshot, known, COUNT(known), err)) != 0 ||
        (rc = doc_integer(fewshot, "num", 0, FEWSHOT_MAX, &n, err)) != 0 ||
        (rc = doc_text_or(fewshot, "sampler", "first_n", &sampler, err)) != 0 ||
        (rc = doc_text_or(fewshot, "data", NULL, &file, err)) != 0) {
        return err_wrap(err, "fewshot");
    }
    if (strcmp(sampler, "first_n") != 0) {
        return err_set(err, ERR_FORMAT,
                       "fewshot.sampler: '%s' is not available in this version; first_n", sampler);
    }
    form->n_fewshot = (size_t)n;
    form->own_examples = file == NULL;
    form->examples = mem_array(form->n_fewshot + 1, sizeof(json_t *));
    char *path = file != NULL ? file_resolve(folder, file) : mem_text(data);
    rc = each_record(path, visit_example, form, err);
    free(path);
    return rc;
}

static int check_ids(const struct task *task, struct err *err)
{
    json_t *seen = json_object();
    int rc = 0;

    for (size_t i = 0; i < task->n && rc == 0; i++) {
        if (json_object_get(seen, task->documents[i].id) != NULL) {
            rc = err_set(err, ERR_CONFLICT, "the id '%.80s' appears twice", task->documents[i].id);
        }
        json_object_set_new(seen, task->documents[i].id, json_true());
    }
    json_decref(seen);
    return rc;
}

static int read_data(struct task *task, struct form *form, const json_t *doc, const char *folder,
                     struct err *err)
{
    const char *data;
    int rc = doc_text(doc, "data", &data, err);

    if (rc != 0) {
        return rc;
    }
    char *path = file_resolve(folder, data);
    rc = read_fewshot(form, doc, path, folder, err);
    if (rc == 0) {
        struct filling filling = {task, form};

        rc = each_record(path, visit_document, &filling, err);
    }
    if (rc == 0 && task->n == 0) {
        rc = err_set(err, ERR_MISSING, "%s: no documents", path);
    }
    if (rc == 0 && check_ids(task, err) != 0) {
        rc = err_wrap(err, "%s", path);
    }
    free(path);
    return rc;
}

int task_parse(struct task *out, const json_t *doc, const char *folder, struct err *err)
{
    struct task made = {0};
    struct form form = {0};
    const char *name;
    int rc;

    if ((rc = doc_only(doc, task_keys, COUNT(task_keys), err)) == 0 &&
        (rc = doc_text(doc, "task", &name, err)) == 0 && (rc = read_output(&made, doc, err)) == 0) {
        made.name = mem_text(name);
        form.output = made.output;
        if ((rc = read_metrics(&made, doc, err)) == 0 && (rc = read_form(&form, doc, err)) == 0 &&
            (rc = read_generation(&made, &form, doc, err)) == 0) {
            rc = read_data(&made, &form, doc, folder, err);
        }
    }
    for (size_t i = 0; i < form.n_examples; i++) {
        json_decref(form.examples[i]);
    }
    free(form.examples);
    if (rc != 0) {
        task_release(&made);
        return rc;
    }
    identify(&made);
    *out = made;
    return 0;
}

int task_load(struct task *out, const char *path, struct err *err)
{
    json_t *doc = NULL;
    char *folder = file_folder(path);

    int rc = yaml_load(&doc, path, err);
    if (rc == 0) {
        rc = task_parse(out, doc, folder, err);
        /* Errors of the data name their own file. */
        if (rc != 0 && strstr(err->text, ".jsonl") == NULL) {
            rc = err_wrap(err, "%s", path);
        }
    }
    json_decref(doc);
    free(folder);
    return rc;
}

/* ---- the rendered form ---- */

static json_t *texts_print(char *const *texts, size_t n)
{
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++) {
        json_array_append_new(list, json_string(texts[i]));
    }
    return list;
}

json_t *task_print(const struct task *task)
{
    json_t *documents = json_array();

    for (size_t i = 0; i < task->n; i++) {
        const struct task_document *document = &task->documents[i];
        json_t *requests = json_array();
        char gold[24];

        for (size_t r = 0; r < document->n; r++) {
            const struct task_request *request = &task->requests[document->first + r];

            json_array_append_new(
                requests, json_pack("[s, s, I, I]", request->context, request->continuation,
                                    (json_int_t)request->characters, (json_int_t)request->bytes));
        }
        snprintf(gold, sizeof(gold), "%016llx", (unsigned long long)document->gold);
        json_array_append_new(documents, json_pack("{s:s, s:s, s:o}", "id", document->id, "gold",
                                                   gold, "requests", requests));
    }
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o}", "name", task->name, "output_type",
                     output_names[task->output], "digest", task->digest, "metrics",
                     texts_print(task->metrics, task->n_metrics), "until",
                     texts_print(task->until, task->n_until), "documents", documents);
}

static int read_texts(const json_t *list, char ***out, size_t *n, struct err *err)
{
    size_t size = json_array_size(list);

    *out = mem_array(size, sizeof(char *));
    for (size_t i = 0; i < size; i++) {
        const char *s = json_string_value(json_array_get(list, i));

        if (s == NULL) {
            return err_set(err, ERR_FORMAT, "a list holds %s", doc_kind(json_array_get(list, i)));
        }
        (*out)[(*n)++] = mem_text(s);
    }
    return 0;
}

static int read_document(struct task *task, const json_t *doc, struct err *err)
{
    const char *id;
    const char *gold;
    json_t *requests;
    int rc;

    if ((rc = doc_text(doc, "id", &id, err)) != 0 ||
        (rc = doc_text(doc, "gold", &gold, err)) != 0 ||
        (rc = doc_array(doc, "requests", &requests, err)) != 0) {
        return rc;
    }
    add_document(task, id)->gold = strtoull(gold, NULL, 16);
    for (size_t r = 0; r < json_array_size(requests); r++) {
        const json_t *request = json_array_get(requests, r);
        const char *context = json_string_value(json_array_get(request, 0));
        const char *continuation = json_string_value(json_array_get(request, 1));

        if (context == NULL || continuation == NULL) {
            return err_set(err, ERR_FORMAT, "document '%.80s': a request is malformed", id);
        }
        struct task_request *made = add_request(task, mem_text(context), mem_text(continuation));
        made->characters = (uint32_t)json_integer_value(json_array_get(request, 2));
        made->bytes = (uint32_t)json_integer_value(json_array_get(request, 3));
    }
    return 0;
}

int task_read(struct task *out, const json_t *doc, struct err *err)
{
    struct task made = {0};
    const char *name;
    const char *digest;
    json_t *documents;
    int rc;

    if ((rc = doc_text(doc, "name", &name, err)) != 0 ||
        (rc = doc_text(doc, "digest", &digest, err)) != 0 ||
        (rc = doc_array(doc, "documents", &documents, err)) != 0 ||
        (rc = read_output(&made, doc, err)) != 0) {
        return rc;
    }
    made.name = mem_text(name);
    rc = read_texts(json_object_get(doc, "metrics"), &made.metrics, &made.n_metrics, err);
    if (rc == 0) {
        rc = read_texts(json_object_get(doc, "until"), &made.until, &made.n_until, err);
    }
    for (size_t i = 0; i < json_array_size(documents) && rc == 0; i++) {
        rc = read_document(&made, json_array_get(documents, i), err);
    }
    if (rc == 0) {
        identify(&made);
        if (strcmp(made.digest, digest) != 0) {
            rc = err_set(err, ERR_CONFLICT, "task %s: its documents do not hash to its digest",
                         name);
        }
    }
    if (rc != 0) {
        task_release(&made);
        return rc;
    }
    *out = made;
    return 0;
}
