/*
 * report_front.h - the parts of a report that several objectives have: a column each. All of it
 * from the store's summary.
 */
#ifndef CLI_REPORT_FRONT_H
#define CLI_REPORT_FRONT_H

#include <jansson.h>
#include <stdio.h>

/* The front so far, on the search split, and its hypervolume over the worst parents. */
void report_front(const json_t *summary, FILE *to);
/* The final table: each row in each objective, with its interval against the best parent in it. */
void report_standings(const json_t *summary, FILE *to);

#endif
