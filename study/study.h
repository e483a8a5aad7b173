/*
 * study.h - what study.yaml says, checked.
 *
 * study_load reads YAML, refuses unknown keys with the nearest known one, checks every value that
 * can be checked without opening a model or a task file, and gives a canonical JSON form that the
 * store keeps and whose digest tells one study from another. DESIGN section 3 has the file.
 */
#ifndef STUDY_STUDY_H
#define STUDY_STUDY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/doc.h"
#include "base/err.h"
#include "study/method.h"
#include "study/recipe.h"
#include "study/route.h"

#define STUDY_SIZE_MAX ((size_t)1 << 20)
#define STUDY_MODELS_MAX 64
#define STUDY_TASKS_MAX 64
#define STUDY_COMPONENTS_MAX 16
#define STUDY_FINER_MAX 7
#define STUDY_OBJECTIVES_MAX 16
#define STUDY_EDITS_MAX 4
#define STUDY_EDIT_LENGTH_MAX 8
#define STUDY_FREE_MAX 4096

struct study_model {
    char *name; /* short name */
    char *path; /* as written, relative to the study file */
};

enum study_layers {
    STUDY_LAYERS_GROUPS, /* n_layer_groups contiguous groups; 1 = the whole model */
    STUDY_LAYERS_EACH,   /* a group a layer */
    STUDY_LAYERS_SMOOTH  /* n_layer_groups knots, interpolated over depth */
};

/* A later step of a search from coarse to fine. */
struct study_finer {
    enum study_layers layers;
    uint32_t n_layer_groups; /* 0 with STUDY_LAYERS_EACH */
};

/* A searched parameter: its bounds and where it starts. What `start:` does not say is the method's
 * default when that has room on either side within the bounds, else their middle. */
struct study_range {
    const struct method_parameter *parameter;
    double lower, upper, start;
};

/* A parameter held at one value. */
struct study_fixed {
    const struct method_parameter *parameter;
    double value;
};

/* Nothing and no base in a study that searches routes alone. */
struct study_merge {
    const struct method *method; /* NULL: there is no merge */
    size_t base;                 /* index into models; SIZE_MAX when there is none */
    size_t n_sources;
    size_t *sources; /* [n_sources] indices into models, in the file's order, none twice */
    enum study_layers layers;
    uint32_t n_layer_groups; /* 0 with STUDY_LAYERS_EACH */
    /* From coarse to fine: the search goes on with these, each finer than the one before. */
    size_t n_finer;
    struct study_finer finer[STUDY_FINER_MAX];
    size_t n_free; /* coordinates of the last step that are freed by a sensitivity pass, 0: all */
    size_t n_components; /* 0: one component, "all" */
    char **components;   /* as recipes write them: "attention", "filter:TEXT"; the last is rest */
    /* Each parameter of the method is in one of the two, in the order of the method's table. */
    size_t n_search;
    struct study_range search[METHOD_PARAMETERS_MAX];
    size_t n_fixed;
    struct study_fixed fixed[METHOD_PARAMETERS_MAX];
};

enum study_route_mode {
    STUDY_ROUTE_NONE,       /* there is no route section */
    STUDY_ROUTE_EDITS,      /* a few edits of the host's own route */
    STUDY_ROUTE_INDICATORS, /* a bit a block, the list of all blocks several times over */
    STUDY_ROUTE_SWAP        /* bottom and top of the host, the middle of another model */
};
enum study_route_scales { /* of indicators */
                          STUDY_SCALES_SEAMS,
                          STUDY_SCALES_NONE,
                          STUDY_SCALES_DENSE,
                          STUDY_SCALES_NETWORK
};
enum study_route_order { STUDY_MERGE_THEN_ROUTE, STUDY_TOGETHER };

