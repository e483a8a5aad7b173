/*
 * merge_golden.c - our merges against vectors that another implementation made.
 *
 *   merge_golden DIR      any folder in the format of tests/golden/merge/README.md
 *
 * One line for each case that fails, with the first element that differs, and at the end
 * "N passed, N failed, N skipped". Skipped are methods that we do not have. Exit code 1 when a case
 * failed.
 *
 * Where the reference slips (tag quirk), a case is run twice: by default it gives what the method's
 * definition says, and under exact_mergekit what the reference gives. Masks of random draws are
 * given where the case has them; else the draws are ours, thousands of them, and their rates, means
 * and norms are held against the reference's.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/doc.h"
#include "base/file.h"
#include "base/mem.h"
#include "evaluator/merge/blend.h"
#include "evaluator/merge/della.h"
#include "evaluator/model/safetensors.h"

#define MANIFEST_SIZE_MAX ((size_t)16 << 20)
#define INPUTS_MAX 16

enum outcome { PASSED, FAILED, SKIPPED, OUTCOMES };

/* The files of the folder, opened when first asked for. */
struct folder {
    const char *path;
    size_t n_files;
    struct {
        char *name;
        struct safetensors file;
    } files[64];
};

static void must(int rc, const struct err *err)
{
    if (rc != 0) {
        fprintf(stderr, "merge_golden: %s\n", err->text);
        exit(2);
    }
}

static const struct safetensors_tensor *find(struct folder *folder, const char *file,
                                             const char *name)
{
    struct err err;
    size_t f = 0;

    while (f < folder->n_files && strcmp(folder->files[f].name, file) != 0) {
        f++;
    }
    if (f == folder->n_files) {
        char *path = file_join(folder->path, file);

        must(safetensors_open(&folder->files[f].file, path, &err), &err);
        folder->files[folder->n_files++].name = mem_text(file);
        free(path);
    }
    const struct safetensors *opened = &folder->files[f].file;
    for (size_t i = 0; i < opened->n_tensors; i++) {
        if (strcmp(opened->tensors[i].name, name) == 0) {
            return &opened->tensors[i];
        }
    }
    fprintf(stderr, "merge_golden: %s: no tensor %s\n", file, name);
    exit(2);
}

/* ---- a case ---- */

struct test_case {
    const json_t *doc;
    const char *id, *method, *kind;
    size_t n;
    size_t k;
    bool exact;    /* slips and all */
    uint64_t seed; /* of random draws */
    unsigned char *keeps[INPUTS_MAX];
    const struct safetensors_tensor *base;  /* NULL: none */
    const struct safetensors_tensor *shape; /* any input */
    const struct safetensors_tensor *x[INPUTS_MAX];
    float *out; /* [n] */
};

static const char *text_of(const json_t *doc, const char *key)
{
    return json_string_value(json_object_get(doc, key));
}

/* A parameter as a number; booleans are 0 and 1, absent and null the fallback. */
static double number_of(const json_t *params, const char *key, double fallback)
{
    const json_t *value = json_object_get(params, key);

    if (json_is_boolean(value)) {
        return json_is_true(value) ? 1.0 : 0.0;
    }
    return json_is_number(value) ? json_number_value(value) : fallback;
}

static const json_t *model_params(const struct test_case *c, size_t i)
{
    return json_object_get(json_array_get(json_object_get(c->doc, "models"), i), "params");
}

static double whole(const struct test_case *c, const char *key, double fallback)
{
    return number_of(json_object_get(c->doc, "params"), key, fallback);
}

static float *to_floats(const struct safetensors_tensor *tensor)
{
    float *out = mem_array(tensor->n_elements, sizeof(float));

    dtype_to_f32(out, tensor->data, tensor->dtype, tensor->n_elements);
    return out;
}

/* One byte an element to one bit. */
static unsigned char *to_bits(const struct safetensors_tensor *tensor)
{
    unsigned char *bits = mem_array((tensor->n_elements + 63) / 64, 8);

    for (size_t i = 0; i < tensor->n_elements; i++) {
        bits[i / 8] = (unsigned char)(bits[i / 8] | (unsigned)(tensor->data[i] != 0) << i % 8);
    }
    return bits;
}

