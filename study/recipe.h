/*
 * recipe.h - one candidate, complete enough to cook anywhere.
 *
 * A recipe is canonical JSON and its identity is the SHA-256 of those bytes. Sources are named by
 * the digest of their contents (evaluator/model/checkpoint.h), never by path. Every parameter is
 * spelled out, so that a change of defaults never changes an old recipe; one that came later
 * (silent in study/method.h) is spelled out where it is not at its default, which never changes.
 *
 *   {"base":"<64 hex>"|null, "dtype":"bfloat16",
 *    "groups":[{"component":"all","layers":[0,3],"parameters":{"normalize":0.0},
 *               "sources":[{"weight":0.6,"density":0.5},...]},...],
 *    "layers":6, "method":"ties", "recipe":1,
 *    "route":{"hops":[[0,0,1.0],[1,3,1.4],...],"models":["<64 hex>",...]},
 *    "seed":7, "sources":["<64 hex>",...]}
 *
 * Groups are tried in order; a tensor takes the first whose component matches it and whose layers
 * hold its depth. Depth of the embeddings is 0, of the final norm and the output head layers - 1.
 * Components: all, attention, mlp, norms (every norm gain), embeddings, head (output matrix and
 * final norm), rest (anything); any other text is a substring of the tensor's name, written
 * "filter:TEXT".
 *
 * A recipe with a route has its blocks in the order of the hops, each [model, layer, scale]: model
 * 0 is the merge that the rest of the recipe describes (the host), i the route's model i - 1.
 * Models are in the order of their first hop and none is there twice, so that equal routes have
 * equal bytes. Without a route the key is absent.
 */
#ifndef STUDY_RECIPE_H
#define STUDY_RECIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/doc.h"
#include "base/err.h"
#include "base/text.h"
#include "study/method.h"
#include "study/route.h"

#define RECIPE_SIZE_MAX ((size_t)1 << 20)
#define RECIPE_GROUPS_MAX 4096
#define RECIPE_LAYERS_MAX 4096
#define RECIPE_SEED_MAX INT64_MAX /* what a JSON integer holds */
#define RECIPE_COMPONENT_MAX 128  /* bytes of a component's text */
#define RECIPE_FILTER "filter:"

/* The type weights are rounded to before they are measured and written. */
enum recipe_dtype { RECIPE_FLOAT32, RECIPE_FLOAT16, RECIPE_BFLOAT16 };

struct recipe_group {
    char *component;
    uint32_t first, end;   /* layers [first, end) */
    double *source_values; /* [sources, method_count(METHOD_SOURCE)] */
    double *whole_values;  /* [method_count(METHOD_WHOLE)] */
};

struct recipe {
    const struct method *method;
    enum recipe_dtype dtype;
    uint64_t seed;               /* of random masks, at most RECIPE_SEED_MAX */
    uint32_t n_layers;           /* layers of every source */
    size_t n_sources;            /* S */
    char (*sources)[DIGEST_HEX]; /* [S], the base not counted */
    char base[DIGEST_HEX];       /* "" when there is none */
    size_t n_groups;
    struct recipe_group *groups;
    size_t n_route_models;
    char (*route_models)[DIGEST_HEX]; /* [n_route_models], what hops above 0 name */
    struct route route;               /* no hops: the merge as it is */
};

void recipe_release(struct recipe *recipe);

/* A recipe with one group ("all", every layer) whose parameters are the method's defaults. sources
 * are copied; base may be NULL and is left out where the method has none. */
void recipe_init(struct recipe *out, const struct method *method, enum recipe_dtype dtype,
                 uint64_t seed, uint32_t n_layers, const char *const *sources, size_t n_sources,
                 const char *base);

/* Append a group with default parameters and return it (valid until the next append). Groups of
 * recipe_init are kept. */
struct recipe_group *recipe_add_group(struct recipe *recipe, const char *component, uint32_t first,
                                      uint32_t end);
/* Drop all groups, to lay out others. */
void recipe_clear_groups(struct recipe *recipe);

/* Append a hop to the route: through a layer of the model of this digest, or of the merge itself
 * (NULL). A model not yet named joins route_models, whose order is thereby that of first use. */
void recipe_add_hop(struct recipe *recipe, const char *model, uint32_t layer, double scale);
/* What hops of this digest have as their model: its place in route_models plus one, at the end of
 * which it is added if it is not there. */
uint32_t recipe_route_model(struct recipe *recipe, const char *digest);

/* Text to recipe and back. recipe_print appends canonical JSON; print(parse(x)) == x for what print
 * wrote. Refused with the place: unknown keys and methods, parameters missing, out of bounds or not
 * finite, groups that leave a layer of some tensor uncovered (the last group must be "all" or
 * "rest" for its layers), too few or many sources. */
int recipe_parse(struct recipe *out, const char *bytes, size_t size, struct err *err);
void recipe_print(struct text *out, const struct recipe *recipe);
int recipe_copy(struct recipe *out, const struct recipe *recipe, struct err *err);

/* SHA-256 of the canonical bytes. */
void recipe_identity(const struct recipe *recipe, char out[DIGEST_HEX]);

/* The group of a tensor: its name, and its depth (layer index, 0 for embeddings, n_layers - 1 for
 * final norm and head); component is the tensor's own class as in study/recipe.c's table. NULL when
 * no group matches (parse refuses such recipes). */
enum recipe_component {
    RECIPE_EMBEDDINGS,
    RECIPE_ATTENTION,
    RECIPE_MLP,
    RECIPE_NORM,
    RECIPE_FINAL_NORM,
    RECIPE_HEAD
};
const struct recipe_group *recipe_group_of(const struct recipe *recipe, const char *tensor,
                                           enum recipe_component component, uint32_t depth);
/* True when a component text ("attention", "filter:k_proj", ...) takes in this tensor. */
int recipe_component_matches(const char *component, const char *tensor, enum recipe_component kind);
/* True for the component names above and "filter:TEXT". */
bool recipe_component_known(const char *component);
/* True for all and rest, which take in any tensor. */
bool recipe_component_whole(const char *component);
/* The component name nearest to a word that is none, or NULL. */
const char *recipe_component_nearest(const char *word);

const char *recipe_dtype_name(enum recipe_dtype dtype); /* "float32", "float16", "bfloat16" */
int recipe_dtype_parse(enum recipe_dtype *out, const char *name, struct err *err);

#endif
