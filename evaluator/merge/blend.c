/*
 * blend.c - every tensor computed in one streaming pass, rounded, handed on.
 *
 *   for each tensor, in order of names
 *     set up: parameters of its group, divisor, thresholds            (a row of `kinds` a method
 * family) for each block of 4096 sources -> floats -> mix -> rounded floats -> slot
 *                                        \-> bytes -> digest, file
 */
#include "evaluator/merge/blend.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "evaluator/merge/blend_kernels.h"

#define BLOCK 4096
#define DIVISOR_MIN 1e-8    /* a smaller sum of weights does not divide */
#define MAGNITUDES_MIN 1e-7 /* below it a trimmed vector is not rescaled */

struct blend {
    const struct blend_kernels *kernels;
    float *buffers; /* [METHOD_SOURCES_MAX + 4, BLOCK] */
    size_t n_histograms;
    struct trim_histogram *histograms; /* [tensor index, source], of one set of sources */
    size_t n_sources;                  /* of the histograms */
    char sources[DIGEST_HEX];          /* which set */
};

struct blend *blend_new(void)
{
    struct blend *blend = mem_array(1, sizeof(*blend));

    blend->kernels = blend_kernels_for(isa_best());
    blend->buffers = mem_array((METHOD_SOURCES_MAX + 4) * BLOCK, sizeof(float));
    return blend;
}

static void drop_histograms(struct blend *blend)
{
    for (size_t i = 0; i < blend->n_histograms; i++) {
        free(blend->histograms[i].counts);
    }
    free(blend->histograms);
    blend->histograms = NULL;
    blend->n_histograms = 0;
}

void blend_free(struct blend *blend)
{
    if (blend != NULL) {
        drop_histograms(blend);
        free(blend->buffers);
        free(blend);
    }
}

/* ---- one tensor ---- */

/* All that the blocks of one tensor share. */
struct tensor_job {
    struct blend *blend;
    const struct method *method;
    const struct plan_tensor *tensor;
    size_t k; /* sources */
    float weights[METHOD_SOURCES_MAX];
    float divisor, lambda;
    int normalize;
    bool trims[METHOD_SOURCES_MAX]; /* this source is trimmed */
    struct trim trim[METHOD_SOURCES_MAX];
    float *x[METHOD_SOURCES_MAX]; /* [BLOCK] each */
    float *base, *mix, *share;    /* [BLOCK] each */
};

static double source_value(const struct tensor_job *job, size_t source, const char *name,
                           double fallback)
{
    size_t n = method_count(job->method, METHOD_SOURCE);
    size_t k = method_index(job->method, METHOD_SOURCE, name);

    return k == SIZE_MAX ? fallback : job->tensor->group->source_values[source * n + k];
}

static double whole_value(const struct tensor_job *job, const char *name, double fallback)
{
    size_t k = method_index(job->method, METHOD_WHOLE, name);

    return k == SIZE_MAX ? fallback : job->tensor->group->whole_values[k];
}

static struct trim_delta delta_of(const struct plan_tensor *tensor, size_t source)
{
    return (struct trim_delta){.source = tensor->sources[source]->data,
                               .base = tensor->base->data,
                               .source_dtype = tensor->sources[source]->dtype,
                               .base_dtype = tensor->base->dtype,
                               .n = tensor->n};
}

/* The threshold of one source, and the factor that gives it its L1 norm back. */
static int set_up_trim(struct tensor_job *job, size_t s, int strict, struct err *err)
{
    double density = source_value(job, s, "density", 1.0);
    struct trim_delta delta = delta_of(job->tensor, s);
    size_t keep = trim_count(delta.n, density);
    struct trim_histogram *histogram =
        &job->blend->histograms[job->tensor->index * job->blend->n_sources + s];

    if (keep == 0 && strict) {
        return err_set(err, ERR_NUMERIC, "%s: density %g keeps no element of %zu",
                       job->tensor->name, density, delta.n);
    }
    keep = keep == 0 ? 1 : keep;
    if (keep >= delta.n) {
        return 0;
    }
    trim_find(&delta, histogram, keep, &job->trim[s]);
    job->trims[s] = true;
    if (whole_value(job, "rescale", 0.0) != 0.0) {
        double before = trim_magnitudes(&delta, histogram);
        double after = trim_kept_magnitudes(&delta, &job->trim[s]);

        if (before >= MAGNITUDES_MIN && after >= MAGNITUDES_MIN) {
            job->weights[s] = (float)((double)job->weights[s] * (before / after));
        }
    }
    return 0;
}