static void read_case(struct test_case *c, struct folder *folder, const json_t *doc)
{
    const json_t *models = json_object_get(doc, "models");
    const char *base = text_of(doc, "base");
    const char *file = text_of(doc, "inputs_file");

    *c = (struct test_case){.doc = doc,
                            .id = text_of(doc, "id"),
                            .method = text_of(doc, "method"),
                            .kind = text_of(doc, "kind"),
                            .k = json_array_size(models)};
    for (size_t i = 0; i < c->k && i < INPUTS_MAX; i++) {
        c->x[i] = find(folder, file, text_of(json_array_get(models, i), "tensor"));
    }
    if (base != NULL) {
        c->base = find(folder, file, base);
    }
    const struct safetensors_tensor *any = c->k > 0 ? c->x[0] : c->base;
    c->n = any->n_elements;
    c->shape = any;
    c->out = mem_array(c->n, sizeof(float));
    for (size_t i = 0; i < json_array_size(json_object_get(doc, "masks")) && i < INPUTS_MAX; i++) {
        const char *mask = json_string_value(json_array_get(json_object_get(doc, "masks"), i));

        c->keeps[i] =
            mask == NULL ? NULL : to_bits(find(folder, text_of(doc, "expect_file"), mask));
    }
}

static void release_case(struct test_case *c)
{
    for (size_t i = 0; i < c->k; i++) {
        free(c->keeps[i]);
    }
    free(c->out);
}

/* ---- methods of the plan, through blend_tensor ---- */

static struct checkpoint_tensor stored(const struct safetensors_tensor *from)
{
    return (struct checkpoint_tensor){.name = from->name,
                                      .dtype = from->dtype,
                                      .n_dims = from->n_dims,
                                      .n_elements = from->n_elements,
                                      .data = from->data};
}

static int blend_case(struct test_case *c, const struct method *method, struct err *err)
{
    bool is_masked = strcmp(c->kind, "masked") == 0;
    size_t n_source = method_count(method, METHOD_SOURCE);
    double source_values[INPUTS_MAX * METHOD_PARAMETERS_MAX];
    double whole_values[METHOD_PARAMETERS_MAX];
    struct checkpoint_tensor inputs[INPUTS_MAX + 1];
    const struct checkpoint_tensor *sources[INPUTS_MAX];
    const struct plan plan = {
        .method = method, .rules = {.strict = true, .exact_mergekit = c->exact}, .seed = c->seed};
    struct plan_tensor tensor = {.name = c->id,
                                 .n_dims = c->shape->n_dims,
                                 .n = c->n,
                                 .n_sources = c->k,
                                 .sources = sources,
                                 .source_values = source_values,
                                 .whole_values = whole_values,
                                 .keeps =
                                     is_masked ? (const unsigned char *const *)c->keeps : NULL};

    /* Fewer than a method takes may be left of a tensor that some models do not have. */
    if (c->k > method->sources_max || c->k + (c->base != NULL) == 0) {
        return err_set(err, ERR_FORMAT, "%zu sources", c->k);
    }
    memcpy(tensor.dims, c->shape->dims, c->shape->n_dims * sizeof(size_t));
    for (size_t i = 0; i < c->k; i++) {
        inputs[i] = stored(c->x[i]);
        sources[i] = &inputs[i];
        for (size_t p = 0; p < n_source; p++) {
            const struct method_parameter *parameter = method_at(method, METHOD_SOURCE, p);

            source_values[i * n_source + p] =
                number_of(model_params(c, i), parameter->name, parameter->fallback);
        }
    }
    for (size_t p = 0; p < method_count(method, METHOD_WHOLE); p++) {
        const struct method_parameter *parameter = method_at(method, METHOD_WHOLE, p);

        whole_values[p] = whole(c, parameter->name, parameter->fallback);
    }
    if (c->base != NULL) {
        inputs[INPUTS_MAX] = stored(c->base);
        tensor.base = &inputs[INPUTS_MAX];
    }
    struct blend *blend = blend_new();
    int rc = blend_tensor(blend, &plan, &tensor, c->out, err);
    blend_free(blend);
    return rc;
}

/* SKIPPED when we do not have the method; else *rc is what it returned. */
static enum outcome run_case(struct test_case *c, int *rc, struct err *err)
{
    const struct method *method;

    if (method_find(&method, c->method, NULL) != 0) {
        return SKIPPED;
    }
    *rc = blend_case(c, method, err);
    return PASSED;
}

/* ---- judging ---- */

static bool is_close(const struct test_case *c, struct folder *folder, const char *expect_key,
                     const char *tolerance_key, bool says)
{
    const json_t *tolerance = json_object_get(c->doc, tolerance_key);
    double rtol = number_of(tolerance, "rtol", 0);
    double atol = number_of(tolerance, "atol", 0);
    float *want =
        to_floats(find(folder, text_of(c->doc, "expect_file"), text_of(c->doc, expect_key)));
    bool close = true;

    for (size_t i = 0; i < c->n && close; i++) {
        double difference = fabs((double)c->out[i] - (double)want[i]);

        close = difference <= atol + rtol * fabs((double)want[i]);
        if (!close && says) {
            printf("%s: element %zu is %.9g, expected %.9g (%s)\n", c->id, i, (double)c->out[i],
                   (double)want[i], expect_key);
        }
    }
    free(want);
    return close;
}

