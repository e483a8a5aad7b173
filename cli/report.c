/*
 * report.c - how a study stands or ended, from the store's summary.
 */
#include "cli/report.h"

#include <inttypes.h>
#include <math.h>

#include "base/doc.h"
#include "base/text.h"
#include "cli/progress.h"
#include "cli/report_front.h"
#include "cli/table.h"
#include "store/views.h"

static const char *text_of(const json_t *doc, const char *key)
{
    const char *s = json_string_value(json_object_get(doc, key));

    return s != NULL ? s : "";
}

static double number_of(const json_t *doc, const char *key)
{
    const json_t *value = json_object_get(doc, key);

    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static void add_number(struct table *table, double value, bool sign)
{
    char cell[32] = "-";

    if (!isnan(value)) {
        snprintf(cell, sizeof(cell), sign ? "%+.4f" : "%.4f", value);
    }
    table_cell(table, "%s", cell);
}

/* Winner first, then what it is held against, with the paired interval of the difference. */
static void print_rows(const json_t *rows, FILE *to)
{
    static const char *const heads[] = {"report split", ">documents", ">score", ">winner minus",
                                        "95 % interval"};
    struct table table;

    table_init(&table, heads, 5);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        double low = number_of(row, "low");

        table_row(&table);
        table_cell(&table, "%s", text_of(row, "label"));
        table_cell(&table, "%.0f", number_of(row, "n"));
        add_number(&table, number_of(row, "value"), false);
        add_number(&table, number_of(row, "difference"), true);
        if (isnan(low)) {
            table_cell(&table, "%s", "");
        } else {
            table_cell(&table, "%+.4f to %+.4f", low, number_of(row, "high"));
        }
    }
    table_print(&table, to);
    table_release(&table);
}

static void print_baselines(const json_t *rows, FILE *to)
{
    static const char *const heads[] = {"search split", ">score"};
    struct table table;

    table_init(&table, heads, 2);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);

        table_row(&table);
        table_cell(&table, "%s", text_of(row, "label"));
        add_number(&table, number_of(row, "value"), false);
    }
    table_print(&table, to);
    table_release(&table);
}

/* The parts of a search that has several. */
static void print_phases(const json_t *phases, FILE *to)
{
    static const char *const heads[] = {"phase", ">coordinates", "optimiser", ">evaluations",
                                        "ended since"};
    struct table table;

    table_init(&table, heads, 5);
    for (size_t i = 0; i < json_array_size(phases); i++) {
        const json_t *row = json_array_get(phases, i);

        table_row(&table);
        table_cell(&table, "%s", text_of(row, "name"));
        table_cell(&table, "%.0f", number_of(row, "coordinates"));
        table_cell(&table, "%s", text_of(row, "optimiser"));
        table_cell(&table, "%.0f of %.0f", number_of(row, "spent"), number_of(row, "evaluations"));
        table_cell(&table, "%s", text_of(row, "ending"));
    }
    table_print(&table, to);
    table_release(&table);
    fprintf(to, "\n");
}

/* What a sensitivity pass found. */
static void print_effects(const json_t *effects, FILE *to)
{
    static const char *const heads[] = {"matters most", ">moves the score by"};
    struct table table;

    table_init(&table, heads, 2);
    for (size_t i = 0; i < json_array_size(effects); i++) {
        const json_t *row = json_array_get(effects, i);

        table_row(&table);
        table_cell(&table, "%s", text_of(row, "name"));
        add_number(&table, number_of(row, "effect"), false);
    }
    table_print(&table, to);
    table_release(&table);
    fprintf(to, "\n");
}

static void print_people(const json_t *summary, FILE *to)
{
    const json_t *best = json_object_get(summary, "best");
    const json_t *report = json_object_get(summary, "report");
    const json_t *verdict = json_object_get(summary, "verdict");
    const json_t *cost = json_object_get(summary, "cost");
    const char *reason = text_of(summary, "reason");
    bool several = json_array_size(json_object_get(summary, "objectives")) > 0;
    char wall[32];

    fprintf(to, "%s: %s, stage %s, %.0f of %.0f evaluations, %.0f failed, %s of computing\n",
            text_of(summary, "study"), text_of(summary, "state"), text_of(summary, "stage"),
            number_of(summary, "evaluations"), number_of(summary, "evaluations_max"),
            number_of(summary, "failed"), progress_span(wall, number_of(cost, "cpu_s")));
    if (*reason != '\0') {
        fprintf(to, "  %s\n", reason);
    }
    if (json_is_object(best)) {
        fprintf(to, "  best so far: candidate %.0f, %.4f on the search split\n",
                number_of(best, "candidate"), number_of(best, "value"));
    }
    fprintf(to, "\n");
    if (json_array_size(json_object_get(summary, "phases")) > 1) {
        print_phases(json_object_get(summary, "phases"), to);
    }
    if (json_array_size(json_object_get(summary, "effects")) > 0) {
        print_effects(json_object_get(summary, "effects"), to);
    }
    if (several) {
        report_front(summary, to);
        fprintf(to, "\n");
    }
    if (json_array_size(report) > 0) {
        if (several) {
            report_standings(summary, to);
        } else {
            print_rows(report, to);
        }
        fprintf(to, "\n");
    } else {
        print_baselines(json_object_get(summary, "baselines"), to);
    }
    for (size_t i = 0; i < json_array_size(verdict); i++) {
        fprintf(to, "  %s\n", json_string_value(json_array_get(verdict, i)));
    }
    fprintf(to, "  trajectory %s\n", text_of(summary, "trajectory"));
}

int report_print(struct store *store, bool json, FILE *to, struct err *err)
{
    json_t *summary = NULL;
    int rc = store_view_summary(store, &summary, err);

    if (rc != 0) {
        return rc;
    }
    if (json) {
        struct text text = {0};

        doc_print_pretty(&text, summary);
        fprintf(to, "%s\n", text_get(&text));
        text_release(&text);
    } else {
        print_people(summary, to);
    }
    json_decref(summary);
    return 0;
}
