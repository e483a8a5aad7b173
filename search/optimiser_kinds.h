/*
 * optimiser_kinds.h - what an algorithm gives the door (optimiser.c): one table each. Only the
 * files behind the door include it.
 */
#ifndef SEARCH_OPTIMISER_KINDS_H
#define SEARCH_OPTIMISER_KINDS_H

#include "search/optimiser.h"
#include "search/snapshot.h"

/* Who an optimiser is: the same from when it was made or read until its end. */
struct optimiser_card {
    char name[64]; /* the algorithm, "with" what stands around it */
    size_t n, objectives;
};

/*
 * `self` is `size` bytes, all zero when make or a reading walk comes to it. Options are checked by
 * the door as far as all have them in common: sizes, box, start inside it, sigma, grids.
 */
struct optimiser_kind {
    const char *magic; /* its bytes begin so */
    const char *what;  /* what they are called where they are damaged: "NSGA-II" */
    size_t size;
    int (*make)(void *self, const struct optimiser_options *options, struct err *err);
    /* The whole state, one way or the other; reading, it takes the memory too. A nonzero return is
     * a failure of another kind than bytes that are bad. */
    int (*walk)(void *self, struct snapshot *s, struct err *err);
    void (*release)(void *self); /* what it holds, also where make or walk failed half-way */
    void (*introduce)(const void *self, struct optimiser_card *out);
    size_t (*asks)(const void *self);
    size_t (*population)(const void *self); /* NULL: asks */
    void (*ask)(void *self, double *points);
    int (*tell)(void *self, const double *fitness, struct err *err);
    int (*inject)(void *self, const double *point, struct err *err); /* NULL: takes none */
    void (*widen)(void *self, double factor); /* NULL: there is nothing to widen */
    size_t (*front)(const void *self, const double **points, const double **values); /* or NULL */
    const char *(*stop)(const void *self, const char **words); /* NULL: it can always go on */
    void (*mean)(const void *self, double *out);               /* NULL: where the best was found */
    void (*deviations)(const void *self, double *out);         /* NULL: sigma */
    double (*sigma)(const void *self);                         /* NULL: 0, it has no width */
    double (*best)(const void *self, double *point);
};

extern const struct optimiser_kind optimiser_cmaes, optimiser_restarts, optimiser_sampling,
    optimiser_catcma, optimiser_surrogate, optimiser_lmma, optimiser_nsga2, optimiser_reevaluation,
    optimiser_discrete, optimiser_listed, optimiser_mocma;

#define MOCMA_N_MAX 100 /* a covariance a parent, kept with every generation */

/* An optimiser inside another one's state; reading, *inner is NULL before, and after bad bytes. */
int optimiser_walk(struct optimiser **inner, struct snapshot *s, struct err *err);

/* Let the search look further, where that means something: sigma times factor. */
void optimiser_widen(struct optimiser *optimiser, double factor);

#endif