/* The probabilities that the reference's draw would have used. */
static bool has_probabilities(const struct test_case *c, struct folder *folder)
{
    const struct della_shape shape = della_shape_of(c->shape->dims, c->shape->n_dims, c->n);
    size_t slab = shape.row * shape.stride;
    const json_t *names = json_object_get(c->doc, "keep_probs");
    double *p = mem_array(slab, sizeof *p);
    float *d = mem_array(slab, sizeof *d);
    float *base = to_floats(c->base);
    bool right = true;

    for (size_t i = 0; i < c->k && right; i++) {
        float *x = to_floats(c->x[i]);
        char key[24];

        snprintf(key, sizeof key, "m%zu", i);
        const char *name = text_of(names, key);
        for (size_t at = 0; name != NULL && at < c->n && right; at += slab) {
            float *want = to_floats(find(folder, text_of(c->doc, "expect_file"), name));

            for (size_t e = 0; e < slab; e++) {
                d[e] = x[at + e] - base[at + e];
            }
            della_probabilities(p, d, &shape, number_of(model_params(c, i), "density", 1),
                                number_of(model_params(c, i), "epsilon", 0.15));
            for (size_t e = 0; e < slab && right; e++) {
                right = fabs(p[e] - (double)want[at + e]) <= 1e-5;
            }
            free(want);
        }
        if (!right) {
            printf("%s: keep probabilities of %s differ\n", c->id, key);
        }
        free(x);
    }
    free(p);
    free(d);
    free(base);
    return right;
}

static bool is_expected(const struct test_case *c, struct folder *folder)
{
    if (json_object_get(c->doc, "keep_probs") != NULL && !has_probabilities(c, folder)) {
        return false;
    }
    if (!c->exact && json_object_get(c->doc, "expect_sane") != NULL) {
        return is_close(c, folder, "expect_sane", "tolerance", true);
    }
    if (json_object_get(c->doc, "expect_f32") != NULL) {
        return is_close(c, folder, "expect_f32", "tolerance_f32", true);
    }
    return is_close(c, folder, "expect", "tolerance", true);
}

static enum outcome judge(const struct test_case *c, struct folder *folder, bool quirk, int rc,
                          const struct err *err)
{
    bool refuses = strcmp(c->kind, "error") == 0 || strcmp(c->kind, "undefined") == 0;

    if (refuses) {
        bool may_pass = quirk && !c->exact; /* the slip is that it is refused */

        if (rc == 0 && !may_pass) {
            printf("%s: it should be refused\n", c->id);
        }
        return rc != 0 || may_pass ? PASSED : FAILED;
    }
    if (rc != 0) {
        printf("%s: refused: %s\n", c->id, err->text);
        return FAILED;
    }
    return is_expected(c, folder) ? PASSED : FAILED;
}

/* ---- draws ---- */

#define SIGMAS 5.5 /* for some thousand comparisons */

/* What many draws gave, an element: how often it stayed, and its result less the base. */
struct draws {
    size_t n_trials;
    float *base;                  /* [n] */
    double *kept, *sum, *squares; /* [n] */
    size_t n_kept;                /* all elements and trials */
};

static bool add_draw(const struct test_case *c, struct draws *draws)
{
    const json_t *expected = json_object_get(c->doc, "expected");
    double rate = number_of(expected, "mean_keep_rate", 0);
    double l1_expected = number_of(expected, "l1_of_output_delta_when_rescaled", 0);
    double l1 = 0.0;
    size_t kept = 0;

    for (size_t i = 0; i < c->n; i++) {
        double d = (double)c->out[i] - (double)draws->base[i];

        draws->kept[i] += d != 0.0;
        draws->sum[i] += d;
        draws->squares[i] += d * d;
        l1 += fabs(d);
        kept += d != 0.0;
    }
    draws->n_trials++;
    draws->n_kept += kept;
    if (fabs((double)kept / (double)c->n - rate) >
        number_of(expected, "mean_keep_rate_5sigma_for_1_trial", 0)) {
        printf("%s: draw %zu keeps %zu of %zu\n", c->id, draws->n_trials, kept, c->n);
        return false;
    }
    if (whole(c, "rescale", 0) != 0.0 && fabs(l1 / l1_expected - 1.0) > 1e-5) {
        printf("%s: draw %zu has L1 norm %.9g, expected %.9g\n", c->id, draws->n_trials, l1,
               l1_expected);
        return false;
    }
    return true;
}

