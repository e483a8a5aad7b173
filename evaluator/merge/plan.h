/*
 * plan.h - a recipe and the headers of its sources, made into an ordered list of tensor operations.
 *
 * Making a plan reads no weights. The same plan is carried out for measuring and for exporting
 * (blend.h), in the byte order of tensor names, which is also the order of the weights' digest.
 */
#ifndef MERGE_PLAN_H
#define MERGE_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "evaluator/merge/trim.h"
#include "evaluator/merge/vocabulary.h"
#include "evaluator/model/checkpoint.h"
#include "study/recipe.h"

/* One output tensor. Inputs may be embeddings that stand in for a tied head. */
struct plan_tensor {
    const char *name;
    enum tensor_role role;
    uint32_t layer;
    size_t n_dims;
    size_t dims[TENSORS_DIMS_MAX];
    size_t n;         /* elements */
    enum dtype dtype; /* what the values are stored as */
    enum dtype work;  /* what inputs are rounded to before and results after; F32: neither */
    bool copies;      /* its only source as it is, whatever the method */
    const struct checkpoint_tensor *base; /* NULL when there is none */
    size_t n_sources;
    const struct checkpoint_tensor **sources; /* [n_sources] */
    const double *source_values; /* [n_sources, method_count(METHOD_SOURCE)], in table order */
    const double *whole_values;  /* [method_count(METHOD_WHOLE)] */
    const unsigned char *const *keeps; /* NULL; or [n_sources] bits (prune_kernels.h) that decide in
                                          place of random draws, NULL where all stays */
    size_t index;                      /* place in the list of all tensors, for caches */
    /* Of a tensor in the scale of its hop (plan_route.h), else scale 0: results x become
     * (scale_offset + x) * scale - scale_offset before they are rounded. */
    double scale, scale_offset;
    const struct plan_tensor
        *of_merge; /* of a hop through the merge: that merge's own tensor, whose
                      name, layer and index methods go by; NULL: itself */
};

/* How to take what is no plain case. */
struct plan_rules {
    bool strict; /* parameters that leave nothing of a source are refused, as in a recipe written by
                    hand; else the least is kept, so that a search can pass there */
    bool exact_mergekit;  /* slips of mergekit 0.1.4 are reproduced */
    bool allow_nonfinite; /* NaN and infinity are carried through instead of refused */
};

struct plan {
    const struct method *method;
    struct plan_rules rules;
    uint64_t seed;                 /* of random masks */
    const struct checkpoint *base; /* NULL when there is none; kept until plan_release */
    size_t n_sources;              /* the most that a tensor has */
    const struct checkpoint *
        *sources;                   /* [n_sources]; NULL when tensors have sources of their own */
    const struct checkpoint *donor; /* of config and tokenizer: the base, else the first source */
    struct config config; /* of the merged model: the donor's, its head untied when one is made */
    struct config_edit edit;         /* what that changes in the donor's config.json */
    bool without_tokenizer;          /* the donor's tokenizer files are not copied */
    char sources_digest[DIGEST_HEX]; /* which inputs in which order; what is kept of them goes by it
                                      */
    size_t n_tensors;
    struct plan_tensor *tensors; /* by name */
    size_t n_elements;           /* of all tensors */
    struct plan *merge; /* of a plan with a route: the recipe's merge without it; NULL: none */
    /* While files are written, told some ten times a second how many bytes are; NULL: nobody is. */
    void (*watch)(void *context, uint64_t bytes);
    void *watch_context;
    struct vocabulary *vocabulary; /* of embeddings rebuilt for one; NULL: as they are */
    char *chat_template;           /* NULL: the donor's */
    size_t n_matrices;
    struct vocabulary_matrix **matrices; /* aligned with the vocabulary; inputs of tensors */
    size_t n_owned;
    void **owned; /* what a front end made for it: names, parameters, views of inputs */
};

/* A model that recipes can name. */
struct plan_model {
    const char *digest; /* 64 hex */
    struct checkpoint *checkpoint;
};

/*
 * Of a recipe with a route the tensors are those of its flat form: layer k is hop k
 * (plan_route.h). ERR_MISSING: a source's digest is not among models [n_models]. ERR_CONFLICT:
 * sources that differ in a tensor or shape, a layer count that is not the recipe's, a file that
 * changed on disk. ERR_FORMAT: a tensor whose type is no number. Parameters point into the recipe,
 * which outlives the plan.
 */
int plan_make(struct plan *out, const struct recipe *recipe, const struct plan_model *models,
              size_t n_models, struct err *err);
void plan_release(struct plan *plan);

/* The model of this digest among models [n]; ERR_MISSING. */
int plan_find_model(const struct plan_model *models, size_t n, const char *digest,
                    const struct checkpoint **out, struct err *err);

/* How an output tensor is mixed: by which plan's method, as which tensor of it. Of a route these
 * are the merge and its tensor; else the plan and the tensor themselves. */
const struct plan *plan_mixing(const struct plan *plan);
const struct plan_tensor *plan_mixed(const struct plan_tensor *tensor);

/* The task vector of a tensor's source. */
struct trim_delta plan_delta(const struct plan_tensor *tensor, size_t source);

/* Let the export's config.json say which layers slide, as the plan's config does now. */
void plan_write_sliding(struct plan *plan);

/* Give a block of memory to the plan, which frees it at its end; returns it. */
void *plan_own(struct plan *plan, void *block);

/* The same for an aligned matrix. */
struct vocabulary_matrix *plan_own_matrix(struct plan *plan,
                                          const struct vocabulary_matrix *matrix);

/* Bytes of all tensors as they are stored. */
uint64_t plan_bytes(const struct plan *plan);

/* Ranks (della.h) of so many bytes are kept from one candidate to the next; of larger plans they
 * are found anew, tensor by tensor. */
#define PLAN_RANKS_MAX ((size_t)1 << 30)

bool plan_keeps_ranks(const struct plan *plan);

/* The most bytes that blending holds at once besides its results and the maps of its sources:
 * buffers, and counts of task vectors for methods that trim. plan_memory: counts of all tensors are
 * kept, as in a search; plan_memory_tensor: those of one tensor at a time. */
size_t plan_memory(const struct plan *plan);
size_t plan_memory_tensor(const struct plan *plan);

#endif
