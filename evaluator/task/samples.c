/*
 * samples.c - lines of a log to documents and recorded numbers.
 */
#include "evaluator/task/samples.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "evaluator/task/samples_target.h"
#include "evaluator/task/task.h"

#define GENERATION_MAX 256 /* max_gen_toks of the harness when a task is silent */

struct reader {
    enum task_output output;
    const char *delimiter;
    struct samples *made;
    size_t last; /* the sample that a line of another filter was about */
};

/* ---- values in the two spellings of the logs ---- */

static const json_t *argument(const json_t *arguments, size_t i, size_t part)
{
    char key[32];

    if (json_is_array(arguments)) {
        return json_array_get(json_array_get(arguments, i), part);
    }
    snprintf(key, sizeof key, "gen_args_%zu", i);
    const json_t *pair = json_object_get(arguments, key);

    return json_object_get(pair, part == 0 ? "arg_0" : "arg_1");
}

static size_t n_arguments(const json_t *arguments)
{
    return json_is_array(arguments) ? json_array_size(arguments) : json_object_size(arguments);
}

static double number_of(const json_t *json)
{
    const char *text = json_string_value(json);
    char *end = NULL;

    if (json_is_number(json)) {
        return json_number_value(json);
    }
    const double value = text != NULL ? strtod(text, &end) : (double)NAN;

    return text != NULL && end != text && *end == '\0' ? value : (double)NAN;
}

static bool truth_of(const json_t *json)
{
    const char *text = json_string_value(json);

    return json_is_true(json) || (text != NULL && strcmp(text, "True") == 0);
}

/* What was answered to request i: a list of log-likelihood and greedy, inside lists of repeats. */
static const json_t *response(const json_t *line, size_t i)
{
    const json_t *found = json_array_get(json_object_get(line, "resps"), i);

    while (json_is_array(json_array_get(found, 0))) {
        found = json_array_get(found, 0);
    }
    return found;
}

/* ---- a document ---- */

static bool all_alike(const json_t *arguments, size_t n, size_t part)
{
    for (size_t i = 1; i < n; i++) {
        if (json_equal(argument(arguments, i, part), argument(arguments, 0, part)) == 0) {
            return false;
        }
    }
    return true;
}

/* n texts of requests, or the one that they share; none may be empty where each is a choice. */
static int add_texts(struct strings *out, const json_t *arguments, size_t n, size_t part,
                     struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(argument(arguments, i, part));

        if (text == NULL || (*text == '\0' && (n > 1 || part == 1))) {
            return err_set(err, ERR_FORMAT, "arguments: request %zu: %s is %s", i,
                           part == 0 ? "arg_0" : "arg_1", text == NULL ? "no text" : "empty");
        }
        strings_add(out, mem_text(text));
    }
    return 0;
}

/* A choice differs in its continuation or in its context; other kinds ask once. */
static int read_texts(struct document *made, const struct reader *reader, const json_t *arguments,
                      size_t n, struct err *err)
{
    const bool choice = reader->output == TASK_MULTIPLE_CHOICE;
    const bool inside = choice && n > 1 && !all_alike(arguments, n, 0);

    if (!choice && n != 1) {
        return err_set(err, ERR_FORMAT, "arguments: %zu requests, expected 1", n);
    }
    if (inside && !all_alike(arguments, n, 1)) {
        return err_set(err, ERR_FORMAT,
                       "arguments: neither one context and a continuation a choice, nor a context "
                       "a choice and one continuation");
    }
    const int rc = add_texts(&made->contexts, arguments, inside ? n : 1, 0, err);

    return rc != 0 || (!choice && reader->output != TASK_LOGLIKELIHOOD)
               ? rc
               : add_texts(&made->continuations, arguments, inside ? 1 : n, 1, err);
}

