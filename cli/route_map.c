#include "cli/route_map.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/doc.h"
#include "cli/table.h"
#include "search/phases.h"

/* The phase that is a map. */
static int find_map(struct store *store, uint64_t *out, struct err *err)
{
    struct store_phase phase = {0};
    int rc = 0;

    for (uint64_t p = 0; (rc = store_phase(store, p, &phase, err)) == 0; p++) {
        bool found = strcmp(phase.name, PHASE_MAP_NAME) == 0;

        store_phase_release(&phase);
        if (found) {
            *out = p;
            return 0;
        }
    }
    return rc == ERR_MISSING ? err_set(err, ERR_MISSING,
                                       "database: there is no map of edits, or none yet; a study "
                                       "with route: {mode: edits} makes one")
                             : rc;
}

/* Best first, failed ones last; of equals the older. */
static int by_value(const void *left, const void *right)
{
    const struct store_candidate *a = left, *b = right;

    if (isnan(a->value) != isnan(b->value)) {
        return isnan(a->value) ? 1 : -1;
    }
    if (!isnan(a->value) && a->value != b->value) {
        return a->value > b->value ? -1 : 1;
    }
    return (a->candidate > b->candidate) - (a->candidate < b->candidate);
}

static void print_table(const struct store_candidate *rows, size_t n)
{
    static const char *const heads[] = {">value", "edit", ">candidate"};
    struct table table;

    table_init(&table, heads, 3);
    for (size_t i = 0; i < n; i++) {
        table_row(&table);
        if (isnan(rows[i].value)) {
            table_cell(&table, "failed");
        } else {
            table_cell(&table, "%.6g", rows[i].value);
        }
        table_cell(&table, "%s", rows[i].label);
        table_cell(&table, "%" PRIu64, rows[i].candidate);
    }
    table_print(&table, stdout);
    table_release(&table);
}

static void print_json(const struct store_candidate *rows, size_t n)
{
    json_t *list = json_array();
    struct text text = {0};

    for (size_t i = 0; i < n; i++) {
        json_t *value = isnan(rows[i].value) ? json_null() : json_real(rows[i].value);

        json_array_append_new(list, json_pack("{s:I, s:s, s:o}", "candidate",
                                              (json_int_t)rows[i].candidate, "edit", rows[i].label,
                                              "value", value));
    }
    json_t *doc = json_pack("{s:o}", "map", list);

    doc_print_pretty(&text, doc);
    printf("%s\n", text_get(&text));
    json_decref(doc);
    text_release(&text);
}

int route_map_show(struct store *store, bool json, struct err *err)
{
    struct store_candidate *rows = NULL;
    uint64_t map = 0;
    size_t n = 0, first = 0;
    int rc = find_map(store, &map, err);

    if (rc == 0) {
        rc = store_candidates_before(store, map + 1, &rows, &n, err);
    }
    if (rc != 0) {
        return rc;
    }
    while (first < n && rows[first].phase < map) { /* they come in the order they were told */
        first++;
    }
    qsort(rows + first, n - first, sizeof(*rows), by_value);
    if (json) {
        print_json(rows + first, n - first);
    } else {
        print_table(rows + first, n - first);
    }
    store_candidates_free(rows, n);
    return 0;
}
