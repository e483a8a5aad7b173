/*
 * api.h - read-only JSON for the page, straight from the store.
 *
 *   GET /api/summary                 how the study stands (store_view_summary)
 *   GET /api/history                 generation by generation: best, mean, sigma; baselines
 *   GET /api/candidates?stage=&sort=&order=&status=&offset=&limit=
 *   GET /api/candidate/{number}      one candidate with recipe and scores
 *   GET /api/workers                 who works, how healthy
 *   GET /api/events?after=&limit=    the log
 *   GET /api/study                   the study file's canonical form
 *   GET /api/report                  the final table
 *
 * Everything comes from the database, nothing from the coordinator's memory: a finished study, or a
 * copy of its file, opens the same way as a running one.
 */
#ifndef WEB_API_H
#define WEB_API_H

#include "store/store.h"
#include "web/server.h"

/* Add the routes, and those of the embedded page, to the server. The store (a reader will do) is
 * kept until server_close. */
void api_open(struct server *server, struct store *store);

#endif
