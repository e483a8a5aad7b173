/*
 * models_golden.c - whole recipes against merged models that another implementation made.
 *
 *   models_golden DIR      any folder in the format of tests/golden/models/README.md
 *
 * A merge must resolve to the same plan (every parameter of every tensor), give the same tensors in
 * the folder it writes, and the same config. A refusal must come before anything is written. One
 * line for each case that fails, at the end "N passed, N failed"; exit code 1 when one failed.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/doc.h"
#include "base/file.h"
#include "base/mem.h"
#include "evaluator/merge/export.h"
#include "evaluator/merge/mergekit_plan.h"

#define FILE_MAX ((size_t)16 << 20)
#define SHARDED_CASE                                                            \
    "15-sharded-output" /* the one that was written in shards, of so many bytes \
                         */
#define SHARD_BYTES 20000

/* What a recipe became. */
struct merged {
    struct mergekit_recipe recipe;
    struct mergekit_models models;
    struct plan plan;
    struct text warnings;
    char *folder; /* where the model was written */
};

static void release(struct merged *merged)
{
    plan_release(&merged->plan);
    mergekit_models_close(&merged->models);
    mergekit_recipe_release(&merged->recipe);
    text_release(&merged->warnings);
    if (merged->folder != NULL) {
        file_remove_tree(merged->folder, NULL);
    }
    free(merged->folder);
}

static json_t *load(const char *folder, const char *name)
{
    char *path = file_join(folder, name);
    json_t *doc = NULL;
    struct err err;

    if (doc_load(&doc, path, FILE_MAX, &err) != 0) {
        fprintf(stderr, "models_golden: %s\n", err.text);
        exit(2);
    }
    free(path);
    return doc;
}

/* From the YAML to the folder. */
static int merge(struct merged *out, const char *root, const char *folder, const char *id,
                 bool exact, struct err *err)
{
    const struct plan_rules rules = {.strict = true, .exact_mergekit = exact};
    const char *scratch = getenv("TMPDIR");
    char *path = file_join(folder, "config.yaml");
    int rc = mergekit_recipe_load(&out->recipe, path, err);

    free(path);
    if (rc != 0 ||
        (rc = mergekit_models_open(&out->models, &out->recipe, root, &out->warnings, err)) != 0 ||
        (rc = mergekit_plan_make(&out->plan, &out->recipe, &out->models, &rules, 0, &out->warnings,
                                 err)) != 0) {
        return rc;
    }
    out->folder =
        mem_printf("%s/models_golden.%ld", scratch != NULL ? scratch : "/tmp", (long)getpid());
    file_remove_tree(out->folder, NULL);
    uint64_t shard_bytes = strcmp(id, SHARDED_CASE) == 0 ? SHARD_BYTES : 0;
    char weights[DIGEST_HEX];

    return export_write(&out->plan, out->folder, NULL, 0, shard_bytes, NULL, weights, err);
}

/* ---- plans ---- */

static const struct plan_tensor *find_planned(const struct plan *plan, const char *name)
{
    for (size_t i = 0; i < plan->n_tensors; i++) {
        if (strcmp(plan->tensors[i].name, name) == 0) {
            return &plan->tensors[i];
        }
    }
    return NULL;
}

static double number(const json_t *value)
{
    return json_is_boolean(value) ? (double)json_is_true(value) : json_number_value(value);
}

/* Parameters [of one scope] as the file has them. Those that we do not have change no value there
 * either (int8_mask; density of task_arithmetic); null is a scale that is not set. */
static int compare_parameters(const struct method *method, enum method_scope scope,
                              const double *values, const json_t *want, const char *tensor,
                              struct err *err)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)want, name, value)
    {
        size_t k = method_index(method, scope, name);
        double wanted = json_is_null(value) ? 1.0 : number(value);

        if (k != SIZE_MAX && fabs(values[k] - wanted) > 1e-12) {
            return err_set(err, ERR_CONFLICT, "plan: %s: %s is %g, should be %g", tensor, name,
                           values[k], wanted);
        }
    }
    return 0;
}

