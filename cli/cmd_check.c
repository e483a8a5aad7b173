/*
 * cmd_check.c - braid check STUDY: everything that can be known before a search.
 */
#include <inttypes.h>
#include <stdio.h>

#include "cli/command.h"
#include "cli/forecast.h"
#include "cli/prepare.h"
#include "cli/table.h"
#include "search/phases.h"

static void print_tasks(const struct prepared *prepared)
{
    static const char *const heads[] = {"task",    "metric",  ">weight",
                                        ">search", ">select", ">report"};
    struct table table;

    table_init(&table, heads, 6);
    for (size_t t = 0; t < prepared->study.n_tasks; t++) {
        const struct coordinator_task *task = &prepared->tasks[t];

        table_row(&table);
        table_cell(&table, "%s", task->name);
        table_cell(&table, "%s%s", task->metric,
                   task->higher_is_better ? "" : " (lower is better)");
        table_cell(&table, "%g", task->weight);
        table_cell(&table, "%zu", task->documents[SPLIT_SEARCH]);
        table_cell(&table, "%zu", task->documents[SPLIT_SELECT]);
        table_cell(&table, "%zu", task->documents[SPLIT_REPORT]);
    }
    table_print(&table, stdout);
    table_release(&table);
}

static void print_coordinates(const struct space *space)
{
    static const char *const heads[] = {"coordinate", ">lower", ">start", ">upper"};
    const struct space_coordinate *coordinates = space_coordinates(space);
    struct table table;

    table_init(&table, heads, 4);
    for (size_t i = 0; i < space_n(space); i++) {
        table_row(&table);
        table_cell(&table, "%s", coordinates[i].name);
        table_cell(&table, "%g", coordinates[i].lower);
        table_cell(&table, "%g", coordinates[i].start);
        table_cell(&table, "%g", coordinates[i].upper);
    }
    table_print(&table, stdout);
    table_release(&table);
}

static void print_numeric(const struct prepared *prepared)
{
    const enum numeric numeric = prepared->bundle.numeric;

    printf("  scores are made in %s%s\n", numeric_name(numeric),
           numeric_available(numeric) ? "" : ", which this processor or system has not");
}

/* Each part of the search: its coordinates, and what it may spend. */
static int print_phases(const struct prepared *prepared, struct err *err)
{
    const struct phase_setting setting = {.study = &prepared->study,
                                          .n_layers = prepared->options.n_layers,
                                          .model_layers = prepared->model_layers,
                                          .digests = prepared->digest_texts};
    const struct phase_past nothing = {0};
    uint64_t left = prepared->study.budget.evaluations;
    int rc = 0;

    for (size_t i = 0; i < phases_n(&prepared->study) && rc == 0; i++) {
        struct phase *phase = NULL;
        uint64_t spends = phase_evaluations(&setting, i, left);

        rc = phase_new(&phase, &setting, i, &nothing, err);
        if (rc == 0) {
            print_coordinates(phase->space);
            printf("\n  %s: %zu coordinates, at most %" PRIu64 " evaluations\n\n", phase->name,
                   space_n(phase->space), spends);
            left -= spends;
        }
        phase_free(phase);
    }
    return rc;
}

static int print_all(const struct prepared *prepared, struct err *err)
{
    printf("%s: ready\n\n", prepared->study.name);
    for (size_t i = 0; i < prepared->study.n_models; i++) {
        printf("  model %-10s %s  %s\n", prepared->study.models[i].name, prepared->digests[i],
               checkpoint_config(prepared->models[i])->architecture);
    }
    printf("\n");
    print_tasks(prepared);
    printf("\n");
    int rc = print_phases(prepared, err);

    if (rc != 0) {
        return rc;
    }
    rc = forecast_print(prepared, stdout, err);
    if (rc != 0) {
        return rc;
    }
    print_numeric(prepared);
    if (prepared->notes.size > 0) {
        printf("\n%s", text_get(&prepared->notes));
    }
    return 0;
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    const char **path = state->input;

    switch (key) {
    case ARGP_KEY_ARG:
        if (*path != NULL) {
            argp_error(state, "one study, please");
        }
        *path = value;
        return 0;
    case ARGP_KEY_END:
        if (*path == NULL) {
            argp_error(state, "which study?");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int cmd_check(int argc, char **argv)
{
    static const struct argp argp = {
        NULL,
        parse_option,
        "STUDY.yaml",
        "Validate a study and all it names: models, shapes, vocabularies, documents, "
        "bounds.\vExample: braid check night.yaml",
        NULL,
        NULL,
        NULL};
    const char *path = NULL;
    struct prepared prepared = {0};
    struct err err = {0};

    command_parse(&argp, argc, argv, &path);
    int rc = prepare_study(&prepared, path, &err);
    if (rc == 0) {
        rc = print_all(&prepared, &err);
    }
    prepare_release(&prepared);
    return rc == 0 ? COMMAND_DONE : command_fail(argv[0], &err);
}
