/*
 * mergekit_recipe.c - mergekit's YAML to slices of sources.
 */
#include "evaluator/merge/mergekit_recipe.h"

#include <stdlib.h>
#include <string.h>

#include "base/doc.h"
#include "base/mem.h"
#include "evaluator/merge/mergekit.h"
#include "evaluator/merge/mergekit_setting.h"
#include "evaluator/merge/mergekit_tokenizer.h"
#include "study/yaml.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define LAYERS_MAX 1000000 /* of a layer_range, far beyond any model */

/* ---- small helpers ---- */

/* A member that is there and says something: mergekit reads null as absent. */
static const json_t *given(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_null(value) ? NULL : value;
}

/* A warning for each key of object nobody reads. */
static void warn_unknown(struct mergekit_recipe *recipe, const json_t *object, const char *where,
                         const char *const *known, size_t n)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)object, key, value)
    {
        bool found = false;

        for (size_t i = 0; i < n && !found; i++) {
            found = strcmp(key, known[i]) == 0;
        }
        if (!found) {
            const char *near = text_nearest(key, known, n);

            text_printf(&recipe->warnings, "%s%s%s: unknown key, ignored%s%s%s\n", where,
                        where[0] != '\0' ? "." : "", key, near != NULL ? "; did you mean " : "",
                        near != NULL ? near : "", near != NULL ? "?" : "");
        }
    }
}

static int expect_list(const json_t *value, const char *where, size_t max, struct err *err)
{
    if (!json_is_array(value)) {
        return err_set(err, ERR_FORMAT, "%s: expected a list, got %s", where, doc_kind(value));
    }
    if (json_array_size(value) == 0) {
        return err_set(err, ERR_FORMAT, "%s: an empty list", where);
    }
    if (json_array_size(value) > max) {
        return err_set(err, ERR_LIMIT, "%s: %zu entries, at most %zu", where,
                       json_array_size(value), max);
    }
    return 0;
}

static int expect_object(const json_t *value, const char *where, struct err *err)
{
    if (!json_is_object(value)) {
        return err_set(err, ERR_FORMAT, "%s: expected a mapping, got %s", where, doc_kind(value));
    }
    return 0;
}

/* ---- models ---- */

int mergekit_recipe_model(struct mergekit_recipe *recipe, const json_t *reference,
                          const char *where, size_t *out, struct err *err)
{
    struct mergekit_model model;
    int rc = mergekit_model_parse(&model, reference, where, err);

    if (rc != 0) {
        return rc;
    }
    for (size_t m = 0; m < recipe->n_models; m++) {
        if (strcmp(recipe->models[m].name, model.name) == 0) {
            mergekit_model_release(&model);
            *out = m;
            return 0;
        }
    }
    if (model.overrides_architecture) {
        text_printf(&recipe->warnings,
                    "%s: override_architecture is ignored; tensors are told by their names\n",
                    where);
    }
    recipe->models = mem_resize(recipe->models, recipe->n_models + 1, sizeof(*recipe->models));
    recipe->models[recipe->n_models] = model;
    *out = recipe->n_models++;
    return 0;
}

/* ---- parameters ---- */

/* Parameters the reference knows and that change no value. */
static bool has_no_effect(const struct method *method, const char *parameter)
{
    return strcmp(parameter, "int8_mask") == 0 ||
           (strcmp(method->name, "task_arithmetic") == 0 &&
            (strcmp(parameter, "density") == 0 || strcmp(parameter, "rescale") == 0));
}