static int compare_source(const struct merged *merged, const struct plan_tensor *tensor, size_t s,
                          const json_t *want, struct err *err)
{
    const struct method *method = merged->plan.method;
    const char *name = json_string_value(json_object_get(want, "tensor"));
    const struct checkpoint_tensor *from = tensor->sources[s];

    /* A tied head is the embedding of that model. */
    if (strcmp(from->name, name) != 0 && from->part != TENSOR_PART_EMBEDDINGS) {
        return err_set(err, ERR_CONFLICT, "plan: %s: source %zu is %s, should be %s", tensor->name,
                       s, from->name, name);
    }
    const char *model = json_string_value(json_object_get(want, "model"));
    size_t n = strlen(from->folder);

    if (n < strlen(model) || strcmp(from->folder + n - strlen(model), model) != 0) {
        return err_set(err, ERR_CONFLICT, "plan: %s: source %zu is of %s, should be of %s",
                       tensor->name, s, from->folder, model);
    }
    return tensor->copies
               ? 0
               : compare_parameters(method, METHOD_SOURCE,
                                    tensor->source_values + s * method_count(method, METHOD_SOURCE),
                                    json_object_get(want, "params"), tensor->name, err);
}

static int compare_tensor_plan(const struct merged *merged, const json_t *want, struct err *err)
{
    const char *name = json_string_value(json_object_get(want, "tensor"));
    const char *base = json_string_value(json_object_get(want, "base_model"));
    const struct plan_tensor *tensor = find_planned(&merged->plan, name);
    const json_t *sources = json_object_get(want, "sources");
    size_t s = 0;
    int rc = 0;

    if (tensor == NULL) {
        return err_set(err, ERR_MISSING, "plan: %s: not planned", name);
    }
    for (size_t i = 0; i < json_array_size(sources) && rc == 0; i++) {
        const json_t *source = json_array_get(sources, i);
        const char *model = json_string_value(json_object_get(source, "model"));

        if (tensor->base != NULL && base != NULL && strcmp(model, base) == 0) {
            continue; /* its parameters have no effect */
        }
        if (s == tensor->n_sources) {
            return err_set(err, ERR_CONFLICT, "plan: %s: %zu sources only", name, s);
        }
        rc = compare_source(merged, tensor, s++, source, err);
    }
    if (rc == 0 && s != tensor->n_sources) {
        rc = err_set(err, ERR_CONFLICT, "plan: %s: %zu sources, should be %zu", name,
                     tensor->n_sources, s);
    }
    return rc != 0 || tensor->copies
               ? rc
               : compare_parameters(merged->plan.method, METHOD_WHOLE, tensor->whole_values,
                                    json_object_get(want, "params"), name, err);
}

static int compare_plan(const struct merged *merged, const char *folder, struct err *err)
{
    json_t *want = load(folder, "plan.json");
    int rc = 0;

    for (size_t i = 0; i < json_array_size(want) && rc == 0; i++) {
        rc = compare_tensor_plan(merged, json_array_get(want, i), err);
    }
    if (rc == 0 && json_array_size(want) != merged->plan.n_tensors) {
        rc = err_set(err, ERR_CONFLICT, "plan: %zu tensors, should be %zu", merged->plan.n_tensors,
                     json_array_size(want));
    }
    json_decref(want);
    return rc;
}

/* ---- written models ---- */

static int compare_values(const struct checkpoint_tensor *got, const struct checkpoint_tensor *want,
                          double rtol, double atol, struct err *err)
{
    float *a = mem_array(got->n_elements, sizeof(float));
    float *b = mem_array(got->n_elements, sizeof(float));
    int rc = 0;

    dtype_to_f32(a, got->data, got->dtype, got->n_elements);
    dtype_to_f32(b, want->data, want->dtype, want->n_elements);
    for (size_t e = 0; e < got->n_elements && rc == 0; e++) {
        if (!(fabs((double)a[e] - (double)b[e]) <= atol + rtol * fabs((double)b[e]))) {
            rc = err_set(err, ERR_CONFLICT, "%s: element %zu is %.9g, should be %.9g", got->name, e,
                         (double)a[e], (double)b[e]);
        }
    }
    free(a);
    free(b);
    return rc;
}

