/*
 * method.c - the table of merge methods.
 *
 * Defaults are those of mergekit 0.1.4 unless a comment says otherwise. Where it has none (a
 * weight) ours is a choice: a search starts there, and "the method at its defaults" is a baseline.
 * Since a recipe spells out every value, a changed default changes no recipe that exists.
 */
#include "study/method.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/text.h"

#define NO_LIMIT ((double)INFINITY)

/* A parameter's fields in order: name, scope, kind, default, lower, upper, about, silent. Those
 * that many methods share have a name here. */
#define LAMBDA                                                       \
    {                                                                \
        "lambda", METHOD_WHOLE, METHOD_REAL, 1, -NO_LIMIT, NO_LIMIT, \
            "factor of the merged task vector"                       \
    }
#define MATCH_STD                                                                   \
    {                                                                               \
        "match_std", METHOD_WHOLE, METHOD_BOOL, 0, 0, 1,                            \
            "scale the merged task vector to the mean spread of the sources'", true \
    }
#define SUM_NORMALIZED(by_default)                                \
    {                                                             \
        "normalize", METHOD_WHOLE, METHOD_BOOL, by_default, 0, 1, \
            "divide by the sum of the weights"                    \
    }
#define ELECTION_NORMALIZED(by_default)                           \
    {                                                             \
        "normalize", METHOD_WHOLE, METHOD_BOOL, by_default, 0, 1, \
            "divide by the weights of those that agree"           \
    }
#define RESCALE(by_default)                                     \
    {                                                           \
        "rescale", METHOD_WHOLE, METHOD_BOOL, by_default, 0, 1, \
            "scale what survives to the L1 norm of all"         \
    }
#define ADDED_WEIGHT                                                    \
    {                                                                   \
        "weight", METHOD_SOURCE, METHOD_REAL, 0.5, -NO_LIMIT, NO_LIMIT, \
            "how much of the source's task vector is added"             \
    }
#define ELECTION_WEIGHT                                                      \
    {                                                                        \
        "weight", METHOD_SOURCE, METHOD_REAL, 1, -NO_LIMIT, NO_LIMIT,        \
            "say of the source in the election and its share of the average" \
    }

