/* Bytes of an optimiser: what is accepted asks for points that are numbers, is saved as bytes that
 * are accepted again, and can be told. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "search/optimiser.h"

#define VALUES_MAX 1000000 /* of one generation: what is larger takes too long here */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check(struct optimiser *o)
{
    const size_t n = optimiser_n(o), asks = optimiser_asks(o), m = optimiser_objectives(o);

    if (n * asks > VALUES_MAX) {
        return;
    }
    double *points = malloc(asks * n * sizeof *points);
    double *fitness = malloc(asks * m * sizeof *fitness);
    struct optimiser *again = NULL;
    unsigned char *saved;
    size_t n_saved;

    must(points != NULL && fitness != NULL);
    optimiser_ask(o, points);
    for (size_t i = 0; i < asks * n; i++) {
        must(isfinite(points[i]));
    }
    for (size_t k = 0; k < asks * m; k++) {
        fitness[k] = points[k / m * n] + (double)(k % m);
    }
    optimiser_save(o, &saved, &n_saved);
    must(optimiser_restore(&again, saved, n_saved, NULL) == 0);
    (void)optimiser_tell(again, fitness, NULL);
    optimiser_free(again);
    free(saved);
    free(points);
    free(fitness);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct optimiser *o = NULL;
    struct err err = {0};
    int rc = optimiser_restore(&o, bytes, n, &err);

    if (rc != 0) {
        must(rc == ERR_FORMAT || rc == ERR_LIMIT || rc == ERR_MEMORY || rc == ERR_MISSING ||
             rc == ERR_CONFLICT);
        must(err.text[0] != '\0' && strchr(err.text, '\n') == NULL);
        return 0;
    }
    check(o);
    optimiser_free(o);
    return 0;
}