/* Choice texts: what follows the delimiter; of choices inside the context, the whole context. */
static void add_choices(struct document *made, const char *delimiter)
{
    const size_t size = strlen(delimiter);
    const struct strings *texts =
        made->contexts.n > made->continuations.n ? &made->contexts : &made->continuations;

    for (size_t i = 0; i < texts->n; i++) {
        const char *text = texts->all[i];
        const bool marked = texts == &made->continuations && strncmp(text, delimiter, size) == 0 &&
                            text[size] != '\0';

        strings_add(&made->choices, mem_text(marked ? text + size : text));
    }
}

/* Stops and lengths are a task's: every line must have the first one's. */
static int read_generation(struct reader *reader, const json_t *settings, struct err *err)
{
    struct samples *made = reader->made;
    const json_t *until = json_object_get(settings, "until");
    const size_t n = json_is_array(until) ? json_array_size(until) : json_is_string(until);
    int64_t tokens = 0;
    bool same = made->n > 0;

    int rc = doc_integer_or(settings, "max_gen_toks", 1, TASK_NEW_TOKENS_MAX, GENERATION_MAX,
                            &tokens, err);
    if (rc != 0) {
        return rc;
    }
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_is_array(until) ? json_array_get(until, i) : until;
        const char *stop = json_string_value(item);

        if (stop == NULL || *stop == '\0') {
            continue;
        }
        if (made->n == 0) {
            strings_add(&made->stops, mem_text(stop));
        } else {
            same = same && at < made->stops.n && strcmp(stop, made->stops.all[at]) == 0;
        }
        at++;
    }
    if (made->n == 0) {
        made->max_new_tokens = (size_t)tokens;
        return 0;
    }
    return same && at == made->stops.n && made->max_new_tokens == (size_t)tokens
               ? 0
               : err_set(err, ERR_FORMAT, "arguments: generation settings differ from the first");
}

static int read_document(struct reader *reader, struct document *made, const json_t *line,
                         struct err *err)
{
    const json_t *arguments = json_object_get(line, "arguments");
    size_t n = n_arguments(arguments);
    int64_t id = 0;

    int rc = doc_integer(line, "doc_id", 0, INT64_MAX, &id, err);
    if (rc != 0) {
        return rc;
    }
    made->id = mem_printf("%lld", (long long)id);
    if (n == 0 || n > 2 * DOCUMENT_CHOICES_MAX) {
        return err_set(err, ERR_FORMAT, "arguments: %zu requests", n);
    }
    /* acc_mutual_info asks for the choices without a context too, behind the others */
    while (n > 1 && json_string_length(argument(arguments, n - 1, 0)) == 0 &&
           json_string_length(argument(arguments, 0, 0)) > 0) {
        n--;
    }
    rc = read_texts(made, reader, arguments, n, err);
    if (rc != 0) {
        return rc;
    }
    if (reader->output == TASK_LOGLIKELIHOOD_ROLLING) {
        samples_target_counts(made, line);
        return 0;
    }
    if (reader->output == TASK_GENERATE_UNTIL) {
        rc = samples_target_answers(made, line, err);
        return rc == 0 ? read_generation(reader, argument(arguments, 0, 1), err) : rc;
    }
    add_choices(made, reader->delimiter);
    return 0;
}

/* What the harness got; NaN where the log does not say. */
static void read_numbers(const struct reader *reader, struct sample *made, const json_t *line)
{
    const bool rolling = reader->output == TASK_LOGLIKELIHOOD_ROLLING;

    made->n = rolling ? 1 : document_pairs(&made->document);
    made->n = reader->output == TASK_GENERATE_UNTIL ? 0 : made->n;
    made->loglikelihoods = mem_array(made->n, sizeof *made->loglikelihoods);
    made->greedy = mem_array(made->n, sizeof *made->greedy);
    for (size_t i = 0; i < made->n; i++) {
        const json_t *found = response(line, i);

        made->loglikelihoods[i] =
            number_of(json_is_array(found) ? json_array_get(found, 0) : found);
        made->greedy[i] = truth_of(json_array_get(found, 1));
    }
}