static int compare_weights(struct checkpoint *got, struct checkpoint *want, const json_t *tolerance,
                           struct err *err)
{
    double rtol = json_number_value(json_object_get(tolerance, "rtol"));
    double atol = json_number_value(json_object_get(tolerance, "atol"));
    int rc = checkpoint_compare(got, want, err);

    for (size_t i = 0; i < checkpoint_count(want) && rc == 0; i++) {
        const struct checkpoint_tensor *wanted = checkpoint_at(want, i);
        const struct checkpoint_tensor *tensor = checkpoint_find(got, wanted->name);

        if (tensor == NULL) { /* a head that one side ties */
            return err_set(err, ERR_MISSING, "%s: not written", wanted->name);
        }
        if (tensor->dtype != wanted->dtype) {
            return err_set(err, ERR_CONFLICT, "%s: its type is %s, should be %s", tensor->name,
                           dtype_name(tensor->dtype), dtype_name(wanted->dtype));
        }
        rc = compare_values(tensor, wanted, rtol, atol, err);
    }
    return rc;
}

/* Fields of the written config.json: those that count, those said to be right where the reference
 * is not. */
static int compare_config(const char *got_folder, const char *want_folder, const json_t *sane,
                          struct err *err)
{
    static const char *const keys[] = {"num_hidden_layers", "vocab_size", "torch_dtype"};
    json_t *got = load(got_folder, "config.json");
    json_t *want = load(want_folder, "config.json");
    const char *key;
    json_t *value;
    int rc = 0;

    json_object_update((json_t *)want, (json_t *)sane);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]) && rc == 0; i++) {
        if (!json_equal(json_object_get(got, keys[i]), json_object_get(want, keys[i]))) {
            rc = err_set(err, ERR_CONFLICT, "config.json: %s differs", keys[i]);
        }
    }
    json_object_foreach((json_t *)sane, key, value)
    {
        if (!json_equal(json_object_get(got, key), value)) {
            rc = err_set(err, ERR_CONFLICT, "config.json: %s differs", key);
        }
    }
    json_decref(got);
    json_decref(want);
    return rc;
}

/* An expected folder may hold what a loader refuses, a config that denies its weights: it is opened
 * with the config that was written. */
static int open_expected(struct checkpoint **out, const char *expected, const char *got,
                         const char *scratch, struct err *err)
{
    char *command = mem_printf("mkdir '%s' && cp -r '%s'/. '%s' && chmod -R u+w '%s' && "
                               "cp '%s/config.json' '%s'",
                               scratch, expected, scratch, scratch, got, scratch);
    int rc = system(command) == 0 ? 0 : err_set(err, ERR_IO, "%s", command);

    free(command);
    return rc != 0 ? rc : checkpoint_open(out, scratch, err);
}

static int compare_model(const struct merged *merged, const char *expected, const json_t *doc,
                         struct err *err)
{
    char *scratch = mem_printf("%s.expected", merged->folder);
    struct checkpoint *got = NULL;
    struct checkpoint *want = NULL;

    file_remove_tree(scratch, NULL);
    int rc = checkpoint_open(&got, merged->folder, err);
    if (rc == 0) {
        rc = open_expected(&want, expected, merged->folder, scratch, err);
    }
    if (rc == 0) {
        rc = compare_weights(got, want, json_object_get(doc, "tolerance"), err);
    }
    checkpoint_close(got);
    checkpoint_close(want);
    file_remove_tree(scratch, NULL);
    free(scratch);
    return rc;
}

