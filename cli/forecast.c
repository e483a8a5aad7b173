/*
 * forecast.c - what the candidates of a study will take.
 *
 * Memory is the sum that the evaluator itself goes by. Time is measured on one candidate:
 *
 *   first pass     one document, everything to be read, blended and hashed     t1
 *   second pass    the same again                                              t2
 *   third pass     more documents                                              t3
 *
 *   rate = (t3 - t2) / (n3 - n2) a position;  candidate = t1 + rate (N - n1)
 *
 * and, where layers are blended more than once, t2 without its document for each time more.
 */
#include "cli/forecast.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "search/route_space.h"

#define MIB 1048576.0
#define STRETCH_S 4.0  /* that the third pass may take, roughly */
#define STRETCH_MAX 32 /* documents */

struct passes {
    struct evaluator *evaluator;
    const char *recipe;
};

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int run_pass(const struct passes *passes, size_t documents, double *seconds,
                    uint64_t *positions, struct err *err)
{
    double start = now_s();
    int rc = evaluator_try(passes->evaluator, passes->recipe, strlen(passes->recipe), SPLIT_SEARCH,
                           documents, positions, err);

    *seconds = now_s() - start;
    return rc;
}

static int measure(const struct passes *passes, struct forecast *out, struct err *err)
{
    const struct evaluator_needs *needs = &out->needs;
    double first = 0, second = 0, third = 0;
    uint64_t few = 0, more = 0;
    int rc = run_pass(passes, 1, &first, &few, err);

    if (rc == 0) {
        rc = run_pass(passes, 1, &second, &few, err);
    }
    size_t n = second * STRETCH_MAX < STRETCH_S ? STRETCH_MAX : (size_t)(STRETCH_S / second);
    out->documents = n > 2 ? n : 2;
    if (rc == 0) {
        rc = run_pass(passes, out->documents, &third, &more, err);
    }
    if (rc != 0) {
        return rc;
    }
    double rate = more > few && third > second ? (third - second) / (double)(more - few)
                                               : third / (double)more;
    double rest = (double)needs->positions - (double)few;

    double blend = fmax(second - rate * (double)few, 0);

    out->seconds = first + rate * fmax(rest, 0) + blend * ((double)needs->sweeps - 1);
    return 0;
}

/* The most hops of a study's routes; 0: it has none. */
static int find_hops_max(const struct prepared *prepared, uint32_t *out, struct err *err)
{
    struct route_models models;
    int rc = 0;

    *out = 0;
    if (prepared->study.route.mode != STUDY_ROUTE_NONE) {
        rc = route_models_init(&models, &prepared->study, prepared->model_layers,
                               prepared->digest_texts, err);
        *out = rc == 0 ? models.frame.hops_max : 0;
    }
    return rc;
}

static int fill(struct forecast *out, const struct prepared *prepared, struct evaluator *evaluator,
                struct err *err)
{
    const struct passes passes = {.evaluator = evaluator,
                                  .recipe = prepared->baselines[prepared->n_baselines - 1].recipe};
    int rc = find_hops_max(prepared, &out->hops_max, err);

    if (rc == 0) {
        rc = evaluator_needs(evaluator, passes.recipe, strlen(passes.recipe), SPLIT_SEARCH,
                             out->hops_max, &out->needs, err);
    }
    if (rc == 0 && out->needs.positions == 0) {
        out->seconds = (double)NAN; /* all tasks are programs' */
    } else if (rc == 0 && measure(&passes, out, &out->why) != 0) {
        out->seconds = (double)NAN; /* which is the candidate's failure, not ours */
    }
    return rc;
}

int forecast_make(struct forecast *out, const struct prepared *prepared, struct err *err)
{
    struct forecast made = {.memory = prepared->study.evaluator.memory};
    struct evaluator *evaluator = NULL;
    int rc = evaluator_open_models(&evaluator, &prepared->bundle, prepared->models, err);

    if (rc == 0) {
        rc = fill(&made, prepared, evaluator, err);
    }
    evaluator_close(evaluator);
    if (rc == 0) {
        *out = made;
    }
    return rc;
}

static void print_own(const struct forecast *forecast, FILE *to)
{
    const struct evaluator_needs *needs = &forecast->needs;

    fprintf(to, "  a candidate%s runs %s in at most %.1f MiB a worker",
            forecast->hops_max > 0 ? ", of the longest route," : "",
            needs->streams ? "a layer at a time" : "whole", (double)needs->bytes / MIB);
    if (needs->kept > 0) {
        fprintf(to, ", and what candidates share is kept in at most %.1f MiB more",
                (double)needs->kept / MIB);
    }
    if (forecast->memory > 0) {
        fprintf(to, "; evaluator.memory is %.1f MiB", (double)forecast->memory / MIB);
    }
    if (isnan(forecast->seconds)) {
        fprintf(to, "\n  how long a candidate takes could not be measured: %s\n",
                forecast->why.text);
        return;
    }
    fprintf(to,
            "\n  a candidate takes about %.*f s on one core here, %zu positions: an estimate from "
            "%zu documents\n",
            forecast->seconds < 10 ? 2 : 0, forecast->seconds, needs->positions,
            forecast->documents);
}

void forecast_print(const struct forecast *forecast, FILE *to)
{
    const struct evaluator_needs *needs = &forecast->needs;

    if (needs->positions > 0) {
        print_own(forecast, to);
    }
    if (needs->written > 0) {
        fprintf(to,
                "  a candidate is written for the commands of tasks, %.1f MiB %s, and removed "
                "after them;\n  how long they take is not known beforehand\n",
                (double)needs->written / MIB,
                needs->in_memory ? "in memory" : "to the disk, for want of memory");
    }
}
