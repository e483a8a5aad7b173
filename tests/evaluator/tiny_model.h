/*
 * tiny_model.h - small models made on the spot: a llama of two layers in a folder, weights at
 * random.
 */
#ifndef TESTS_TINY_MODEL_H
#define TESTS_TINY_MODEL_H

#include <stdint.h>

#include "evaluator/model/dtype.h"

#define TINY_LAYERS 2
#define TINY_WIDTH 32
#define TINY_VOCAB 50

struct tiny_model {
    enum dtype dtype;
    uint64_t seed;        /* of the weights; the same seed gives the same numbers in every type */
    double spread;        /* of the weights, 0: 0.02 */
    int tied;             /* no head of its own */
    uint64_t shard_bytes; /* 0: one file */
    const char *without;  /* leave this tensor out; NULL: none */
    const char *with_nan; /* this tensor's element 5 is NaN; NULL: none */
    uint32_t mlp_width;   /* 0: 48 */
    uint32_t vocab;       /* 0: TINY_VOCAB */
};

/* Write folder/name; returns its path, free() it. */
char *tiny_model_write(const char *folder, const char *name, const struct tiny_model *model);

#endif
