/*
 * families.h - a tiny model of every family, with weights that are always the same.
 *
 * Folders as a user has them: config.json and model.safetensors, written by a writer of its own so
 * that reader and tables of the engine are tested too.
 */
#ifndef TESTS_FAMILIES_H
#define TESTS_FAMILIES_H

#include <stddef.h>

struct family_model {
    const char *name; /* for messages */
    const char *architecture, *model_type;
    size_t L, D, F, H, G, K, V;
    const char *config; /* more members of config.json, each after a comma */
    const char *layer;  /* tensors of a layer: "stem dim dim\n", dims D, F, Q, E or numbers */
    const char *head;   /* "lm_head.weight", or NULL when tied */
    const char *dtype;  /* "F32" or "BF16" */
    unsigned seed;      /* of the weights; 0 in the table */
    const char *root;   /* what "model." is in names of a text model that has images beside it, with
                           its members in text_config; else NULL */
};

/* One row a family and variant. */
extern const struct family_model family_models[];
extern const size_t n_family_models;

/* The row of a name; ends the test when there is none. */
const struct family_model *family_model(const char *name);

/* Write it as folder/name; returns the path, which the caller frees. Two models of equal sizes,
 * tensors, dtype and seed have equal weights. */
char *family_model_write(const char *folder, const struct family_model *model);

#endif