static int set_up(struct tensor_job *job, int strict, struct err *err)
{
    double sum = 0.0;
    bool trims = method_index(job->method, METHOD_SOURCE, "density") != SIZE_MAX;

    job->normalize = whole_value(job, "normalize", 0.0) != 0.0;
    job->lambda = (float)whole_value(job, "lambda", 1.0);
    for (size_t s = 0; s < job->k; s++) {
        double weight = source_value(job, s, "weight", source_value(job, s, "scale", 1.0));

        job->weights[s] = (float)weight;
        sum += weight;
    }
    job->divisor = 1.0F;
    if (job->normalize && !job->method->needs_base) {
        if (sum == 0.0) {
            return err_set(err, ERR_NUMERIC, "%s: weights sum to zero, and normalize is on",
                           job->tensor->name);
        }
        job->divisor = (float)sum;
    } else if (job->normalize && fabs(sum) >= DIVISOR_MIN) {
        job->divisor = (float)sum;
    }
    for (size_t s = 0; trims && s < job->k; s++) {
        int rc = set_up_trim(job, s, strict, err);

        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* Zero what the trim drops; of those equal to the threshold the first `ties` stay, counted over the
 * tensor. */
static void apply_trim(const struct blend_kernels *kernels, struct trim *trim, float *d, size_t n)
{
    if (trim->ties == trim->equal) {
        kernels->keep_at_least(d, trim->threshold, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        float magnitude = fabsf(d[i]);

        if (magnitude == trim->threshold && trim->ties > 0) {
            trim->ties--;
            trim->equal--;
        } else if (!(magnitude > trim->threshold)) {
            trim->equal -= magnitude == trim->threshold;
            d[i] = 0.0F;
        }
    }
}

static void load(const struct checkpoint_tensor *from, size_t at, size_t n, float *out)
{
    dtype_to_f32(out, from->data + at * dtype_size(from->dtype), from->dtype, n);
}

static bool is_ties(const struct method *method)
{
    return strcmp(method->name, "ties") == 0;
}

static void mix_block(struct tensor_job *job, size_t at, size_t n, float *out)
{
    const struct blend_kernels *kernels = job->blend->kernels;
    const float *const *x = (const float *const *)job->x;

    for (size_t s = 0; s < job->k; s++) {
        load(job->tensor->sources[s], at, n, job->x[s]);
    }
    if (!job->method->needs_base) {
        kernels->weighted(out, x, job->weights, job->k, job->divisor, n);
        return;
    }
    load(job->tensor->base, at, n, job->base);
    for (size_t s = 0; s < job->k; s++) {
        kernels->subtract(job->x[s], job->base, n);
        if (job->trims[s]) {
            apply_trim(kernels, &job->trim[s], job->x[s], n);
        }
    }
    if (is_ties(job->method)) {
        kernels->elect(out, job->base, x, job->weights, job->k, job->normalize, job->lambda,
                       job->mix, job->share, n);
    } else {
        kernels->task_sum(out, job->base, x, job->weights, job->k, job->divisor, job->lambda, n);
    }
}

/* Histograms belong to one set of sources; a plan with others starts anew. */
static void fit_histograms(struct blend *blend, size_t n_tensors, size_t n_sources,
                           const char *sources)
{
    if (blend->n_histograms == n_tensors * n_sources && strcmp(blend->sources, sources) == 0) {
        return;
    }
    drop_histograms(blend);
    blend->n_histograms = n_tensors * n_sources;
    blend->n_sources = n_sources;
    blend->histograms = mem_array(blend->n_histograms, sizeof(struct trim_histogram));
    memcpy(blend->sources, sources, DIGEST_HEX);
}

static int start_tensor(struct tensor_job *job, struct blend *blend, const struct method *method,
                        const struct plan_tensor *tensor, size_t n_sources, int strict,
                        struct err *err)
{
    *job = (struct tensor_job){.blend = blend, .method = method, .tensor = tensor, .k = n_sources};
    for (size_t s = 0; s < n_sources; s++) {
        job->x[s] = blend->buffers + s * BLOCK;
    }
    job->base = blend->buffers + METHOD_SOURCES_MAX * BLOCK;
    job->mix = job->base + BLOCK;
    job->share = job->mix + BLOCK;
    return set_up(job, strict, err);
}

int blend_tensor(struct blend *blend, const struct method *method, const struct plan_tensor *tensor,
                 size_t n_sources, int strict, float *out, struct err *err)
{
    static const char by_hand[DIGEST_HEX] = "by hand";
    struct tensor_job job;

    drop_histograms(blend);
    fit_histograms(blend, tensor->index + 1, n_sources, by_hand);
    int rc = start_tensor(&job, blend, method, tensor, n_sources, strict, err);
    for (size_t at = 0; at < tensor->n && rc == 0; at += BLOCK) {
        mix_block(&job, at, tensor->n - at < BLOCK ? tensor->n - at : BLOCK, out + at);
    }
    return rc;
}

/* ---- the whole plan ---- */

/* Say whose fault a value that is not finite is: a source's, or the recipe's. */
static int blame(const struct plan *plan, const struct plan_tensor *tensor, size_t at, size_t n,
                 float *scratch, struct err *err)
{
    for (size_t s = 0; s <= plan->recipe->n_sources; s++) {
        const struct checkpoint_tensor *from =
            s < plan->recipe->n_sources ? tensor->sources[s] : tensor->base;

        if (from == NULL) {
            continue;
        }
        load(from, at, n, scratch);
        if (dtype_find_nonfinite(scratch, DTYPE_F32, n) < n) {
            return err_set(err, ERR_NUMERIC, "%s: %s: a value in source %zu is not finite",
                           from->file, tensor->name, s);
        }
    }
    return err_set(err, ERR_NUMERIC, "%s: the merge gives a value that is not finite",
                   tensor->name);
}

static int run_tensor(struct blend *blend, const struct plan *plan,
                      const struct plan_tensor *tensor, const struct blend_sink *sink,
                      struct digest *weights, struct err *err)
{
    struct tensor_job job;
    float block[BLOCK];
    unsigned char bytes[BLOCK * sizeof(float)];
    unsigned char content[DIGEST_SIZE];
    float *slot = NULL;
    size_t size = dtype_size(plan->dtype);

    int rc =
        start_tensor(&job, blend, plan->recipe->method, tensor, plan->recipe->n_sources, 0, err);
    if (rc == 0 && sink->place != NULL) {
        rc = sink->place(sink->context, tensor, &slot, err);
    }
    if (rc != 0) {
        return rc;
    }
    struct digest *digest = digest_new();
    for (size_t at = 0; at < tensor->n && rc == 0; at += BLOCK) {
        size_t n = tensor->n - at < BLOCK ? tensor->n - at : BLOCK;
        float *out = slot != NULL ? slot + at : block;

        mix_block(&job, at, n, out);
        dtype_from_f32(bytes, out, plan->dtype, n);
        dtype_to_f32(out, bytes, plan->dtype, n);
        if (dtype_find_nonfinite(out, DTYPE_F32, n) < n) {
            rc = blame(plan, tensor, at, n, job.mix, err);
            break;
        }
        digest_add(digest, bytes, n * size);
        if (sink->write != NULL) {
            rc = sink->write(sink->context, tensor, bytes, n * size, err);
        }
    }
    digest_end(digest, content);
    checkpoint_digest_tensor(weights, tensor->name, plan->dtype, tensor->dims, tensor->n_dims,
                             content);
    return rc;
}

/* Names the set of sources that histograms belong to. */
static void identify_sources(const struct recipe *recipe, char out[DIGEST_HEX])
{
    struct digest *digest = digest_new();

    digest_add_text(digest, recipe->base);
    for (size_t s = 0; s < recipe->n_sources; s++) {
        digest_add_text(digest, recipe->sources[s]);
    }
    digest_end_hex(digest, out);
}

int blend_run(struct blend *blend, const struct plan *plan, const struct blend_sink *sink,
              char weights[DIGEST_HEX], struct err *err)
{
    char sources[DIGEST_HEX];
    int rc = 0;

    assert(plan->recipe->n_sources <= METHOD_SOURCES_MAX);
    if (method_index(plan->recipe->method, METHOD_SOURCE, "density") != SIZE_MAX) {
        identify_sources(plan->recipe, sources);
        fit_histograms(blend, plan->n_tensors, plan->recipe->n_sources, sources);
    }
    struct digest *digest = digest_new();
    for (size_t i = 0; i < plan->n_tensors && rc == 0; i++) {
        rc = run_tensor(blend, plan, &plan->tensors[i], sink, digest, err);
    }
    digest_end_hex(digest, weights);
    return rc;
}
