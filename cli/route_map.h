/*
 * route_map.h - the map of a search of routes: every single edit that was tried, best first.
 */
#ifndef CLI_ROUTE_MAP_H
#define CLI_ROUTE_MAP_H

#include <stdbool.h>

#include "base/err.h"
#include "store/store.h"

/* Print it as a table, or as one JSON object {"map": [{"candidate", "edit", "value"}]}, value null
 * where the candidate failed. ERR_MISSING when the search has none, or none yet. */
int route_map_show(struct store *store, bool json, struct err *err);

#endif