static void warn_parameter(struct mergekit_recipe *recipe, const char *name, bool in_source,
                           const char *where)
{
    const struct method *method = recipe->method;
    const struct method_parameter *parameter = method_parameter_find(method, name);
    const char *names[METHOD_PARAMETERS_MAX];

    if (parameter != NULL && parameter->scope == METHOD_WHOLE && in_source) {
        text_printf(&recipe->warnings,
                    "%s: %s is one value for all models; inside a model's block nothing reads it\n",
                    where, name);
    }
    if (parameter != NULL && !method->ours && mergekit_ignores(method, parameter)) {
        text_printf(&recipe->warnings,
                    "%s: %s of %s is braid's own; mergekit 0.1.4 and --exact-mergekit ignore it\n",
                    where, name, method->name);
    }
    if (parameter != NULL || has_no_effect(method, name)) {
        return;
    }
    for (size_t i = 0; i < method->n_parameters; i++) {
        names[i] = method->parameters[i].name;
    }
    const char *near = text_nearest(name, names, method->n_parameters);

    text_printf(&recipe->warnings, "%s: %s has no such parameter, ignored%s%s%s\n", where,
                method->name, near != NULL ? "; did you mean " : "", near != NULL ? near : "",
                near != NULL ? "?" : "");
}

/* Unknown keys of a setting's conditions. */
static void warn_conditions(struct mergekit_recipe *recipe, const json_t *setting,
                            const char *where)
{
    static const char *const keys[] = {"filter", "value"};

    if (json_is_object(setting)) {
        warn_unknown(recipe, setting, where, keys, COUNT(keys));
    }
    for (size_t i = 0; i < json_array_size(setting); i++) {
        char place[MERGEKIT_WHERE_MAX];

        mergekit_where(place, "%s[%zu]", where, i);
        warn_unknown(recipe, json_array_get(setting, i), place, keys, COUNT(keys));
    }
}

/* The parameters beside a model, a slice, a module or at the top. */
static int read_parameters(struct mergekit_recipe *recipe, const json_t *around, bool in_source,
                           const char *where, const json_t **out, struct err *err)
{
    const json_t *parameters = given(around, "parameters");
    char place[MERGEKIT_WHERE_MAX];
    const char *name;
    json_t *setting;

    *out = parameters;
    if (parameters == NULL) {
        return 0;
    }
    mergekit_where(place, "%s%sparameters", where, where[0] != '\0' ? "." : "");
    int rc = expect_object(parameters, place, err);

    json_object_foreach((json_t *)parameters, name, setting)
    {
        mergekit_where(place, "%s%sparameters.%s", where, where[0] != '\0' ? "." : "", name);
        rc = mergekit_setting_check(setting, place, err);
        if (rc != 0) {
            return rc;
        }
        warn_parameter(recipe, name, in_source, place);
        warn_conditions(recipe, setting, place);
    }
    return rc;
}

/* ---- slices ---- */

static int read_range(struct mergekit_source *source, const json_t *around, const char *where,
                      struct err *err)
{
    const json_t *range = given(around, "layer_range");
    const json_t *first = json_array_get(range, 0);
    const json_t *end = json_array_get(range, 1);

    if (range == NULL) {
        return err_set(err, ERR_FORMAT, "%s.layer_range: missing", where);
    }
    if (!json_is_integer(first) || !json_is_integer(end) || json_array_size(range) != 2) {
        return err_set(err, ERR_FORMAT, "%s.layer_range: expected [first, end]", where);
    }
    json_int_t a = json_integer_value(first);
    json_int_t b = json_integer_value(end);

    if (a < 0 || b < a || b > LAYERS_MAX) {
        return err_set(err, ERR_FORMAT, "%s.layer_range: [%lld, %lld] is no range of layers", where,
                       (long long)a, (long long)b);
    }
    source->first = (uint32_t)a;
    source->end = (uint32_t)b;
    return 0;
}

