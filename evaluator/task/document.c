/*
 * document.c - one rendered question: wire form and digest.
 *
 *   {"choices":["57","67"], "contexts":["6+61="], "continuations":["57","67"], "golds":[1],
 * "id":"a-0"}
 */
#include "evaluator/task/document.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void document_release(struct document *document)
{
    free(document->id);
    strings_release(&document->contexts);
    strings_release(&document->continuations);
    strings_release(&document->choices);
    free(document->golds);
    *document = (struct document){0};
}

size_t document_pairs(const struct document *document)
{
    return document->contexts.n > document->continuations.n ? document->contexts.n
                                                            : document->continuations.n;
}

void document_pair(const struct document *document, size_t i, const char **context,
                   const char **continuation)
{
    const struct strings *contexts = &document->contexts;
    const struct strings *continuations = &document->continuations;

    *context = contexts->all[contexts->n == 1 ? 0 : i];
    *continuation =
        continuations->n == 0 ? NULL : continuations->all[continuations->n == 1 ? 0 : i];
}

json_t *document_print(const struct document *document)
{
    json_t *golds = json_array();

    for (size_t i = 0; i < document->n_golds; i++) {
        json_array_append_new(golds, json_integer(document->golds[i]));
    }
    json_t *made = json_pack("{s:s, s:o, s:o, s:o, s:o}", "id", document->id, "contexts",
                             strings_print(&document->contexts), "continuations",
                             strings_print(&document->continuations), "choices",
                             strings_print(&document->choices), "golds", golds);

    if (document->words > 0) {
        json_object_set_new(made, "words", json_integer((json_int_t)document->words));
    }
    if (document->bytes > 0) {
        json_object_set_new(made, "bytes", json_integer((json_int_t)document->bytes));
    }
    return made;
}

static int read_golds(struct document *made, const json_t *json, struct err *err)
{
    json_t *golds = NULL;

    const int rc = doc_array(json, "golds", &golds, err);
    if (rc != 0) {
        return rc;
    }
    if (json_array_size(golds) > made->choices.n) {
        return err_set(err, ERR_FORMAT, "golds: more than choices");
    }
    made->golds = mem_array(json_array_size(golds), sizeof *made->golds);
    for (size_t i = 0; i < json_array_size(golds); i++) {
        const json_t *gold = json_array_get(golds, i);

        if (!json_is_integer(gold) || json_integer_value(gold) < 0 ||
            (size_t)json_integer_value(gold) >= made->choices.n) {
            return err_set(err, ERR_FORMAT, "golds: entry %zu is not the index of a choice", i);
        }
        made->golds[made->n_golds++] = (uint32_t)json_integer_value(gold);
    }
    return 0;
}

static int read_counts(struct document *made, const json_t *json, struct err *err)
{
    int64_t words = 0;
    int64_t bytes = 0;
    int rc = doc_integer_or(json, "words", 0, INT32_MAX, 0, &words, err);

    if (rc == 0) {
        rc = doc_integer_or(json, "bytes", 0, INT32_MAX, 0, &bytes, err);
    }
    made->words = (size_t)words;
    made->bytes = (size_t)bytes;
    return rc;
}

static int read_members(struct document *made, const json_t *json, struct err *err)
{
    static const char *const known[] = {"id",    "contexts", "continuations", "choices",
                                        "golds", "words",    "bytes"};
    const char *id = NULL;

    int rc = doc_only(json, known, sizeof known / sizeof *known, err);
    if (rc != 0 || (rc = doc_text(json, "id", &id, err)) != 0) {
        return rc;
    }
    made->id = mem_text(id);
    rc = strings_read(&made->contexts, json, "contexts", DOCUMENT_CHOICES_MAX, err);
    if (rc == 0) {
        rc = strings_read(&made->continuations, json, "continuations", DOCUMENT_CHOICES_MAX, err);
    }
    if (rc == 0) {
        rc = strings_read(&made->choices, json, "choices", DOCUMENT_CHOICES_MAX, err);
    }
    if (rc == 0) {
        rc = read_golds(made, json, err);
    }
    return rc == 0 ? read_counts(made, json, err) : rc;
}

/* One context for all continuations, or one continuation for all contexts. */
static int check_shape(const struct document *document, struct err *err)
{
    const size_t contexts = document->contexts.n;
    const size_t continuations = document->continuations.n;

    if (contexts == 0 || (contexts > 1 && continuations != 1)) {
        return err_set(err, ERR_FORMAT, "%zu contexts with %zu continuations", contexts,
                       continuations);
    }
    return 0;
}

int document_read(struct document *out, const json_t *json, struct err *err)
{
    struct document made = {0};

    int rc = read_members(&made, json, err);
    if (rc == 0) {
        rc = check_shape(&made, err);
    }
    if (rc != 0) {
        document_release(&made);
        return rc;
    }
    *out = made;
    return 0;
}

static void add_strings(const struct strings *strings, struct digest *digest)
{
    digest_add_u64(digest, strings->n);
    for (size_t i = 0; i < strings->n; i++) {
        digest_add_text(digest, strings->all[i]);
    }
}

void document_digest(const struct document *document, struct digest *digest)
{
    digest_add_text(digest, document->id);
    add_strings(&document->contexts, digest);
    add_strings(&document->continuations, digest);
    add_strings(&document->choices, digest);
    digest_add_u64(digest, document->n_golds);
    for (size_t i = 0; i < document->n_golds; i++) {
        digest_add_u64(digest, document->golds[i]);
    }
    if (document->words + document->bytes > 0) {
        digest_add_u64(digest, document->words);
        digest_add_u64(digest, document->bytes);
    }
}
