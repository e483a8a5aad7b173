/*
 * bench_pareto.c - two objectives: our optimiser of fronts beside another, and on the demo's models
 * beside a search for the mean of both.
 *
 *   name,value,unit,ratio,reference
 *
 *     bench_pareto [SEEDS [EVALUATIONS]]        5 seeds, 300 evaluations each
 *
 * First the double sphere f1 = mean (x / 10)^2, f2 = mean (x / 10 - 1)^2, x in -5 .. 15, from the
 * middle: hypervolume of all points measured, below (1.1, 1.1), medians of 7 seeds. Reference:
 * COMO-CatCMAwM of cmaes 0.13.1 with 10 kernels.
 *
 * Then for each seed the demo's study (addition and reversal, 16 coordinates) is searched twice by
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
#include "search/optimiser.h"
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

static int ascending(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

/* ---- the double sphere ---- */

#define SPHERE_SEEDS 7
#define SPHERE_N_MAX 10
#define BUDGETS 5

static const size_t budgets[BUDGETS] = {200, 500, 1000, 2000, 5000};

static const struct {
    size_t n;
    double references[BUDGETS];
} spheres[] = {{2, {1.0135, 1.0360, 1.0400, 1.0418, 1.0420}},
               {5, {0.8948, 0.9936, 1.0199, 1.0348, 1.0388}},
               {10, {0.7363, 0.8705, 0.9662, 1.0071, 1.0353}}};

static void double_sphere(const double *x, size_t n, double *out)
{
    out[0] = out[1] = 0.0;
    for (size_t j = 0; j < n; j++) {
        double at = x[j] / 10.0;

        out[0] += at * at / (double)n;
        out[1] += (at - 1.0) * (at - 1.0) / (double)n;
    }
}

static struct optimiser *sphere_search(size_t n, uint64_t seed, size_t budget)
{
    double start[SPHERE_N_MAX], lower[SPHERE_N_MAX], upper[SPHERE_N_MAX];
    struct optimiser *search = NULL;
    struct err err = {0};

    for (size_t j = 0; j < n; j++) {
        start[j] = 5.0;
        lower[j] = -5.0;
        upper[j] = 15.0;
    }
    const struct optimiser_options options = {.n = n,
                                              .start = start,
                                              .sigma = 5.0,
                                              .lower = lower,
                                              .upper = upper,
                                              .objectives = 2,
                                              .evaluations = budget,
                                              .seed = seed};
    must(optimiser_new(&search, &options, &err), &err);
    return search;
}

/* The hypervolume of all points of a search that knows its budget. */
static double sphere_volume(size_t n, uint64_t seed, size_t budget)
{
    const double reference[] = {1.1, 1.1};
    struct optimiser *search = sphere_search(n, seed, budget);
    double *all = mem_array(2 * budget, sizeof *all);
    size_t used = 0;

    while (used < budget) {
        const size_t asks = optimiser_asks(search);
        const size_t taken = asks < budget - used ? asks : budget - used;
        double *points = mem_array(asks * n, sizeof *points);
        double *fitness = mem_array(2 * asks, sizeof *fitness);
        struct err err = {0};

        optimiser_ask(search, points);
        for (size_t k = 0; k < asks; k++) {
            double_sphere(points + k * n, n, fitness + 2 * k);
        }
        must(optimiser_tell(search, fitness, &err), &err);
        memcpy(all + 2 * used, fitness, 2 * taken * sizeof *all);
        used += taken;
        free(points);
        free(fitness);
    }
    double volume = pareto_hypervolume(all, used, 2, reference);

    optimiser_free(search);
    free(all);
    return volume;
}

static void show_spheres(void)
{
    for (size_t s = 0; s < sizeof spheres / sizeof *spheres; s++) {
        for (size_t b = 0; b < BUDGETS; b++) {
            double volumes[SPHERE_SEEDS];

            for (size_t i = 0; i < SPHERE_SEEDS; i++) {
                volumes[i] = sphere_volume(spheres[s].n, i + 1, budgets[b]);
            }
            qsort(volumes, SPHERE_SEEDS, sizeof *volumes, ascending);
            double median = volumes[SPHERE_SEEDS / 2], reference = spheres[s].references[b];

            printf("double_sphere n=%zu of %zu evaluations,%.4f,volume,%.4f,%.4f\n", spheres[s].n,
                   budgets[b], median, median / reference, reference);
        }
    }
}

/* ---- the demo ---- */

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

int main(int argc, char **argv)
{
    size_t seeds = argc > 1 ? strtoul(argv[1], NULL, 10) : 5;
    size_t evaluations = argc > 2 ? strtoul(argv[2], NULL, 10) : 300;
    char *here = file_folder(argv[0]), *braid = file_join(here, "../../braid");
    char *folder = support_temp_dir();
    double *ratios = mem_array(seeds + 1, sizeof *ratios);

    show_spheres();
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
