/* Studies: what is accepted has a canonical form, which is accepted and has the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "study/study.h"
#include "study/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void print(struct text *out, const struct study *study)
{
    json_t *doc = study_print(study);

    must(doc != NULL);
    doc_print(out, doc);
    json_decref(doc);
}

static void check_round_trip(const struct study *study)
{
    struct study again = {0};
    struct text first = {0};
    struct text second = {0};
    json_t *doc = NULL;

    print(&first, study);
    must(doc_parse(&doc, text_get(&first), first.size, NULL) == 0);
    must(study_parse(&again, doc, ".", NULL) == 0);
    print(&second, &again);
    must(strcmp(text_get(&first), text_get(&second)) == 0);
    json_decref(doc);
    study_release(&again);
    text_release(&first);
    text_release(&second);
}

/* Parameters that are always searched or fixed. */
static size_t n_spoken(const struct method *method)
{
    size_t n = 0;

    for (size_t i = 0; i < method->n_parameters; i++) {
        n += !method->parameters[i].silent;
    }
    return n;
}

/* What the search relies on. */
static void check_values(const struct study *study)
{
    const struct study_merge *merge = &study->merge;

    if (merge->method == NULL) {
        must(study->route.mode != STUDY_ROUTE_NONE && study->route.host < study->n_models);
        return;
    }
    must(merge->n_sources >= 1 && merge->n_search >= 1);
    must(merge->n_search + merge->n_fixed <= merge->method->n_parameters);
    must(merge->n_search + merge->n_fixed >= n_spoken(merge->method));
    must((merge->base < study->n_models) == merge->method->needs_base);
    for (size_t i = 0; i < merge->n_search; i++) {
        const struct study_range *range = &merge->search[i];

        must(range->lower < range->upper);
        must(range->start >= range->lower && range->start <= range->upper);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct study study = {0};
    struct err err = {0};
    json_t *doc = NULL;

    if (yaml_parse(&doc, (const char *)bytes, n, NULL) != 0) {
        return 0;
    }
    int rc = study_parse(&study, doc, ".", &err);

    if (rc == 0) {
        check_values(&study);
        check_round_trip(&study);
        study_release(&study);
    } else {
        must(study.name == NULL && err.code == (enum err_code)rc && err.text[0] != '\0');
    }
    json_decref(doc);
    return 0;
}
