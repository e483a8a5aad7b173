/*
 * bench_pareto.c - two objectives at once against their mean, on the demo's models.
 *
 *   name,value,unit,ratio,reference
 *
 *     bench_pareto [SEEDS [EVALUATIONS]]        5 seeds, 300 evaluations each
 *
 * For each seed the demo's study (addition and reversal, 16 coordinates) is searched twice by
 * `braid search`: with objective pareto, and with the weighted mean. The value is the hypervolume
 * of all that the search measured, the reference that of the other; both are volumes above the
 * worst parent in each task, on the search documents, and both searches measured the same number of
 * candidates at most. The last line is the median ratio.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "search/pareto.h"
#include "store/store.h"
#include "tests/support/support.h"

#define TASKS 2
#define EXAMPLES TESTS_DIR "/../study/examples"

static const char study_text[] =
    "study: bench\nseed: %zu\n"
    "models: {base: %s/models/base, adder: %s/models/adder, reverser: %s/models/reverser}\n"
    "merge: {method: task_arithmetic, base: base, sources: [adder, reverser], layers: each,"
    " components: [embeddings, head, rest], search: {weight: [0, 1.5]}}\n"
    "tasks: [{task: %s/tasks/addition.yaml, metric: exact_match},"
    " {task: %s/tasks/reversal.yaml, metric: exact_match}]\n"
    "splits: {search: 0.4, select: 0.2, report: 0.4}\n"
    "objective: %s\nbudget: {evaluations: %zu}\n";

static void must(int rc, const struct err *err)
{
    if (rc != 0) {
        fprintf(stderr, "bench_pareto: %s\n", err->text);
        exit(1);
    }
}

/* braid search on a study, silently. */
static void search(const char *braid, const char *study, const char *database)
{
    pid_t child = fork();
    int status = 0;

    if (child == 0) {
        if (freopen("/dev/null", "w", stdout) != NULL &&
            freopen("/dev/null", "w", stderr) != NULL) {
            execl(braid, "braid", "search", study, "--db", database, "--listen", "127.0.0.1:0",
                  (char *)NULL);
        }
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
        fprintf(stderr, "bench_pareto: %s search %s failed\n", braid, study);
        exit(1);
    }
}

/* What a database has measured on the search documents, lower is better. */
struct measured {
    size_t n;
    double *rows;            /* [n, TASKS] of the search */
    double reference[TASKS]; /* the worst parent in each */
};

static void take(struct measured *out, struct store *store, const struct store_candidate *row,
                 bool searched)
{
    double values[TASKS];
    struct err err = {0};

    if (row->status != STORE_DONE) {
        return;
    }
    must(store_values(store, row->candidate, TASKS, values, &err), &err);
    for (size_t t = 0; t < TASKS; t++) {
        if (row->parent) {
            out->reference[t] = fmax(out->reference[t], -values[t]);
        }
        if (searched) {
            out->rows[out->n * TASKS + t] = -values[t];
        }
    }
    out->n += searched;
}

static void measure(struct measured *out, const char *database, size_t evaluations)
{
    struct store *store = NULL;
    struct err err = {0};
    uint64_t generations = 0;

    *out = (struct measured){.rows = mem_array(evaluations * TASKS, sizeof(double)),
                             .reference = {-HUGE_VAL, -HUGE_VAL}};
    must(store_open_reader(&store, database, &err), &err);
    must(store_count_generations(store, &generations, &err), &err);
    for (uint64_t g = 0; g < generations; g++) {
        struct store_generation generation = {0};
        struct store_candidate *rows = NULL;
        size_t n = 0;

        must(store_generation(store, g, &generation, &err), &err);
        must(store_candidates(store, g, &rows, &n, &err), &err);
        bool baseline = strcmp(generation.stage, "baseline") == 0;
        bool searched = strcmp(generation.stage, "search") == 0;

        for (size_t i = 0; i < n && (baseline || searched); i++) {
            take(out, store, &rows[i], searched);
        }
        store_candidates_free(rows, n);
        store_generation_release(&generation);
    }
    store_close(store);
}

/* The hypervolume of one search. */
static double volume_of(const char *braid, const char *folder, const char *objective, size_t seed,
                        size_t evaluations)
{
    char *name = mem_printf("%s-%zu.yaml", objective, seed);
    char *text = mem_printf(study_text, seed, EXAMPLES, EXAMPLES, EXAMPLES, EXAMPLES, EXAMPLES,
                            objective, evaluations);
    char *study = file_join(folder, name);
    char *database = mem_printf("%s.db", study);
    struct measured measured;

    support_write(folder, name, text);
    search(braid, study, database);
    measure(&measured, database, evaluations);
    double volume = pareto_hypervolume(measured.rows, measured.n, TASKS, measured.reference);

    free(measured.rows);
    free(database);
    free(study);
    free(text);
    free(name);
    return volume;
}

static int ascending(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

int main(int argc, char **argv)
{
    size_t seeds = argc > 1 ? strtoul(argv[1], NULL, 10) : 5;
    size_t evaluations = argc > 2 ? strtoul(argv[2], NULL, 10) : 300;
    char *here = file_folder(argv[0]), *braid = file_join(here, "../../braid");
    char *folder = support_temp_dir();
    double *ratios = mem_array(seeds + 1, sizeof *ratios);

    for (size_t seed = 1; seed <= seeds; seed++) {
        double several = volume_of(braid, folder, "pareto", seed, evaluations);
        double mean = volume_of(braid, folder, "weighted_mean", seed, evaluations);

        ratios[seed - 1] = several / mean;
        printf("pareto_hypervolume seed %zu,%.4f,volume,%.3f,%.4f\n", seed, several,
               ratios[seed - 1], mean);
        fflush(stdout);
    }
    qsort(ratios, seeds, sizeof *ratios, ascending);
    if (seeds > 0) {
        printf("pareto_hypervolume median of %zu,%.4f,ratio,%.4f,1\n", seeds, ratios[seeds / 2],
               ratios[seeds / 2]);
    }
    support_remove_dir(folder);
    free(ratios);
    free(braid);
    free(here);
    return 0;
}