static int compare_shards(const struct merged *merged, const char *expected, struct err *err)
{
    json_t *got = load(merged->folder, "model.safetensors.index.json");
    json_t *want = load(expected, "model.safetensors.index.json");
    const char *const path = "metadata";
    int rc = 0;

    if (!json_equal(json_object_get(json_object_get(got, path), "total_size"),
                    json_object_get(json_object_get(want, path), "total_size"))) {
        rc = err_set(err, ERR_CONFLICT, "model.safetensors.index.json: total_size differs");
    }
    json_decref(got);
    json_decref(want);
    return rc;
}

/* ---- cases ---- */

static int run_merge(const char *root, const char *folder, const json_t *doc, bool exact,
                     struct err *err)
{
    const char *id = json_string_value(json_object_get(doc, "id"));
    bool has_sane = json_is_true(json_object_get(doc, "expected_sane"));
    const json_t *config = json_object_get(doc, "config_sane"); /* else no loader takes it */
    const json_t *sane = exact ? NULL : config;
    char *expected = file_join(folder, has_sane && !exact ? "expected_sane" : "expected");
    struct merged merged = {0};
    int rc = merge(&merged, root, folder, id, exact, err);

    /* plan.json is the reference's own. */
    if (rc == 0 && (exact || !has_sane)) {
        rc = compare_plan(&merged, folder, err);
    }
    if (rc == 0) {
        rc = compare_config(merged.folder, expected, sane, err);
    }
    if (rc == 0 && (!exact || config == NULL)) {
        rc = compare_model(&merged, expected, doc, err);
    }
    if (rc == 0 && strcmp(id, SHARDED_CASE) == 0) {
        rc = compare_shards(&merged, expected, err);
    }
    release(&merged);
    free(expected);
    return rc;
}

static int run_refusal(const char *root, const char *folder, struct err *err)
{
    struct merged merged = {0};
    int rc = merge(&merged, root, folder, "", false, err);
    bool refused = rc != 0 && err->text[0] != '\0' && strchr(err->text, '\n') == NULL;
    bool wrote = merged.folder != NULL && file_exists(merged.folder);

    release(&merged);
    if (wrote) {
        return err_set(err, ERR_CONFLICT, "something was written");
    }
    return refused ? 0 : err_set(err, ERR_CONFLICT, "not refused");
}

/* The case as braid merges it, and where the reference slips, as --exact-mergekit does. */
static int run_case(const char *root, const char *id, struct err *err)
{
    char *cases = file_join(root, "cases");
    char *folder = file_join(cases, id);
    json_t *doc = load(folder, "case.json");
    const char *kind = json_string_value(json_object_get(doc, "kind"));
    bool slips = json_object_get(doc, "expected_sane") != NULL ||
                 json_object_get(doc, "config_sane") != NULL;
    int rc;

    if (strcmp(kind, "error") == 0) {
        rc = run_refusal(root, folder, err);
    } else {
        rc = run_merge(root, folder, doc, false, err);
        if (rc == 0 && slips) {
            rc = run_merge(root, folder, doc, true, err) != 0 ? err_wrap(err, "exact") : 0;
        }
    }
    json_decref(doc);
    free(folder);
    free(cases);
    return rc;
}

int main(int argc, char **argv)
{
    size_t passed = 0;
    size_t failed = 0;

    if (argc != 2) {
        fprintf(stderr, "Usage: models_golden DIR\n");
        return 2;
    }
    json_t *manifest = load(argv[1], "manifest.json");
    const json_t *cases = json_object_get(manifest, "cases");

    for (size_t i = 0; i < json_array_size(cases); i++) {
        const char *id = json_string_value(json_object_get(json_array_get(cases, i), "id"));
        struct err err = {0};

        if (run_case(argv[1], id, &err) == 0) {
            passed++;
        } else {
            failed++;
            printf("%s: %s\n", id, err.text);
        }
    }
    json_decref(manifest);
    printf("%zu passed, %zu failed\n", passed, failed);
    return failed > 0;
}
