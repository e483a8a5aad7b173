/*
 * opened.h - a model's folder, opened and ready to run. What goes wrong fails the test that asked.
 */
#ifndef TESTS_OPENED_H
#define TESTS_OPENED_H

#include <stdint.h>

#include "evaluator/model/checkpoint.h"
#include "evaluator/model/forward.h"
#include "evaluator/model/weights.h"
#include "tests/support/families.h"

struct opened {
    char *path;
    struct checkpoint *checkpoint;
    struct weights *weights;
    struct forward *forward;
};

/* positions_max as forward_new has it. */
struct opened opened_folder(const char *path, size_t positions_max);
/* A family's model, written into folder first. */
struct opened opened_family(const char *folder, const struct family_model *model,
                            size_t positions_max);
void opened_close(struct opened *opened);

/* Logits [n, V] of a forward pass over tokens [n]; the caller frees. */
float *opened_logits(struct forward *forward, const struct weights *weights, const uint32_t *tokens,
                     size_t n);

#endif
