/*
 * optimiser_kinds.h - what an algorithm gives the door (optimiser.c): one table each. Only the
 * files behind the door include it.
 */
#ifndef SEARCH_OPTIMISER_KINDS_H
#define SEARCH_OPTIMISER_KINDS_H

#include "search/optimiser.h"

/* `self` is what make or restore gave. Options are checked by the door as far as all have them in
 * common: sizes, box, start inside it, sigma, grids. */
struct optimiser_kind {
    const char *magic; /* its bytes begin so */
    int (*make)(void **self, const struct optimiser_options *options, struct err *err);
    int (*restore)(void **self, const unsigned char *bytes, size_t n, struct err *err);
    void (*save)(const void *self, unsigned char **bytes, size_t *n);
    void (*free)(void *self);
    const char *(*name)(const void *self);
    size_t (*n)(const void *self);
    size_t (*objectives)(const void *self); /* NULL: 1 */
    size_t (*asks)(const void *self);
    size_t (*population)(const void *self); /* NULL: asks */
    void (*ask)(void *self, double *points);
    int (*tell)(void *self, const double *fitness, struct err *err);
    int (*inject)(void *self, const double *point, struct err *err); /* NULL: takes none */
    void (*widen)(void *self, double factor); /* NULL: there is nothing to widen */
    size_t (*front)(const void *self, const double **points, const double **values); /* or NULL */
    const char *(*stop)(const void *self, const char **words);
    void (*mean)(const void *self, double *out);
    void (*deviations)(const void *self, double *out); /* NULL: sigma */
    double (*sigma)(const void *self);                 /* NULL: 0, it has no width */
    double (*best)(const void *self, double *point);
};

extern const struct optimiser_kind optimiser_cmaes, optimiser_restarts, optimiser_sampling,
    optimiser_catcma, optimiser_surrogate, optimiser_lmma, optimiser_nsga2, optimiser_reevaluation,
    optimiser_discrete, optimiser_listed, optimiser_mocma;

#define MOCMA_N_MAX 100 /* a covariance a parent, kept with every generation */

/* Let the search look further, where that means something: sigma times factor. */
void optimiser_widen(struct optimiser *optimiser, double factor);

#endif
