/*
 * merge_golden.c - our merges against vectors that another implementation made.
 *
 *   merge_golden DIR      any folder in the format of tests/golden/merge/README.md
 *
 * One line for each case that fails, with the first element that differs, and at the end
 * "N passed, N failed, N skipped". Skipped are methods that we do not have and draws at random,
 * which have no element-wise answer. Exit code 1 when a case failed.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/doc.h"
#include "base/file.h"
#include "base/mem.h"
#include "evaluator/merge/blend.h"
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
}

static void release_case(struct test_case *c)
{
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

/* Our table leaves out what nobody should search over; the vectors name it, so here it is back. */
static struct method with_parameter(struct method method, const char *name, enum method_kind kind,
                                    double fallback)
{
    if (method_parameter_find(&method, name) == NULL) {
        method.parameters[method.n_parameters++] = (struct method_parameter){
            .name = name, .scope = METHOD_WHOLE, .kind = kind, .fallback = fallback};
    }
    return method;
}

static int blend_case(struct test_case *c, const struct method *method, struct err *err)
{
    struct method wider = with_parameter(*method, "rescale", METHOD_BOOL, 0);
    size_t n_source = method_count(&wider, METHOD_SOURCE);
    double source_values[INPUTS_MAX * METHOD_PARAMETERS_MAX];
    double whole_values[METHOD_PARAMETERS_MAX];
    struct checkpoint_tensor inputs[INPUTS_MAX + 1];
    const struct checkpoint_tensor *sources[INPUTS_MAX];
    const struct plan plan = {.method = &wider, .rules = {.strict = true}};
    struct plan_tensor tensor = {.name = c->id,
                                 .n_dims = c->shape->n_dims,
                                 .n = c->n,
                                 .n_sources = c->k,
                                 .sources = sources,
                                 .source_values = source_values,
                                 .whole_values = whole_values};

    /* Fewer than a method takes may be left of a tensor that some models do not have. */
    if (c->k > wider.sources_max || c->k + (c->base != NULL) == 0) {
        return err_set(err, ERR_FORMAT, "%zu sources", c->k);
    }
    memcpy(tensor.dims, c->shape->dims, c->shape->n_dims * sizeof(size_t));
    for (size_t i = 0; i < c->k; i++) {
        inputs[i] = stored(c->x[i]);
        sources[i] = &inputs[i];
        for (size_t p = 0; p < n_source; p++) {
            const struct method_parameter *parameter = method_at(&wider, METHOD_SOURCE, p);

            source_values[i * n_source + p] =
                number_of(model_params(c, i), parameter->name, parameter->fallback);
        }
    }
    for (size_t p = 0; p < method_count(&wider, METHOD_WHOLE); p++) {
        const struct method_parameter *parameter = method_at(&wider, METHOD_WHOLE, p);

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

    if (strcmp(c->kind, "masked") == 0 || strcmp(c->kind, "statistical") == 0) {
        return SKIPPED;
    }
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

static enum outcome judge(const struct test_case *c, struct folder *folder, int rc,
                          const struct err *err)
{
    bool refuses = strcmp(c->kind, "error") == 0 || strcmp(c->kind, "undefined") == 0;

    if (refuses) {
        if (rc == 0) {
            printf("%s: it should be refused\n", c->id);
        }
        return rc != 0 ? PASSED : FAILED;
    }
    if (rc != 0) {
        printf("%s: refused: %s\n", c->id, err->text);
        return FAILED;
    }
    /* Where the reference slips, what it should have said counts. */
    if (json_object_get(c->doc, "expect_sane") != NULL) {
        return is_close(c, folder, "expect_sane", "tolerance", true) ? PASSED : FAILED;
    }
    if (json_object_get(c->doc, "expect_f32") != NULL) {
        return is_close(c, folder, "expect_f32", "tolerance_f32", true) ? PASSED : FAILED;
    }
    return is_close(c, folder, "expect", "tolerance", true) ? PASSED : FAILED;
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
        struct test_case c;
        int rc = 0;

        read_case(&c, &folder, doc);
        enum outcome outcome = run_case(&c, &rc, &err);
        counts[outcome == SKIPPED ? SKIPPED : judge(&c, &folder, rc, &err)]++;
        release_case(&c);
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
