/*
 * cmd_check.c - braid check STUDY: everything that can be known before a search.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/command.h"
#include "cli/forecast.h"
#include "cli/prepare.h"
#include "cli/table.h"
#include "search/optimiser.h"
#include "search/phases.h"

/* How many documents of a split; a program's are not known here, and may be the same in each. */
static void add_count(struct table *table, const struct coordinator_task *task, enum split split)
{
    if (task->documents[split] > 0) {
        table_cell(table, "%zu", task->documents[split]);
    } else {
        table_cell(table, "%s", task->unsplit ? "all" : "?");
    }
}

/* Scores that are no test, and documents that nobody splits. */
static void print_unsplit(const struct prepared *prepared)
{
    for (size_t t = 0; t < prepared->study.n_tasks; t++) {
        if (prepared->tasks[t].unsplit) {
            printf("  task %s: no word of its command says {split}, so search, select and report "
                   "use the same data:\n  its numbers in the final report will not be a test\n",
                   prepared->tasks[t].name);
        }
    }
}

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
        add_count(&table, task, SPLIT_SEARCH);
        add_count(&table, task, SPLIT_SELECT);
        add_count(&table, task, SPLIT_REPORT);
    }
    table_print(&table, stdout);
    table_release(&table);
    print_unsplit(prepared);
}

/* What coordinates of one kind have in common: the name as far as it does not say where. */
static int head_of(const char *name)
{
    static const char *const places[] = {" layer", " at layer", " hop"};
    size_t n = strlen(name);

    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const char *at = strstr(name, places[i]);

        n = at != NULL && (size_t)(at - name) < n ? (size_t)(at - name) : n;
    }
    return (int)n;
}

static bool is_like(const struct space_coordinate *a, const struct space_coordinate *b)
{
    return a->lower == b->lower && a->upper == b->upper && a->start == b->start &&
           head_of(a->name) == head_of(b->name) &&
           strncmp(a->name, b->name, (size_t)head_of(a->name)) == 0;
}

/* Those alike in one row. */
static void print_coordinates(const struct space *space)
{
    static const char *const heads[] = {"coordinate", ">of them", ">lower", ">start", ">upper"};
    const struct space_coordinate *all = space_coordinates(space);
    const size_t n = space_n(space);
    bool *done = mem_array(n, sizeof *done);
    struct table table;

    table_init(&table, heads, 5);
    for (size_t i = 0; i < n; i++) {
        size_t alike = 0;

        for (size_t j = i; j < n && !done[i]; j++) {
            alike += is_like(&all[i], &all[j]);
        }
        if (alike == 0) {
            continue;
        }
        for (size_t j = n; j-- > i;) {
            done[j] = done[j] || is_like(&all[i], &all[j]);
        }
        table_row(&table);
        if (alike == 1) {
            table_cell(&table, "%s", all[i].name);
        } else {
            table_cell(&table, "%.*s, each place", head_of(all[i].name), all[i].name);
        }
        table_cell(&table, "%zu", alike);
        table_cell(&table, "%g", all[i].lower);
        table_cell(&table, "%g", all[i].start);
        table_cell(&table, "%g", all[i].upper);
    }
    table_print(&table, stdout);
    table_release(&table);
    free(done);
}

static void print_numeric(const struct prepared *prepared)
{
    const enum numeric numeric = prepared->bundle.numeric;

    printf("  scores are made in %s%s\n", numeric_name(numeric),
           numeric_available(numeric) ? "" : ", which this processor or system has not");
}

/* One part of the search: its coordinates, its optimiser, what it may spend. */
/* A covariance that needs this many times the generations there are will not help. Ours. */
#define HOPELESS 10.0

static void print_horizon(const struct phase_plan *plan, size_t population)
{
    const size_t n = space_n(plan->phase->space);
    double horizon = optimiser_horizon(plan->algorithm, n, &population);
    double generations = (double)plan->evaluations / (double)population;

    if (horizon > HOPELESS * generations) {
        printf("  too many coordinates to adapt to: the covariance of %zu is learned in %.0f "
               "generations of %zu,\n  and %.0f are paid for; the search is close to blind "
               "mutation\n",
               n, horizon, population, generations);
    }
}

static void print_phase(void *context, const struct phase_plan *plan)
{
    const struct phase *phase = plan->phase;

    (void)context;
    if (phase->effects != NULL) {
        printf("  %s: by %s, at most %" PRIu64 " evaluations; which ones is known after the pass\n",
               phase->name, plan->algorithm, plan->evaluations);
    } else {
        printf("  %s: %zu coordinates by %s, at most %" PRIu64 " evaluations\n", phase->name,
               space_n(phase->space), plan->algorithm, plan->evaluations);
    }
    if (plan->why[0] != '\0') {
        printf("  %s\n", plan->why);
    }
    if (phase->effects == NULL) {
        print_horizon(plan, phase->seen.optimizer.population);
        print_coordinates(phase->space);
    }
    printf("\n");
}

static int print_phases(const struct prepared *prepared, struct err *err)
{
    const struct phase_setting setting = {.study = &prepared->study,
                                          .n_layers = prepared->options.n_layers,
                                          .model_layers = prepared->model_layers,
                                          .digests = prepared->digest_texts,
                                          .earlier = prepared->options.earlier};

    return phases_plan(&setting, print_phase, NULL, err);
}

static int print_all(const struct prepared *prepared, struct err *err)
{
    struct forecast forecast;
    int rc = forecast_make(&forecast, prepared, err);

    if (rc != 0) {
        return rc;
    }
    printf("%s: ready\n\n", prepared->study.name);
    for (size_t i = 0; i < prepared->study.n_models; i++) {
        printf("  model %-10s %s  %s\n", prepared->study.models[i].name, prepared->digests[i],
               checkpoint_config(prepared->models[i])->architecture);
    }
    printf("\n");
    print_tasks(prepared);
    printf("\n");
    rc = print_phases(prepared, err);
    if (rc != 0) {
        fputs(text_get(&prepared->notes), stderr);
        return rc;
    }
    forecast_print(&forecast, stdout);
    print_numeric(prepared);
    if (prepared->notes.size > 0) {
        printf("\n%s", text_get(&prepared->notes));
    }
    return 0;
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    return command_one(key, value, state, "study", state->input);
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
