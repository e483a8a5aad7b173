/*
 * forecast.h - what the candidates of a study will take: memory, and an estimate of the time.
 */
#ifndef CLI_FORECAST_H
#define CLI_FORECAST_H

#include <stdio.h>

#include "base/err.h"
#include "cli/prepare.h"

/* Print both, from the study's last baseline, whose first documents are run for it: some seconds.
 * ERR_MEMORY when no candidate fits evaluator.memory, ERR_FORMAT when the models cannot be run. */
int forecast_print(const struct prepared *prepared, FILE *to, struct err *err);

#endif
