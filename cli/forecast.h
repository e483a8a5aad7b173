/*
 * forecast.h - what the candidates of a study will take: memory, and an estimate of the time.
 */
#ifndef CLI_FORECAST_H
#define CLI_FORECAST_H

#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "cli/prepare.h"
#include "evaluator/evaluator.h"

struct forecast {
    struct evaluator_needs needs; /* of the longest route, where there are routes */
    uint32_t hops_max;            /* of that; 0: there are none */
    uint64_t memory;              /* evaluator.memory, 0: any */
    double seconds;               /* a candidate on one core of this machine; NaN: not known, */
    struct err why;               /* since the candidate failed */
    size_t documents;             /* that this is estimated from */
};

/* From the study's last baseline, whose first documents are run for it: some seconds. ERR_MEMORY
 * when no candidate fits evaluator.memory, ERR_FORMAT when the models cannot be run. */
int forecast_make(struct forecast *out, const struct prepared *prepared, struct err *err);

void forecast_print(const struct forecast *forecast, FILE *to);

#endif
