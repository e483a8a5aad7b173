/*
 * report.h - how a study stands or ended, for a person or as JSON; all of it read from the store.
 */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "base/err.h"
#include "store/store.h"

/* The summary, and the final table with its verdict when there is one. */
int report_print(struct store *store, bool json, FILE *to, struct err *err);

#endif