static const struct method methods[] = {
    {
        .name = "linear",
        .about = "weighted mean of the sources",
        .paper = "Wortsman et al. 2022 (arXiv:2203.05482)",
        .sources_min = 1,
        .sources_max = METHOD_SOURCES_MAX,
        .n_parameters = 2,
        .parameters =
            {
                {"weight", METHOD_SOURCE, METHOD_REAL, 1, -NO_LIMIT, NO_LIMIT,
                 "share of the source"},
                SUM_NORMALIZED(1),
            },
    },
    {
        .name = "slerp",
        .about = "from the base to one source along the arc between their directions",
        .paper = "Shoemake 1985 (doi:10.1145/325165.325242)",
        .needs_base = true,
        .sources_min = 1,
        .sources_max = 1,
        .n_parameters = 1,
        .parameters =
            {
                {"t", METHOD_WHOLE, METHOD_REAL, 0.5, -NO_LIMIT, NO_LIMIT,
                 "place on the arc: 0 is the base, 1 the source"},
            },
    },
    {
        .name = "nuslerp",
        .about = "between two sources, or their task vectors, along the arc of their directions",
        .paper = "Shoemake 1985 (doi:10.1145/325165.325242), on vectors and weights as in mergekit",
        .takes_base = true,
        .sources_min = 2,
        .sources_max = 2,
        .n_parameters = 3,
        .parameters =
            {
                {"weight", METHOD_SOURCE, METHOD_REAL, 1, -NO_LIMIT, NO_LIMIT,
                 "pull of the source; the place on the arc is its share of both"},
                {"nuslerp_flatten", METHOD_WHOLE, METHOD_BOOL, 1, 0, 1,
                 "the whole tensor is one vector; else each row or column"},
                {"nuslerp_row_wise", METHOD_WHOLE, METHOD_BOOL, 0, 0, 1,
                 "unless flattened: vectors along the first dimension, else along the last"},
            },
    },
    {
        .name = "multislerp",
        .about = "the mean direction of the sources, or of their task vectors, at the mean length",
        .paper =
            "barycentric mean on the sphere: Buss and Fillmore 2001 (doi:10.1145/502122.502124)",
        .takes_base = true,
        .sources_min = 1,
        .sources_max = METHOD_SOURCES_MAX,
        .n_parameters = 3,
        .parameters =
            {
                {"weight", METHOD_SOURCE, METHOD_REAL, 1, -NO_LIMIT, NO_LIMIT,
                 "share of the source's direction and length"},
                {"normalize_weights", METHOD_WHOLE, METHOD_BOOL, 1, 0, 1,
                 "divide the weights by their sum"},
                {"eps", METHOD_WHOLE, METHOD_REAL, 1e-8, 0, NO_LIMIT,
                 "a shorter mean counts as none"},
            },
    },
    {
        .name = "karcher",
        .about = "the Karcher mean of the sources' directions at their mean length",
        .paper = "Grove and Karcher 1973 (doi:10.1007/BF01425237)",
        .sources_min = 1,
        .sources_max = METHOD_SOURCES_MAX,
        .n_parameters = 3,
        .parameters =
            {
                /* mergekit has none: equal ones are its mean. */
                {"weight", METHOD_SOURCE, METHOD_REAL, 1, 0, NO_LIMIT,
                 "share of the source's direction and length"},
                {"max_iter", METHOD_WHOLE, METHOD_INTEGER, 10, 0, 1000,
                 "steps towards the mean at most"},
                {"tol", METHOD_WHOLE, METHOD_REAL, 1e-5, 0, NO_LIMIT,
                 "a step this short is the last; shorter sources have no direction"},
            },
    },
    {
        .name = "task_arithmetic",
        .about = "the base plus a weighted sum of task vectors (source minus base)",
        .paper = "Ilharco et al. 2023 (arXiv:2212.04089)",
        .needs_base = true,
        .sources_min = 1,
        .sources_max = METHOD_SOURCES_MAX,
        .n_parameters = 4,
        .parameters =
            {
                /* Half of each task vector: with two sources that is their uniform average. */
                ADDED_WEIGHT,
                SUM_NORMALIZED(0),
                LAMBDA,
                MATCH_STD,
            },
    },
    {
        .name = "ties",
        .about = "trim task vectors to their largest entries, elect a sign, average what agrees",
        .paper = "Yadav et al. 2023 (arXiv:2306.01708)",
        .needs_base = true,
        .sources_min = 1,
        .sources_max = METHOD_SOURCES_MAX,
        .n_parameters = 6,
        .parameters =
            {
                ELECTION_WEIGHT,
                /* mergekit keeps everything (1.0), which leaves nothing of the trim; the paper's
                   own figures keep 0.2. A search starts between the two. */
                {"density", METHOD_SOURCE, METHOD_REAL, 0.5, 0, 1,
                 "share of the task vector's entries that survives the trim"},
                ELECTION_NORMALIZED(1),
                LAMBDA,
                {"rescale", METHOD_WHOLE, METHOD_BOOL, 0, 0, 1,
                 "scale what survives to the L1 norm of all", true},
                MATCH_STD,
            },
    },
    {
        .name = "ties_global",
        .about = "ties with one threshold a source over the whole model, as published",
        .paper = "Yadav et al. 2023 (arXiv:2306.01708)",
        .ours = true,
        .needs_base = true,
        .sources_min = 1,
        .sources_max = METHOD_SOURCES_MAX,
        .n_parameters = 6,
        .parameters =
            {
                ELECTION_WEIGHT,
                {"density", METHOD_SOURCE, METHOD_REAL, 0.5, 0, 1,
                 "share of the whole task vector's entries that survives the trim"},
                ELECTION_NORMALIZED(1),
                RESCALE(0),
                LAMBDA,
                MATCH_STD,
            },
    },
    {
        .name = "dare_linear",
        .about = "drop entries of task vectors at random, scale up the rest, add",
        .paper = "Yu et al. 2023 (arXiv:2311.03099)",
        .needs_base = true,
        .sources_min = 1,
        .sources_max = METHOD_SOURCES_MAX,
        .n_parameters = 6,
        .parameters =
            {
                ADDED_WEIGHT,
                /* Ours: everything survives at mergekit's 1.0, which leaves nothing of the pruning.
                 */
                {"density", METHOD_SOURCE, METHOD_REAL, 0.5, 0, 1,
                 "probability that an entry of the task vector survives"},
                SUM_NORMALIZED(0),
                RESCALE(1),
                LAMBDA,
                MATCH_STD,
            },
    },
    {
        .name = "dare_ties",
        .about = "drop entries of task vectors at random, scale up the rest, elect a sign",
        .paper = "Yu et al. 2023 (arXiv:2311.03099)",
        .needs_base = true,
        .sources_min = 1,
        .sources_max = METHOD_SOURCES_MAX,
        .n_parameters = 6,
        .parameters =
            {
                {"weight", METHOD_SOURCE, METHOD_REAL, 0.5, -NO_LIMIT, NO_LIMIT,
                 "say of the source in the election, factor of its task vector"},
                /* Ours: everything survives at mergekit's 1.0, which leaves nothing of the pruning.
                 */
                {"density", METHOD_SOURCE, METHOD_REAL, 0.5, 0, 1,
                 "probability that an entry of the task vector survives"},
                ELECTION_NORMALIZED(0),
                RESCALE(1),
                LAMBDA,
                MATCH_STD,
            },
    },
    {
        .name = "breadcrumbs",
        .about = "drop the smallest and the very largest entries of task vectors, add",
        .paper = "Davari and Belilovsky 2023 (arXiv:2312.06795)",
        .needs_base = true,
        .sources_min = 1,
        .sources_max = METHOD_SOURCES_MAX,
        .n_parameters = 7,
        .parameters =
            {
                ADDED_WEIGHT,
                /* Ours: everything survives at mergekit's 1.0, which leaves nothing of the pruning.
                 */
                {"density", METHOD_SOURCE, METHOD_REAL, 0.9, 0, 1,
                 "share of the task vector's entries that survives"},
                {"gamma", METHOD_SOURCE, METHOD_REAL, 0.01, 0, 1,
                 "share of the entries that is dropped as the very largest"},
                SUM_NORMALIZED(0),
                RESCALE(0),
                LAMBDA,
                MATCH_STD,
            },
    },
    {
        .name = "breadcrumbs_ties",
        .about = "drop the smallest and the very largest entries of task vectors, elect a sign",
        .paper = "Davari and Belilovsky 2023 (arXiv:2312.06795)",
        .needs_base = true,
        .sources_min = 1,
        .sources_max = METHOD_SOURCES_MAX,
        .n_parameters = 7,
        .parameters =
            {
                {"weight", METHOD_SOURCE, METHOD_REAL, 0.5, -NO_LIMIT, NO_LIMIT,
                 "say of the source in the election, factor of its task vector"},
                /* Ours: everything survives at mergekit's 1.0, which leaves nothing of the pruning.
                 */
                {"density", METHOD_SOURCE, METHOD_REAL, 0.9, 0, 1,
                 "share of the task vector's entries that survives"},
                {"gamma", METHOD_SOURCE, METHOD_REAL, 0.01, 0, 1,
                 "share of the entries that is dropped as the very largest"},
                ELECTION_NORMALIZED(0),
                RESCALE(0),
                LAMBDA,
                MATCH_STD,
            },
    },
    {
        .name = "della",
        .about = "drop entries at random, small ones likelier, scale up the rest, elect a sign",
        .paper = "Deep et al. 2024 (arXiv:2406.11617)",
        .needs_base = true,
        .sources_min = 1,
        .sources_max = METHOD_SOURCES_MAX,
        .n_parameters = 7,
        .parameters =
            {
                ELECTION_WEIGHT,
                /* Ours: everything survives at mergekit's 1.0, which leaves nothing of the pruning.
                 */
                {"density", METHOD_SOURCE, METHOD_REAL, 0.5, 0, 1,
                 "mean probability that an entry of the task vector survives"},
                {"epsilon", METHOD_SOURCE, METHOD_REAL, 0.15, 0, 0.5,
                 "how far the probability of a row's smallest and largest entry is from the "
                 "density"},
                ELECTION_NORMALIZED(1),
                RESCALE(1),
                LAMBDA,
                MATCH_STD,
            },
    },
    {
        .name = "della_linear",
        .about = "drop entries at random, small ones likelier, scale up the rest, add",
        .paper = "Deep et al. 2024 (arXiv:2406.11617)",
        .needs_base = true,
        .sources_min = 1,
        .sources_max = METHOD_SOURCES_MAX,
        .n_parameters = 7,
        .parameters =
            {
                ADDED_WEIGHT,
                /* Ours: everything survives at mergekit's 1.0, which leaves nothing of the pruning.
                 */
                {"density", METHOD_SOURCE, METHOD_REAL, 0.5, 0, 1,
                 "mean probability that an entry of the task vector survives"},
                {"epsilon", METHOD_SOURCE, METHOD_REAL, 0.15, 0, 0.5,
                 "how far the probability of a row's smallest and largest entry is from the "
                 "density"},
                SUM_NORMALIZED(0),
                RESCALE(1),
                LAMBDA,
                MATCH_STD,
            },
    },
    {
        .name = "compeft",
        .about = "task vectors cut to the signs of their largest entries and one size, added",
        .paper = "Yadav et al. 2023 (arXiv:2311.13171)",
        .ours = true,
        .needs_base = true,
        .sources_min = 1,
        .sources_max = METHOD_SOURCES_MAX,
        .n_parameters = 5,
        .parameters =
            {
                {"weight", METHOD_SOURCE, METHOD_REAL, 0.5, -NO_LIMIT, NO_LIMIT,
                 "how much of the source's ternary task vector is added"},
                {"density", METHOD_SOURCE, METHOD_REAL, 0.2, 0, 1,
                 "share of the task vector's entries whose signs are left"},
                {"alpha", METHOD_SOURCE, METHOD_REAL, 1, 0, NO_LIMIT,
                 "size of every change that is left, in standard deviations of the task vector"},
                LAMBDA,
                MATCH_STD,
            },
    },
    {
        .name = "compeft_ties",
        .about = "task vectors cut to signs and one size, elect a sign, average what agrees",
        .paper = "Yadav et al. 2023 (arXiv:2311.13171)",
        .ours = true,
        .needs_base = true,
        .sources_min = 1,
        .sources_max = METHOD_SOURCES_MAX,
        .n_parameters = 6,
        .parameters =
            {
                ELECTION_WEIGHT,
                {"density", METHOD_SOURCE, METHOD_REAL, 0.2, 0, 1,
                 "share of the task vector's entries whose signs are left"},
                {"alpha", METHOD_SOURCE, METHOD_REAL, 1, 0, NO_LIMIT,
                 "size of every change that is left, in standard deviations of the task vector"},
                ELECTION_NORMALIZED(1),
                LAMBDA,
                MATCH_STD,
            },
    },
    {
        .name = "pcb",
        .about = "task vectors weighed element by element by how they compete and agree",
        .paper = "Du et al. 2024 (arXiv:2410.02396)",
        .ours = true,
        .needs_base = true,
        .sources_min = 1,
        .sources_max = METHOD_SOURCES_MAX,
        .n_parameters = 4,
        .parameters =
            {
                {"weight", METHOD_SOURCE, METHOD_REAL, 1, -NO_LIMIT, NO_LIMIT,
                 "factor of the source's task vector"},
                {"density", METHOD_SOURCE, METHOD_REAL, 0.2, 0, 1,
                 "share of the task vector's entries that compete, by their balance"},
                LAMBDA,
                MATCH_STD,
            },
    },
    {
        .name = "model_stock",
        .about = "from the mean of the sources back to the base, as far as their angles say",
        .paper = "Jang et al. 2024 (arXiv:2403.19522)",
        .needs_base = true,
        .sources_min = 2,
        .sources_max = METHOD_SOURCES_MAX,
        .n_parameters = 1,
        .parameters =
            {
                {"filter_wise", METHOD_WHOLE, METHOD_BOOL, 0, 0, 1,
                 "each row by its own angles, else the whole tensor"},
            },
    },
    {
        .name = "sce",
        .about = "keep what varies most between task vectors, weigh them by their squares, elect",
        .paper = "Wan et al. 2024 (arXiv:2408.07990)",
        .needs_base = true,
        .sources_min = 1,
        .sources_max = METHOD_SOURCES_MAX,
        .n_parameters = 1,
        .parameters =
            {
                {"select_topk", METHOD_WHOLE, METHOD_REAL, 1, 0, 1,
                 "share of the elements that vary which is kept; 1 keeps all"},
            },
    },
    {
        .name = "nearswap",
        .about = "move the base towards the source where they are nearly equal already",
        .paper = "no paper: published with the Alchemonaut/QuartetAnemoi models",
        .needs_base = true,
        .sources_min = 1,
        .sources_max = 1,
        .n_parameters = 1,
        .parameters =
            {
                {"t", METHOD_WHOLE, METHOD_REAL, 0.001, -NO_LIMIT, NO_LIMIT,
                 "differences up to this size are taken whole, larger ones by t"},
            },
    },
    {
        .name = "arcee_fusion",
        .about = "take from the source only what stands out: large changes in rows that matter",
        .paper = "no paper: published with mergekit 0.1",
        .needs_base = true,
        .sources_min = 1,
        .sources_max = 1,
        .n_parameters = 1,
        .parameters =
            {
                /* mergekit has this number, but no name for it. */
                {"spread", METHOD_WHOLE, METHOD_REAL, 1.5, -NO_LIMIT, NO_LIMIT,
                 "scores from the median plus so many quartile distances on are taken"},
            },
    },
    {
        .name = "ram",
        .about = "what one source alone changed is taken from it, what several changed is averaged",
        .paper = "Behavior Knowledge Merge 2026 (arXiv:2601.13572)",
        .needs_base = true,
        .sources_min = 1,
        .sources_max = METHOD_SOURCES_MAX,
        .n_parameters = 1,
        .parameters =
            {
                {"epsilon", METHOD_WHOLE, METHOD_REAL, 1e-5, 0, NO_LIMIT,
                 "changes up to this size do not count"},
            },
    },
    {
        .name = "ramplus_tl",
        .about = "ram, with a source's own changes amplified by how much it shares",
        .paper = "Behavior Knowledge Merge 2026 (arXiv:2601.13572)",
        .needs_base = true,
        .sources_min = 1,
        .sources_max = METHOD_SOURCES_MAX,
        .n_parameters = 3,
        .parameters =
            {
                {"epsilon", METHOD_WHOLE, METHOD_REAL, 1e-5, 0, NO_LIMIT,
                 "changes up to this size do not count"},
                {"r", METHOD_WHOLE, METHOD_REAL, 0.1, -NO_LIMIT, NO_LIMIT,
                 "amplification by the ratio of shared to own changes"},
                {"alpha", METHOD_WHOLE, METHOD_REAL, 0.2, 0, NO_LIMIT, "the ratio at most"},
            },
    },
    {
        .name = "layer_swap",
        .about = "bottom and top layers of the first source around the middle ones of the second",
        .paper = "Bandarkar et al. 2024 (arXiv:2410.01335)",
        .ours = true,
        .sources_min = 2,
        .sources_max = 2,
        .n_parameters = 2,
        .parameters =
            {
                {"bottom", METHOD_WHOLE, METHOD_REAL, 0.25, 0, 1,
                 "share of the layers, from the first on, that are the first source's"},
                {"top", METHOD_WHOLE, METHOD_REAL, 0.25, 0, 1,
                 "share of the layers, up to the last, that are the first source's"},
            },
    },
    {
        .name = "passthrough",
        .about = "one source as it is, or scaled",
        .paper = "no paper: a copy",
        .sources_min = 1,
        .sources_max = 1,
        .n_parameters = 1,
        .parameters =
            {
                {"scale", METHOD_SOURCE, METHOD_REAL, 1, -NO_LIMIT, NO_LIMIT,
                 "factor of every weight"},
            },
    },
};