/* One model of a slice, or of models when that is the form. */
static int read_source(struct mergekit_recipe *recipe, struct mergekit_slice *slice,
                       const json_t *doc, const char *where, struct err *err)
{
    static const char *const keys[] = {"model", "parameters", "layer_range"};
    struct mergekit_source source = {0};
    char place[MERGEKIT_WHERE_MAX];
    int rc = expect_object(doc, where, err);

    if (rc != 0) {
        return rc;
    }
    if (given(doc, "model") == NULL) {
        return err_set(err, ERR_FORMAT, "%s.model: missing", where);
    }
    mergekit_where(place, "%s.model", where);
    warn_unknown(recipe, doc, where, keys, COUNT(keys) - recipe->whole);
    if ((rc = mergekit_recipe_model(recipe, given(doc, "model"), place, &source.model, err)) != 0 ||
        (rc = read_parameters(recipe, doc, true, where, &source.parameters, err)) != 0 ||
        (!recipe->whole && (rc = read_range(&source, doc, where, err)) != 0)) {
        return rc;
    }
    for (size_t s = 0; s < slice->n_sources; s++) {
        if (slice->sources[s].model == source.model) {
            return err_set(err, ERR_FORMAT, "%s: %s is listed twice", where,
                           recipe->models[source.model].name);
        }
    }
    slice->sources[slice->n_sources++] = source;
    return 0;
}

static int read_sources(struct mergekit_recipe *recipe, struct mergekit_slice *slice,
                        const json_t *list, const char *where, struct err *err)
{
    int rc = expect_list(list, where, METHOD_SOURCES_MAX, err);

    if (rc != 0) {
        return rc;
    }
    /* One more: the base of whole models, which need not be listed. */
    slice->sources = mem_array(json_array_size(list) + 1, sizeof(*slice->sources));
    for (size_t s = 0; s < json_array_size(list) && rc == 0; s++) {
        char place[MERGEKIT_WHERE_MAX];

        mergekit_where(place, "%s[%zu]", where, s);
        rc = read_source(recipe, slice, json_array_get(list, s), place, err);
    }
    for (size_t s = 1; s < slice->n_sources && rc == 0; s++) {
        const struct mergekit_source *a = &slice->sources[0];
        const struct mergekit_source *b = &slice->sources[s];

        if (a->end - a->first != b->end - b->first) {
            rc = err_set(err, ERR_FORMAT,
                         "%s: sources of one slice have as many layers: %s gives %u, %s gives %u",
                         where, recipe->models[a->model].name, a->end - a->first,
                         recipe->models[b->model].name, b->end - b->first);
        }
    }
    return rc;
}

static int read_slice(struct mergekit_recipe *recipe, const json_t *doc, const char *where,
                      struct err *err)
{
    static const char *const keys[] = {"sources", "base_model", "parameters"};
    struct mergekit_slice *slice = &recipe->slices[recipe->n_slices++];
    char place[MERGEKIT_WHERE_MAX];
    int rc = expect_object(doc, where, err);

    slice->base = recipe->base;
    if (rc != 0) {
        return rc;
    }
    warn_unknown(recipe, doc, where, keys, COUNT(keys));
    mergekit_where(place, "%s.base_model", where);
    if (given(doc, "base_model") != NULL &&
        (rc = mergekit_recipe_model(recipe, given(doc, "base_model"), place, &slice->base, err)) !=
            0) {
        return rc;
    }
    mergekit_where(place, "%s.sources", where);
    rc = read_sources(recipe, slice, given(doc, "sources"), place, err);
    return rc != 0 ? rc : read_parameters(recipe, doc, false, where, &slice->parameters, err);
}

/* models: one slice of all layers, the base among its sources whether it is listed or not. */
static int read_models(struct mergekit_recipe *recipe, const json_t *list, const char *where,
                       struct err *err)
{
    struct mergekit_slice *slice = mem_array(1, sizeof(*slice));

    recipe->slices = slice;
    recipe->n_slices = 1;
    recipe->whole = true;
    slice->base = recipe->base;
    int rc = read_sources(recipe, slice, list, where, err);
    if (rc != 0 || recipe->base == MERGEKIT_NONE) {
        return rc;
    }
    for (size_t s = 0; s < slice->n_sources; s++) {
        if (slice->sources[s].model == recipe->base) {
            return 0;
        }
    }
    slice->sources[slice->n_sources++] = (struct mergekit_source){.model = recipe->base};
    return 0;
}