/* Our rates and means against the reference's, each within its own spread. */
static bool are_alike(const struct test_case *c, struct folder *folder, const struct draws *draws)
{
    const char *file = text_of(c->doc, "expect_file");
    float *means = to_floats(find(folder, file, text_of(c->doc, "observed_mean_delta")));
    float *rates = to_floats(find(folder, file, text_of(c->doc, "observed_keep_rate")));
    double n = (double)draws->n_trials;
    double shares = 1.0 / n + 1.0 / number_of(c->doc, "reference_trials", n);
    double rate = number_of(json_object_get(c->doc, "expected"), "mean_keep_rate", 0);
    double all = n * (double)c->n;
    bool alike = fabs((double)draws->n_kept / all - rate) < SIGMAS * sqrt(0.25 / all);

    for (size_t i = 0; i < c->n && alike; i++) {
        double mean = draws->sum[i] / n;
        double variance = fmax(draws->squares[i] / n - mean * mean, 0.0);
        double kept = draws->kept[i] / n;

        alike = fabs(kept - (double)rates[i]) < SIGMAS * sqrt(0.25 * shares) &&
                fabs(mean - (double)means[i]) < SIGMAS * sqrt(variance * shares) + 1e-7;
        if (!alike) {
            printf("%s: element %zu stays %.4f (%.4f), mean %.6g (%.6g)\n", c->id, i, kept,
                   (double)rates[i], mean, (double)means[i]);
        }
    }
    free(means);
    free(rates);
    return alike;
}

static enum outcome run_draws(struct test_case *c, struct folder *folder, struct err *err)
{
    struct draws draws = {.base = to_floats(c->base),
                          .kept = mem_array(c->n, sizeof(double)),
                          .sum = mem_array(c->n, sizeof(double)),
                          .squares = mem_array(c->n, sizeof(double))};
    enum outcome outcome = PASSED;
    int rc = 0;

    while (outcome == PASSED && draws.n_trials < 3000) {
        c->seed = draws.n_trials;
        outcome = run_case(c, &rc, err);
        if (outcome == PASSED && (rc != 0 || !add_draw(c, &draws))) {
            outcome = FAILED;
        }
    }
    if (outcome == PASSED && !are_alike(c, folder, &draws)) {
        outcome = FAILED;
    }
    free(draws.base);
    free(draws.kept);
    free(draws.sum);
    free(draws.squares);
    return outcome;
}

static bool is_quirk(const json_t *doc)
{
    size_t i;
    json_t *tag;

    json_array_foreach(json_object_get(doc, "tags"), i, tag)
    {
        if (strcmp(json_string_value(tag), "quirk") == 0) {
            return true;
        }
    }
    return false;
}

static enum outcome run_exactly(struct test_case *c, struct folder *folder, bool exact, bool quirk,
                                struct err *err)
{
    int rc = 0;

    c->exact = exact;
    enum outcome outcome = run_case(c, &rc, err);
    return outcome == PASSED ? judge(c, folder, quirk, rc, err) : outcome;
}

static enum outcome run_and_judge(struct folder *folder, const json_t *doc)
{
    bool quirk = is_quirk(doc);
    enum outcome outcome;
    struct test_case c;
    struct err err;

    read_case(&c, folder, doc);
    if (strcmp(c.kind, "statistical") == 0) {
        outcome = run_draws(&c, folder, &err);
    } else {
        outcome = run_exactly(&c, folder, false, quirk, &err);
        if (outcome == PASSED && quirk) {
            outcome = run_exactly(&c, folder, true, quirk, &err);
        }
    }
    release_case(&c);
    return outcome;
}

int main(int argc, char **argv)
{
    size_t counts[OUTCOMES] = {0};
    struct folder folder = {.path = argc == 2 ? argv[1] : NULL};
    json_t *manifest = NULL;
    struct err err;
    size_t i;
    json_t *doc;

    if (argc != 2) {
        fprintf(stderr, "usage: merge_golden DIR\n");
        return 2;
    }
    char *path = file_join(argv[1], "manifest.json");
    must(doc_load(&manifest, path, MANIFEST_SIZE_MAX, &err), &err);
    json_array_foreach(json_object_get(manifest, "cases"), i, doc)
    {
        counts[run_and_judge(&folder, doc)]++;
    }
    for (size_t f = 0; f < folder.n_files; f++) {
        safetensors_close(&folder.files[f].file);
        free(folder.files[f].name);
    }
    json_decref(manifest);
    free(path);
    printf("%zu passed, %zu failed, %zu skipped\n", counts[PASSED], counts[FAILED],
           counts[SKIPPED]);
    return counts[FAILED] > 0 ? 1 : 0;
}
