/*
 * samples_target.c - right answers in the spellings of the logs.
 */
#include "evaluator/task/samples_target.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "evaluator/task/python_list.h"
#include "evaluator/task/template.h"

/* The target's items: those of a list, or itself. False when one is neither text nor number. */
static bool read_items(struct strings *out, const json_t *target)
{
    const size_t n = json_is_array(target) ? json_array_size(target) : 1;

    if (json_is_string(target) && python_list_read(out, json_string_value(target))) {
        return true;
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_is_array(target) ? json_array_get(target, i) : target;
        struct text text = {0};
        const int rc = template_add_value(&text, item, "target", NULL);

        strings_add(out, mem_text(text_get(&text)));
        text_release(&text);
        if (rc != 0) {
            return false;
        }
    }
    return n > 0;
}

/* ---- choices ---- */

/* The choice whose text or else whose index an item is, or SIZE_MAX. */
static size_t find_choice(const struct strings *choices, const char *item)
{
    char *end = NULL;
    const double index = strtod(item, &end);
    const bool is_number = end != item && *end == '\0';

    for (size_t i = 0; i < choices->n && is_number; i++) {
        if (index == (double)i) {
            return i;
        }
    }
    for (size_t i = 0; i < choices->n; i++) {
        if (strcmp(item, choices->all[i]) == 0) {
            return i;
        }
    }
    return SIZE_MAX;
}

/* False, and nothing added, for SIZE_MAX or more golds than choices. */
static bool add_gold(struct document *document, size_t gold)
{
    if (gold == SIZE_MAX || document->n_golds == document->choices.n) {
        return false;
    }
    document->golds = mem_resize(document->golds, document->n_golds + 1, sizeof *document->golds);
    document->golds[document->n_golds++] = (uint32_t)gold;
    return true;
}

/* The gold that makes the harness's verdict on its own prediction true, or SIZE_MAX. */
static size_t infer_gold(const struct sample *sample, const json_t *line)
{
    const json_t *acc = json_object_get(line, "acc");
    size_t best = 0;

    for (size_t i = 0; i < sample->n; i++) {
        if (!isfinite(sample->loglikelihoods[i])) {
            return SIZE_MAX;
        }
        best = sample->loglikelihoods[i] > sample->loglikelihoods[best] ? i : best;
    }
    if (!json_is_number(acc)) {
        return SIZE_MAX;
    }
    if (json_number_value(acc) == 1.0) {
        return best;
    }
    return sample->n == 2 ? 1 - best : SIZE_MAX;
}

void samples_target_choice(struct sample *sample, const json_t *line)
{
    struct document *document = &sample->document;
    const json_t *target = json_object_get(line, "target");
    const char *whole = json_string_value(target);
    struct strings items = {0};
    bool stray = false;

    if (whole != NULL && find_choice(&document->choices, whole) != SIZE_MAX) {
        strings_add(&items, mem_text(whole)); /* a choice may look like a list */
    } else {
        stray = !read_items(&items, target);
    }
    for (size_t i = 0; i < items.n; i++) {
        stray = !add_gold(document, find_choice(&document->choices, items.all[i])) || stray;
    }
    strings_release(&items);
    if (document->n_golds == 0 && document->contexts.n > 1) {
        stray = !add_gold(document, infer_gold(sample, line));
    }
    sample->stray = stray;
}

/* ---- texts ---- */

int samples_target_answers(struct document *document, const json_t *line, struct err *err)
{
    const json_t *target = json_object_get(line, "target");
    struct strings items = {0};

    if (!read_items(&items, target)) {
        strings_release(&items);
        return err_set(err, ERR_FORMAT, "target: expected a text, a number or a list, got %s",
                       target != NULL ? doc_kind(target) : "none");
    }
    if (json_is_string(target) && strcmp(items.all[0], json_string_value(target)) != 0) {
        strings_add(&items, mem_text(json_string_value(target))); /* it may just look like a list */
    }
    if (items.n > DOCUMENT_CHOICES_MAX) {
        strings_release(&items);
        return err_set(err, ERR_LIMIT, "target: more than %zu answers", DOCUMENT_CHOICES_MAX);
    }
    for (size_t i = 0; i < items.n; i++) {
        strings_add(&document->continuations, mem_text(items.all[i]));
        strings_add(&document->choices, mem_text(items.all[i]));
    }
    strings_release(&items);
    return 0;
}

/* A weighted metric is recorded as log-likelihood and count. */
static size_t count_of(const json_t *line, const char *metric)
{
    const json_t *count = json_array_get(json_object_get(line, metric), 1);
    const json_int_t value = json_integer_value(count);

    return value > 0 && value <= INT32_MAX ? (size_t)value : 0;
}

void samples_target_counts(struct document *document, const json_t *line)
{
    document->words = count_of(line, "word_perplexity");
    document->bytes = count_of(line, "byte_perplexity");
    if (document->bytes == 0) {
        document->bytes = count_of(line, "bits_per_byte");
    }
}