#define N_METHODS (sizeof(methods) / sizeof(methods[0]))

const struct method *method_list(size_t *n)
{
    *n = N_METHODS;
    return methods;
}

int method_find(const struct method **out, const char *name, struct err *err)
{
    const char *names[N_METHODS];

    for (size_t i = 0; i < N_METHODS; i++) {
        if (strcmp(methods[i].name, name) == 0) {
            *out = &methods[i];
            return 0;
        }
        names[i] = methods[i].name;
    }
    const char *near = text_nearest(name, names, N_METHODS);

    if (near != NULL) {
        return err_set(err, ERR_MISSING, "no merge method '%s'; did you mean %s?", name, near);
    }
    return err_set(err, ERR_MISSING, "no merge method '%s'; braid methods lists them", name);
}

const struct method_parameter *method_parameter_find(const struct method *method, const char *name)
{
    for (size_t i = 0; i < method->n_parameters; i++) {
        if (strcmp(method->parameters[i].name, name) == 0) {
            return &method->parameters[i];
        }
    }
    return NULL;
}

size_t method_count(const struct method *method, enum method_scope scope)
{
    size_t n = 0;

    for (size_t i = 0; i < method->n_parameters; i++) {
        n += method->parameters[i].scope == scope;
    }
    return n;
}

const struct method_parameter *method_at(const struct method *method, enum method_scope scope,
                                         size_t k)
{
    size_t i = 0;

    assert(k < method_count(method, scope));
    while (method->parameters[i].scope != scope || k-- > 0) {
        i++;
    }
    return &method->parameters[i];
}

size_t method_index(const struct method *method, enum method_scope scope, const char *name)
{
    size_t n = method_count(method, scope);

    for (size_t k = 0; k < n; k++) {
        if (strcmp(method_at(method, scope, k)->name, name) == 0) {
            return k;
        }
    }
    return SIZE_MAX;
}