static void add_verdict(struct sample *made, const char *filter, const json_t *line)
{
    const double exact_match = number_of(json_object_get(line, "exact_match"));

    if (isfinite(exact_match)) {
        made->verdicts = mem_resize(made->verdicts, made->n_verdicts + 1, sizeof *made->verdicts);
        made->verdicts[made->n_verdicts++] = (struct sample_verdict){mem_text(filter), exact_match};
    }
}

/* The text that was generated, first of its repeats. */
static void read_text(struct sample *made, const json_t *line)
{
    const json_t *found = json_array_get(json_object_get(line, "resps"), 0);

    while (json_is_array(found)) {
        found = json_array_get(found, 0);
    }
    if (json_is_string(found)) {
        made->text = mem_text(json_string_value(found));
    }
}

static void sample_release(struct sample *sample)
{
    for (size_t i = 0; i < sample->n_verdicts; i++) {
        free(sample->verdicts[i].filter);
    }
    free(sample->verdicts);
    free(sample->text);
    document_release(&sample->document);
    free(sample->loglikelihoods);
    free(sample->greedy);
    *sample = (struct sample){0};
}

/* A line of a further filter: the document is known, its verdict is new. Documents come in one
 * order under each filter. */
static void read_other(struct reader *reader, const char *filter, const json_t *line)
{
    struct samples *made = reader->made;
    const json_int_t id = json_integer_value(json_object_get(line, "doc_id"));
    char name[32];

    snprintf(name, sizeof name, "%lld", (long long)id);
    for (size_t i = 0; i < made->n; i++) {
        const size_t at = (reader->last + i) % made->n;

        if (strcmp(made->all[at].document.id, name) == 0) {
            add_verdict(&made->all[at], filter, line);
            reader->last = at;
            return;
        }
    }
}

static int read_line(struct reader *reader, const json_t *line, struct err *err)
{
    struct sample made = {0};
    const bool generated = reader->output == TASK_GENERATE_UNTIL;
    const char *filter = json_string_value(json_object_get(line, "filter"));

    filter = filter != NULL ? filter : "none";
    if (reader->made->filter == NULL) {
        reader->made->filter = mem_text(filter);
    }
    if (strcmp(filter, reader->made->filter) != 0) {
        if (generated) {
            read_other(reader, filter, line);
        }
        return 0;
    }
    const int rc = read_document(reader, &made.document, line, err);

    if (rc != 0) {
        sample_release(&made);
        return rc;
    }
    read_numbers(reader, &made, line);
    if (reader->output == TASK_MULTIPLE_CHOICE) {
        samples_target_choice(&made, line);
    }
    if (generated) {
        read_text(&made, line);
        add_verdict(&made, filter, line);
    }
    reader->made->all[reader->made->n++] = made;
    return 0;
}

int samples_read(struct samples *out, const struct records *records, enum task_output output,
                 const char *delimiter, struct err *err)
{
    struct samples made = {0};
    struct reader reader = {.output = output, .delimiter = delimiter, .made = &made};

    int rc = records->n > 0 ? 0 : err_set(err, ERR_FORMAT, "%s: no samples", records->path);
    made.all = mem_array(records->n, sizeof *made.all);
    for (size_t i = 0; rc == 0 && i < records->n; i++) {
        const size_t before = made.n;

        rc = read_line(&reader, records->all[i], err);
        if (rc != 0) {
            rc = records_wrap(records, i, err);
        } else if (made.n > before) {
            made.all[before].line = records->lines[i];
        }
    }
    if (rc != 0) {
        samples_release(&made);
        return rc;
    }
    *out = made;
    return 0;
}

int samples_load(struct samples *out, const char *path, enum task_output output,
                 const char *delimiter, struct err *err)
{
    struct records records = {0};
    int rc = records_load(&records, path, err);

    if (rc == 0) {
        rc = samples_read(out, &records, output, delimiter, err);
    }
    records_release(&records);
    return rc;
}

void samples_release(struct samples *samples)
{
    for (size_t i = 0; i < samples->n; i++) {
        sample_release(&samples->all[i]);
    }
    free(samples->all);
    free(samples->filter);
    strings_release(&samples->stops);
    *samples = (struct samples){0};
}
