/*
 * api.c - read-only JSON for the page, straight from the store, and the page itself from inside the
 * program.
 */
#include "web/api.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "store/views.h"
#include "web/assets.h"

#define EVENTS_MAX 1000

/* ---- views ---- */

/* The common end: what the store said, or why it could not. */
static void reply(struct exchange *exchange, int rc, json_t *doc, const struct err *err)
{
    if (rc != 0) {
        exchange_fail(exchange, err);
    } else {
        exchange_reply(exchange, 200, doc);
    }
}

static void reply_view(struct exchange *exchange, struct store *store,
                       int (*view)(struct store *store, json_t **out, struct err *err))
{
    json_t *doc = NULL;
    struct err err = {0};
    int rc = view(store, &doc, &err);

    reply(exchange, rc, doc, &err);
}

static void on_summary(struct exchange *exchange, void *store)
{
    reply_view(exchange, store, store_view_summary);
}

static void on_history(struct exchange *exchange, void *store)
{
    reply_view(exchange, store, store_view_history);
}

static void on_workers(struct exchange *exchange, void *store)
{
    reply_view(exchange, store, store_view_workers);
}

static void on_study(struct exchange *exchange, void *store)
{
    reply_view(exchange, store, store_view_study);
}

static void on_report(struct exchange *exchange, void *store)
{
    reply_view(exchange, store, store_view_report);
}

/* A query parameter that must be one of known [n]; its index in *out, fallback when absent. False:
 * answered with 400. */
static bool query_word(struct exchange *exchange, const char *name, const char *const *known,
                       size_t n, size_t fallback, size_t *out)
{
    char word[16];

    *out = fallback;
    if (!request_query(exchange_request(exchange), name, word, sizeof(word))) {
        return true;
    }
    for (size_t i = 0; i < n; i++) {
        if (strcmp(word, known[i]) == 0) {
            *out = i;
            return true;
        }
    }
    exchange_refuse(exchange, 400, "%s: there is no '%s'", name, word);
    return false;
}

static void on_candidates(struct exchange *exchange, void *store)
{
    static const char *const sorts[] = {"number", "value", "generation",
                                        "wall"}; /* as enum store_sort */
    static const char *const orders[] = {"asc", "desc"};
    static const char *const stages[] = {"baseline", "search", "select", "report", NULL};
    static const char *const states[] = {"pending", "leased", "done", "failed", "held", NULL};
    struct store_filter filter = {0};
    size_t sort;
    size_t order;
    size_t stage;
    size_t state;
    int64_t offset;
    int64_t limit;
    json_t *doc = NULL;
    struct err err = {0};

    if (!query_word(exchange, "sort", sorts, 4, STORE_SORT_NUMBER, &sort) ||
        !query_word(exchange, "order", orders, 2, 0, &order) ||
        !query_word(exchange, "stage", stages, 4, 4, &stage) ||
        !query_word(exchange, "status", states, 5, 5, &state) ||
        !exchange_query_integer(exchange, "offset", 0, INT32_MAX, 0, &offset) ||
        !exchange_query_integer(exchange, "limit", 1, STORE_PAGE_MAX, 50, &limit)) {
        return;
    }
    filter.sort = (enum store_sort)sort;
    filter.descending = order == 1;
    filter.stage = stages[stage];
    filter.status = states[state];
    filter.offset = (uint64_t)offset;
    filter.limit = (uint64_t)limit;
    int rc = store_view_candidates(store, &filter, &doc, &err);
    reply(exchange, rc, doc, &err);
}

static void on_candidate(struct exchange *exchange, void *store)
{
    uint64_t candidate;
    json_t *doc = NULL;
    struct err err = {0};

    if (exchange_number(exchange, 0, &candidate)) {
        int rc = store_view_candidate(store, candidate, &doc, &err);

        reply(exchange, rc, doc, &err);
    }
}

static void on_events(struct exchange *exchange, void *store)
{
    int64_t after;
    int64_t limit;
    json_t *doc = NULL;
    struct err err = {0};

    if (!exchange_query_integer(exchange, "after", 0, INT64_MAX, 0, &after) ||
        !exchange_query_integer(exchange, "limit", 1, EVENTS_MAX, 100, &limit)) {
        return;
    }
    int rc = store_view_events(store, (uint64_t)after, (uint64_t)limit, &doc, &err);
    reply(exchange, rc, doc, &err);
}

/* ---- the page ---- */

static bool accepts_gzip(const struct request *request)
{
    const char *encodings = request_header(request, "accept-encoding");

    return encodings != NULL &&
           (strstr(encodings, "gzip") != NULL || strchr(encodings, '*') != NULL);
}

static void on_asset(struct exchange *exchange, void *context)
{
    const struct request *request = exchange_request(exchange);
    size_t n;
    const struct asset *asset = asset_list(&n);
    const struct asset *end = asset + n;
    char headers[200];

    (void)context;
    while (asset < end && strcmp(asset->path, request->path) != 0) {
        asset++;
    }
    assert(asset < end); /* each route below is an asset */
    const char *known = request_header(request, "if-none-match");
    if (known != NULL && strstr(known, asset->etag) != NULL) {
        exchange_reply_empty(exchange, 304);
        return;
    }
    if (!accepts_gzip(request)) {
        exchange_refuse(exchange, 406,
                        "the page is kept compressed; ask for it with Accept-Encoding: gzip");
        return;
    }
    snprintf(headers, sizeof(headers),
             "Content-Encoding: gzip\r\nVary: Accept-Encoding\r\nCache-Control: no-cache\r\nETag: "
             "%s\r\n",
             asset->etag);
    exchange_reply_bytes(exchange, 200, asset->type, asset->bytes,
                         (size_t)(asset->end - asset->bytes), headers);
}

static const struct server_route routes[] = {
    {REQUEST_GET, "/", ACCESS_ANYONE, 0, on_asset},
    {REQUEST_GET, "/page.js", ACCESS_ANYONE, 0, on_asset},
    {REQUEST_GET, "/page.css", ACCESS_ANYONE, 0, on_asset},
    {REQUEST_GET, "/api/summary", ACCESS_VIEWER, 0, on_summary},
    {REQUEST_GET, "/api/history", ACCESS_VIEWER, 0, on_history},
    {REQUEST_GET, "/api/candidates", ACCESS_VIEWER, 0, on_candidates},
    {REQUEST_GET, "/api/candidate/{number}", ACCESS_VIEWER, 0, on_candidate},
    {REQUEST_GET, "/api/workers", ACCESS_VIEWER, 0, on_workers},
    {REQUEST_GET, "/api/events", ACCESS_VIEWER, 0, on_events},
    {REQUEST_GET, "/api/study", ACCESS_VIEWER, 0, on_study},
    {REQUEST_GET, "/api/report", ACCESS_VIEWER, 0, on_report},
};

void api_open(struct server *server, struct store *store)
{
    server_route(server, routes, sizeof(routes) / sizeof(routes[0]), store);
}
