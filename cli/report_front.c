#include "cli/report_front.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "cli/table.h"
#include "search/pareto.h"

#define ROWS_SHOWN 20

static double number_of(const json_t *doc, const char *key)
{
    const json_t *value = json_object_get(doc, key);

    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static void add_number(struct table *table, double value)
{
    if (isnan(value)) {
        table_cell(table, "%s", "-");
    } else {
        table_cell(table, "%.4f", value);
    }
}

/* ---- the front ---- */

static const char *objective(const json_t *summary, size_t k)
{
    return json_string_value(json_array_get(json_object_get(summary, "objectives"), k));
}

static bool is_better_higher(const json_t *summary, const char *name)
{
    size_t i;
    const json_t *task;

    json_array_foreach(json_object_get(summary, "tasks"), i, task)
    {
        if (strcmp(json_string_value(json_object_get(task, "name")), name) == 0) {
            return json_is_true(json_object_get(task, "higher_is_better"));
        }
    }
    return true;
}

/* A row in objective k, lower is better; NaN: it has none. */
static double cost(const json_t *summary, const json_t *row, size_t k)
{
    const char *name = objective(summary, k);
    double value = number_of(json_object_get(row, "tasks"), name);

    return is_better_higher(summary, name) ? -value : value;
}

/* The worst parent in each of m objectives; false when a parent is not measured yet. */
static bool find_reference(const json_t *summary, size_t m, double *reference)
{
    size_t i, parents = 0;
    const json_t *row;

    for (size_t k = 0; k < m; k++) {
        reference[k] = -HUGE_VAL;
    }
    json_array_foreach(json_object_get(summary, "baselines"), i, row)
    {
        if (!json_is_true(json_object_get(row, "parent"))) {
            continue;
        }
        parents++;
        for (size_t k = 0; k < m; k++) {
            double value = cost(summary, row, k);

            if (isnan(value)) {
                return false;
            }
            reference[k] = fmax(reference[k], value);
        }
    }
    return parents > 0;
}

static void print_volume(const json_t *summary, size_t m, FILE *to)
{
    const json_t *front = json_object_get(summary, "front");
    size_t n = json_array_size(front);
    double *rows = mem_array(n * m, sizeof(*rows)), *reference = mem_array(m, sizeof(*reference));

    if (find_reference(summary, m, reference)) {
        for (size_t i = 0; i < n * m; i++) {
            rows[i] = cost(summary, json_array_get(front, i / m), i % m);
        }
        fprintf(to, "  hypervolume %.6g, from the worst parent in each objective (",
                pareto_hypervolume(rows, n, m, reference));
        for (size_t k = 0; k < m; k++) {
            const char *name = objective(summary, k);

            fprintf(to, "%s%s %.4f", k > 0 ? ", " : "", name,
                    is_better_higher(summary, name) ? -reference[k] : reference[k]);
        }
        fprintf(to, ")\n");
    }
    free(rows);
    free(reference);
}

void report_front(const json_t *summary, FILE *to)
{
    const json_t *front = json_object_get(summary, "front");
    size_t n = json_array_size(front), m = json_array_size(json_object_get(summary, "objectives"));
    size_t shown = n < ROWS_SHOWN ? n : ROWS_SHOWN;
    const char *heads[TABLE_COLUMNS_MAX] = {"front, search split", ">generation", ">all tasks"};
    char *columns[TABLE_COLUMNS_MAX];
    struct table table;

    if (n == 0) {
        return;
    }
    for (size_t k = 0; k < m; k++) {
        heads[3 + k] = columns[k] = mem_printf(">%s", objective(summary, k));
    }
    table_init(&table, heads, 3 + m);
    for (size_t i = 0; i < shown; i++) {
        const json_t *row = json_array_get(front, i * (n - 1) / (shown > 1 ? shown - 1 : 1));

        table_row(&table);
        table_cell(&table, "candidate %.0f", number_of(row, "candidate"));
        table_cell(&table, "%.0f", number_of(row, "generation"));
        add_number(&table, number_of(row, "value"));
        for (size_t k = 0; k < m; k++) {
            add_number(&table, number_of(json_object_get(row, "tasks"), objective(summary, k)));
        }
    }
    table_print(&table, to);
    table_release(&table);
    if (shown < n) {
        fprintf(to, "  %zu of the %zu on the front; --json has all\n", shown, n);
    }
    print_volume(summary, m, to);
    for (size_t k = 0; k < m; k++) {
        free(columns[k]);
    }
}

/* ---- the final table ---- */

static void add_standing(struct table *table, const json_t *standing)
{
    double low = number_of(standing, "low"), high = number_of(standing, "high");

    add_number(table, number_of(standing, "value"));
    if (isnan(low) || (low == 0.0 && high == 0.0)) { /* the best parent itself */
        table_cell(table, "%s", "");
    } else {
        table_cell(table, "%+.4f to %+.4f", low, high);
    }
}

void report_standings(const json_t *summary, FILE *to)
{
    const json_t *rows = json_object_get(summary, "report");
    size_t m = json_array_size(json_object_get(summary, "objectives"));
    const char *heads[TABLE_COLUMNS_MAX] = {"report split", ">documents", ">all tasks"};
    char *columns[TABLE_COLUMNS_MAX];
    struct table table;

    for (size_t k = 0; k < m; k++) {
        heads[3 + 2 * k] = columns[k] = mem_printf(">%s", objective(summary, k));
        heads[4 + 2 * k] = "less its best parent";
    }
    table_init(&table, heads, 3 + 2 * m);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        const json_t *standings = json_object_get(row, "objectives");

        table_row(&table);
        table_cell(&table, "%s", json_string_value(json_object_get(row, "label")));
        table_cell(&table, "%.0f", number_of(row, "n"));
        add_number(&table, number_of(row, "value"));
        for (size_t k = 0; k < m; k++) {
            add_standing(&table, json_array_get(standings, k));
        }
    }
    table_print(&table, to);
    table_release(&table);
    for (size_t k = 0; k < m; k++) {
        free(columns[k]);
    }
}