static int read_slices(struct mergekit_recipe *recipe, const json_t *list, const char *where,
                       struct err *err)
{
    int rc = expect_list(list, where, MERGEKIT_SLICES_MAX, err);

    if (rc != 0) {
        return rc;
    }
    recipe->slices = mem_array(json_array_size(list), sizeof(*recipe->slices));
    for (size_t i = 0; i < json_array_size(list) && rc == 0; i++) {
        char place[MERGEKIT_WHERE_MAX];

        mergekit_where(place, "%s[%zu]", where, i);
        rc = read_slice(recipe, json_array_get(list, i), place, err);
    }
    return rc;
}

/* Exactly one of models and slices (and, at the top, modules). */
static int read_layers(struct mergekit_recipe *recipe, const json_t *doc, const char *where,
                       struct err *err)
{
    const json_t *models = given(doc, "models");
    const json_t *slices = given(doc, "slices");
    char place[MERGEKIT_WHERE_MAX];

    if ((models != NULL) == (slices != NULL)) {
        return err_set(err, ERR_FORMAT, "%s%s%s", where, where[0] != '\0' ? ": " : "",
                       models != NULL ? "models and slices are two forms of one thing; write one"
                                      : "neither models nor slices; what is to be merged?");
    }
    mergekit_where(place, "%s%s%s", where, where[0] != '\0' ? "." : "",
                   models != NULL ? "models" : "slices");
    return models != NULL ? read_models(recipe, models, place, err)
                          : read_slices(recipe, slices, place, err);
}

static int read_modules(struct mergekit_recipe *recipe, const json_t *modules, struct err *err)
{
    static const char where[] = "modules.default";
    static const char *const keys[] = {"models", "slices", "parameters"};
    const char *name;
    json_t *module;
    int rc = expect_object(modules, "modules", err);

    if (rc != 0) {
        return rc;
    }
    json_object_foreach((json_t *)modules, name, module)
    {
        if (strcmp(name, "default") != 0) {
            return err_set(err, ERR_FORMAT,
                           "modules.%s: models with more than one stack of layers cannot be "
                           "merged by module; only default is known",
                           name);
        }
    }
    module = json_object_get(modules, "default");
    rc = expect_object(module, where, err);
    if (rc != 0) {
        return rc;
    }
    warn_unknown(recipe, module, where, keys, COUNT(keys));
    rc = read_layers(recipe, module, where, err);
    return rc != 0 ? rc
                   : read_parameters(recipe, module, false, where, &recipe->module_parameters, err);
}

/* ---- the top ---- */

static int read_method(struct mergekit_recipe *recipe, const json_t *doc, struct err *err)
{
    const char *name;
    int rc = doc_text(doc, "merge_method", &name, err);

    if (rc != 0) {
        return rc;
    }
    return method_find(&recipe->method, name, err) != 0 ? err_wrap(err, "merge_method") : 0;
}

static int parse_dtype(const char *name, const char *where, enum dtype *out, struct err *err)
{
    static const char prefix[] = "torch.";

    if (name != NULL && strncmp(name, prefix, strlen(prefix)) == 0) {
        name += strlen(prefix);
    }
    if (name == NULL || !dtype_config_parse(name, out) ||
        (*out != DTYPE_F32 && *out != DTYPE_F16 && *out != DTYPE_BF16)) {
        return err_set(err, ERR_FORMAT, "%s: expected float32, float16 or bfloat16%s%s", where,
                       name != NULL ? ", got " : "", name != NULL ? name : "");
    }
    return 0;
}

static int read_dtype(const json_t *doc, const char *key, bool *has, enum dtype *out,
                      struct err *err)
{
    const json_t *value = given(doc, key);

