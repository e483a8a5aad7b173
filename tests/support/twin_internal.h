/*
 * twin_internal.h - what a twin is: sizes, a few numbers, tensors by name. twin.c computes with it,
 * twin_folder.c reads it.
 */
#ifndef TESTS_TWIN_INTERNAL_H
#define TESTS_TWIN_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "tests/support/twin.h"

#define TWIN_LAYERS_MAX ((size_t)16)
#define TWIN_PAIRS_MAX ((size_t)128)

struct twin_tensor {
    char name[TENSORS_NAME_MAX];
    size_t n;
    double *values;
};

/* How heads turn: radians a place of each pair, and what cosine and sine are multiplied by. */
struct twin_rope {
    double turns[TWIN_PAIRS_MAX];
    double growth;
};

struct twin {
    struct config config; /* of twin_new only */
    size_t L, D, F, H, G, K, V;
    size_t R; /* elements of a head that turn */
    double eps, norm_offset, embedding_scale;
    double score_divisor;                /* queries times keys over this */
    double attention_cap, logit_cap;     /* 0: none */
    bool gelu;                           /* else silu */
    size_t window[TWIN_LAYERS_MAX];      /* 0: none */
    struct twin_rope ropes[2];           /* global, local */
    bool turns_locally[TWIN_LAYERS_MAX]; /* which of the two */
    double scales[TWIN_LAYERS_MAX];      /* of what goes into a layer; 0: 1 */
    size_t n_tensors;
    struct twin_tensor *tensors;
};

#endif
