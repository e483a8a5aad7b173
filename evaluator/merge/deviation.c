/*
 * deviation.c - spread of task vectors, and of what is merged from them.
 */
#include "evaluator/merge/deviation.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

#define DEVIATION_MIN 1e-12 /* below it nothing is scaled */

struct moments {
    size_t n;
    double sum, squares;
};

static void add(struct moments *moments, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        moments->sum += (double)x[i];
        moments->squares += (double)x[i] * (double)x[i];
    }
    moments->n += n;
}

static double deviation(const struct moments *moments)
{
    double n = (double)moments->n;
    double mean = moments->sum / n;

    return n > 0.0 ? sqrt(fmax(moments->squares / n - mean * mean, 0.0)) : 0.0;
}

double deviation_of(const struct mix *mix, size_t source)
{
    const struct trim_delta delta = plan_delta(mix->tensor, source);
    struct moments moments = {0};
    float d[TRIM_BLOCK];

    for (size_t at = 0; at < delta.n; at += TRIM_BLOCK) {
        size_t n = delta.n - at < TRIM_BLOCK ? delta.n - at : TRIM_BLOCK;

        trim_read(&delta, at, n, d);
        add(&moments, d, n);
    }
    return deviation(&moments);
}

/* What the merge adds to the base at lambda 1. */
static double merged_deviation(const struct mix *mix)
{
    struct mix trial = *mix;
    struct moments moments = {0};
    float *out = mem_array(MIX_BLOCK, sizeof *out);
    float *base = mem_array(MIX_BLOCK, sizeof *base);
    bool bad;

    trial.brain = false;
    trial.block.lambda = 1.0F;
    while (trial.at < trial.tensor->n) {
        size_t at = trial.at;
        size_t n = mix_next(&trial, out, false, &bad);

        mix_read(mix, MIX_BASE, at, n, base);
        for (size_t i = 0; i < n; i++) {
            out[i] -= base[i];
        }
        add(&moments, out, n);
    }
    free(out);
    free(base);
    return deviation(&moments);
}

void deviation_match(struct mix *mix)
{
    double parents = 0.0;

    if (mix_whole_value(mix, "match_std", 0.0) == 0.0 || mix->block.k == 0) {
        return;
    }
    for (size_t s = 0; s < mix->block.k; s++) {
        parents += deviation_of(mix, s) / (double)mix->block.k;
    }
    double merged = merged_deviation(mix);
    if (merged > DEVIATION_MIN) {
        mix->block.lambda = (float)((double)mix->block.lambda * parents / merged);
    }
}