    if (value == NULL) {
        return 0;
    }
    *has = true;
    return parse_dtype(json_string_value(value), key, out, err);
}

/* tokenizer_source: X is tokenizer: {source: X}. */
static int read_tokenizer(struct mergekit_recipe *recipe, const json_t *doc, struct err *err)
{
    static const char *const keys[] = {"source", "tokens", "pad_to_multiple_of"};
    const json_t *tokenizer = given(doc, "tokenizer");
    const json_t *source = given(doc, "tokenizer_source");

    if (tokenizer != NULL && source != NULL) {
        return err_set(err, ERR_FORMAT,
                       "tokenizer and tokenizer_source are two forms of one thing; write one");
    }
    recipe->n_inputs = recipe->n_models;
    if (source == NULL && tokenizer == NULL) {
        return 0;
    }
    if (source != NULL) {
        recipe->tokenizer = json_pack("{s:O}", "source", source);
    } else {
        int rc = expect_object(tokenizer, "tokenizer", err);

        if (rc != 0) {
            return rc;
        }
        warn_unknown(recipe, tokenizer, "tokenizer", keys, COUNT(keys));
        recipe->tokenizer = json_deep_copy(tokenizer);
    }
    int rc = mergekit_tokenizer_read(&recipe->vocabulary, recipe, recipe->tokenizer, err);
    recipe->has_vocabulary = rc == 0;
    return rc;
}

static int read_chat_template(struct mergekit_recipe *recipe, const json_t *doc, struct err *err)
{
    const json_t *value = given(doc, "chat_template");

    if (value != NULL && !json_is_string(value)) {
        return err_set(err, ERR_FORMAT, "chat_template: expected a text, got %s", doc_kind(value));
    }
    recipe->chat_template = json_string_value(value);
    return 0;
}

static int read_all(struct mergekit_recipe *recipe, struct err *err)
{
    static const char *const keys[] = {"merge_method",  "models",           "slices",
                                       "modules",       "base_model",       "parameters",
                                       "dtype",         "tokenizer_source", "tokenizer",
                                       "chat_template", "out_dtype"};
    const json_t *doc = recipe->doc;
    const json_t *base = given(doc, "base_model");
    const json_t *modules = given(doc, "modules");
    int rc = read_method(recipe, doc, err);

    if (rc != 0) {
        return rc;
    }
    warn_unknown(recipe, doc, "", keys, COUNT(keys));
    if (base != NULL &&
        (rc = mergekit_recipe_model(recipe, base, "base_model", &recipe->base, err)) != 0) {
        return rc;
    }
    if (modules != NULL && (given(doc, "models") != NULL || given(doc, "slices") != NULL)) {
        return err_set(err, ERR_FORMAT,
                       "modules, models and slices are forms of one thing; write one");
    }
    if ((rc = modules != NULL ? read_modules(recipe, modules, err)
                              : read_layers(recipe, doc, "", err)) != 0 ||
        (rc = read_parameters(recipe, doc, false, "", &recipe->parameters, err)) != 0 ||
        (rc = read_dtype(doc, "dtype", &recipe->has_dtype, &recipe->dtype, err)) != 0 ||
        (rc = read_dtype(doc, "out_dtype", &recipe->has_out_dtype, &recipe->out_dtype, err)) != 0 ||
        (rc = read_tokenizer(recipe, doc, err)) != 0) {
        return rc;
    }
    return read_chat_template(recipe, doc, err);
}

int mergekit_recipe_parse(struct mergekit_recipe *out, json_t *doc, struct err *err)
{
    struct mergekit_recipe made = {.base = MERGEKIT_NONE};

    if (!json_is_object(doc)) {
        return err_set(err, ERR_FORMAT, "expected a mapping, got %s", doc_kind(doc));
    }
    made.doc = json_incref(doc);
    int rc = read_all(&made, err);
    if (rc != 0) {
        mergekit_recipe_release(&made);
        return rc;
    }
    *out = made;
    return 0;
}