struct study_route {
    enum study_route_mode mode;
    size_t host; /* index into models; SIZE_MAX: the merge */
    size_t n_sources;
    size_t *sources;   /* [n_sources] indices into models, in the file's order, none twice */
    uint32_t edits;    /* at most, 1 .. STUDY_EDITS_MAX */
    uint32_t length;   /* longest span that is edited, 1 .. STUDY_EDIT_LENGTH_MAX */
    uint32_t pinned;   /* blocks of the host that stay at either end, 0: auto */
    uint32_t max_hops; /* of a route, 0: auto */
    uint32_t repeats;  /* of the list of all blocks */
    enum study_route_scales scales;
    bool gains; /* of the best edits' seams, searched last */
    enum study_route_order order;
};

struct study_task {
    json_t *inline_task; /* the task's own keys when given inline, else NULL */
    char *path;          /* task file as written, else NULL */
    char *metric;        /* NULL: the task's first */
    double weight;       /* > 0, default 1 */
    size_t limit;        /* documents at most, 0: all */
};

/* STUDY_PARETO: tasks for themselves; a candidate's own number is their weighted mean then too. */
enum study_objective { STUDY_WEIGHTED_MEAN, STUDY_MINIMUM, STUDY_PARETO };

struct study_optimizer {
    char *algorithm; /* default "cma-es", of several objectives "auto": by size and budget, when the
                        search begins */
    char *restarts;  /* "none", "ipop", "bipop" */
    char *noise;     /* "none", "reevaluate", "adapt" */
    size_t population; /* 0: auto */
    double sigma;      /* share of the box width, 0: auto (0.25) */
    char *warm_start;  /* database of an earlier study, as written; NULL: none */
};

struct study_budget {
    uint64_t evaluations; /* search candidates at most, default 1000 */
    int64_t wall_ms;      /* 0: no limit */
    int until_minute;     /* minute of the day at which to stop, -1: none */
    uint32_t stagnation;  /* generations without a better best, 0: off */
    /* Of the evaluations, a number > 0 for each step of a search from coarse to fine; 0: by the
     * number of coordinates. */
    size_t n_shares;
    double shares[1 + STUDY_FINER_MAX];
};

struct study_evaluator {
    enum recipe_dtype dtype;
    char *numeric;         /* arithmetic: "auto", "f32", "amx2", "amx1" (model/numeric.h) */
    uint64_t memory;       /* bytes a worker may use, 0: unlimited */
    int64_t timeout_ms;    /* a candidate, 0: ten times the median */
    bool prefix_cache_off; /* candidates share no activations; scores are the same */
};

struct study {
    char *name;
    char *folder; /* of the study file; paths are relative to it */
    uint64_t seed;
    size_t n_models;
    struct study_model *models; /* [n_models] by name, whatever the order in the file */
    struct study_merge merge;
    struct study_route route;
    size_t n_tasks;
    struct study_task *tasks;
    double splits[3]; /* search, select, report; they sum to 1 */
    enum study_objective objective;
    size_t n_objectives;                     /* 0 but for STUDY_PARETO, which has 2 or more */
    size_t objectives[STUDY_OBJECTIVES_MAX]; /* indices into tasks, ascending */
    struct study_optimizer optimizer;
    struct study_budget budget;
    struct study_evaluator evaluator;
    bool benchmarks;  /* published ones may be searched on: `benchmarks: allow` */
    size_t finalists; /* candidates that go on to the select split, default 8 */
};

/* Read and check a study file. Errors name file, key and the nearest known key. */
int study_load(struct study *out, const char *path, struct err *err);
/* The same from a document; folder is where relative paths start. */
int study_parse(struct study *out, const json_t *doc, const char *folder, struct err *err);
void study_release(struct study *study);

/* The canonical form: every default spelled out, folder left out; a new reference.
 * study_parse(study_print(s)) equals s. */
json_t *study_print(const struct study *study);
/* SHA-256 of the printed form less the budget (a longer budget continues the same search), less
 * limits of time and leave to search on benchmarks, and less
 * folders (models and tasks have digests of their own). */
void study_identity(const struct study *study, char out[DIGEST_HEX]);

/* The path of a model, resolved against the study's folder; free() it. */
char *study_model_path(const struct study *study, size_t model);

#endif
