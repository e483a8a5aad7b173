/*
 * steps.c - nested sequences, flattened.
 */
#include "evaluator/model/steps.h"

#include <string.h>

struct walk {
    const char *members;
    steps_read_one *read_one;
    void *context;
    size_t n; /* steps so far */
};

static int walk(struct walk *state, const json_t *component, int depth, struct err *err)
{
    const char *type = NULL;
    json_t *members = NULL;

    int rc = doc_text(component, "type", &type, err);
    if (rc != 0) {
        return rc;
    }
    if (strcmp(type, "Sequence") != 0) {
        return state->n++ == STEPS_MAX ? err_set(err, ERR_LIMIT, "more than %d steps", STEPS_MAX)
                                       : state->read_one(state->context, component, type, err);
    }
    if (depth == STEPS_NESTING_MAX) {
        return err_set(err, ERR_LIMIT, "sequences nested more than %d deep", STEPS_NESTING_MAX);
    }
    rc = doc_array(component, state->members, &members, err);
    for (size_t i = 0; rc == 0 && i < json_array_size(members); i++) {
        rc = walk(state, json_array_get(members, i), depth + 1, err);
    }
    return rc;
}

int steps_read(const json_t *component, const char *members, steps_read_one *read_one,
               void *context, struct err *err)
{
    struct walk state = {.members = members, .read_one = read_one, .context = context};

    return component == NULL || json_is_null(component) ? 0 : walk(&state, component, 0, err);
}