int mergekit_recipe_load(struct mergekit_recipe *out, const char *path, struct err *err)
{
    json_t *doc = NULL;
    int rc = yaml_load(&doc, path, err);

    if (rc != 0) {
        return rc;
    }
    rc = mergekit_recipe_parse(out, doc, err);
    json_decref(doc);
    return rc != 0 ? err_wrap(err, "%s", path) : 0;
}

int mergekit_recipe_store_as(struct mergekit_recipe *recipe, const char *type, struct err *err)
{
    int rc = parse_dtype(type, "out_dtype", &recipe->out_dtype, err);

    if (rc == 0) {
        recipe->has_out_dtype = true;
        json_object_set_new(recipe->doc, "out_dtype", json_string(type));
    }
    return rc;
}

void mergekit_recipe_release(struct mergekit_recipe *recipe)
{
    for (size_t m = 0; m < recipe->n_models; m++) {
        mergekit_model_release(&recipe->models[m]);
    }
    for (size_t i = 0; i < recipe->n_slices; i++) {
        free(recipe->slices[i].sources);
    }
    free(recipe->models);
    free(recipe->slices);
    free((void *)recipe->vocabulary.tokens);
    json_decref(recipe->tokenizer);
    json_decref(recipe->doc);
    text_release(&recipe->warnings);
    *recipe = (struct mergekit_recipe){0};
}

bool mergekit_recipe_value(const struct mergekit_recipe *recipe, const struct mergekit_slice *slice,
                           size_t source, const char *parameter, const char *tensor,
                           double position, double *out)
{
    const json_t *levels[] = {
        source != MERGEKIT_NONE ? slice->sources[source].parameters : NULL,
        slice->parameters,
        recipe->module_parameters,
        recipe->parameters,
    };

    for (size_t i = 0; i < COUNT(levels); i++) {
        if (mergekit_setting_resolve(json_object_get(levels[i], parameter), tensor, position,
                                     out)) {
            return true;
        }
    }
    return false;
}

/* ---- printing ---- */

/* Replace the texts of a document that name models, wherever a reference stands. */
static void relabel(json_t *doc, const char *key, const struct mergekit_recipe *recipe,
                    const char *const *names)
{
    struct mergekit_model model;

    /* {kind: ..., model: ...} stands where a reference may; its own model is met later. */
    if (given(doc, key) == NULL || given(given(doc, key), "kind") != NULL ||
        mergekit_model_parse(&model, given(doc, key), "", NULL) != 0) {
        return;
    }
    for (size_t m = 0; m < recipe->n_models; m++) {
        if (strcmp(recipe->models[m].name, model.name) == 0) {
            json_object_set_new(doc, key, json_string(names[m]));
        }
    }
    mergekit_model_release(&model);
}

/* base_model, model and source are the keys that hold references; what is no reference of the
 * recipe ("union") stays. */
static void relabel_all(json_t *doc, const struct mergekit_recipe *recipe, const char *const *names)
{
    static const char *const keys[] = {"base_model", "model", "source", "tokenizer_source"};
    const char *key;
    json_t *value;

    for (size_t i = 0; i < COUNT(keys) && json_is_object(doc); i++) {
        relabel(doc, keys[i], recipe, names);
    }
    json_object_foreach(doc, key, value)
    {
        relabel_all(value, recipe, names);
    }
    for (size_t i = 0; i < json_array_size(doc); i++) {
        relabel_all(json_array_get(doc, i), recipe, names);
    }
}

void mergekit_recipe_print(struct text *out, const struct mergekit_recipe *recipe,
                           const char *const *names)
{
    json_t *doc = json_deep_copy(recipe->doc);

    relabel_all(doc, recipe, names);
    yaml_print(out, doc);
    json_decref(doc);
}
