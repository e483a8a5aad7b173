/*
 * study.c - what study.yaml says, checked.
 *
 * Every function below reads one mapping of the file. Errors name the key by its path, as in
 * "merge.search.density: ..."; study_load puts the file in front.
 */
#include "study/study.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "study/yaml.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define DEFAULT_EVALUATIONS 1000
#define DEFAULT_FINALISTS 8
#define FINALISTS_MAX 1000
#define SPLIT_SLACK 1e-9

/* ---- words ---- */

/* [a-z0-9-], not empty, at most 64. */
static bool is_name(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-");

    return n > 0 && n <= 64 && s[n] == '\0';
}

struct unit {
    const char *name;
    double factor;
};

/* A number and a unit, "8h", "1.5GiB". */
static bool parse_with_unit(const char *s, const struct unit *units, size_t n, double *out)
{
    char *end;
    double value = strtod(s, &end);

    if (end == s || !isfinite(value) || value < 0) {
        return false;
    }
    while (*end == ' ') {
        end++;
    }
    for (size_t i = 0; i < n; i++) {
        if (strcmp(units[i].name, end) == 0) {
            *out = value * units[i].factor;
            return *out < 9e18;
        }
    }
    return false;
}

static int get_duration(const json_t *object, const char *key, int64_t *ms, struct err *err)
{
    static const struct unit units[] = {{"ms", 1},    {"s", 1e3},   {"m", 6e4},
                                        {"min", 6e4}, {"h", 3.6e6}, {"d", 8.64e7}};
    const char *s;
    double value;

    int rc = doc_text_or(object, key, NULL, &s, err);
    if (rc != 0 || s == NULL) {
        return rc;
    }
    if (!parse_with_unit(s, units, COUNT(units), &value)) {
        return err_set(err, ERR_FORMAT, "%s: '%s' is no duration; write 90s, 10m or 8h", key, s);
    }
    *ms = (int64_t)value;
    return 0;
}

static int get_size(const json_t *object, const char *key, uint64_t *bytes, struct err *err)
{
    static const struct unit units[] = {
        {"B", 1},           {"kB", 1e3},           {"MB", 1e6},
        {"GB", 1e9},        {"TB", 1e12},          {"KiB", 1024.0},
        {"MiB", 1048576.0}, {"GiB", 1073741824.0}, {"TiB", 1099511627776.0}};
    const char *s;
    double value;

    int rc = doc_text_or(object, key, NULL, &s, err);
    if (rc != 0 || s == NULL) {
        return rc;
    }
    if (!parse_with_unit(s, units, COUNT(units), &value)) {
        return err_set(err, ERR_FORMAT, "%s: '%s' is no size; write 500MB or 8GiB", key, s);
    }
    *bytes = (uint64_t)value;
    return 0;
}

/* "07:00" to minutes of the day. */
static int get_minute(const json_t *object, const char *key, int *minute, struct err *err)
{
    const char *s;
    int hours;
    int minutes;
    int used = 0;

    int rc = doc_text_or(object, key, NULL, &s, err);
    if (rc != 0 || s == NULL) {
        return rc;
    }
    if (sscanf(s, "%2d:%2d%n", &hours, &minutes, &used) != 2 || s[used] != '\0' || hours < 0 ||
        hours > 23 || minutes < 0 || minutes > 59) {
        return err_set(err, ERR_FORMAT, "%s: '%s' is no time of day; write \"07:00\"", key, s);
    }
    *minute = hours * 60 + minutes;
    return 0;
}

/* ---- models ---- */

static int parse_models(struct study *study, const json_t *doc, struct err *err)
{
    json_t *models;
    const char *name;
    json_t *path;
    int rc = doc_object(doc, "models", &models, err);

    if (rc != 0) {
        return rc;
    }
    size_t n = json_object_size(models);
    if (n == 0 || n > STUDY_MODELS_MAX) {
        return err_set(err, ERR_LIMIT, "models: %zu, expected 1 to %d", n, STUDY_MODELS_MAX);
    }
    study->models = mem_array(n, sizeof(struct study_model));
    json_object_foreach(models, name, path)
    {
        if (!json_is_string(path) || json_string_length(path) == 0) {
            return err_set(err, ERR_FORMAT, "models.%s: expected the path of a folder, got %s",
                           name, doc_kind(path));
        }
        if (*name == '\0' || strlen(name) > 64) {
            return err_set(err, ERR_FORMAT, "models: a short name has 1 to 64 characters");
        }
        study->models[study->n_models++] =
            (struct study_model){.name = mem_text(name), .path = mem_text(json_string_value(path))};
    }
    return 0;
}

static int find_model(const struct study *study, const char *name, size_t *out, struct err *err)
{
    const char *names[STUDY_MODELS_MAX];

    for (size_t i = 0; i < study->n_models; i++) {
        names[i] = study->models[i].name;
        if (strcmp(names[i], name) == 0) {
            *out = i;
            return 0;
        }
    }
    const char *near = text_nearest(name, names, study->n_models);
    if (near != NULL) {
        return err_set(err, ERR_MISSING, "'%s' is not among models; did you mean %s?", name, near);
    }
    return err_set(err, ERR_MISSING, "'%s' is not among models", name);
}

/* ---- merge ---- */

static int parse_sources(struct study *study, const json_t *doc, struct err *err)
{
    struct study_merge *merge = &study->merge;
    json_t *sources;
    const char *base;

    int rc = doc_text_or(doc, "base", NULL, &base, err);
    if (rc != 0) {
        return rc;
    }
    merge->base = SIZE_MAX;
    if (base != NULL && find_model(study, base, &merge->base, err) != 0) {
        return err_wrap(err, "base");
    }
    if (merge->method->needs_base && base == NULL) {
        return err_set(err, ERR_MISSING, "base: %s needs one", merge->method->name);
    }
    rc = doc_array(doc, "sources", &sources, err);
    if (rc != 0) {
        return rc;
    }
    size_t n = json_array_size(sources);
    if (n < merge->method->sources_min || n > merge->method->sources_max) {
        return err_set(err, ERR_LIMIT, "sources: %s takes %zu to %zu, got %zu", merge->method->name,
                       merge->method->sources_min, merge->method->sources_max, n);
    }
    merge->sources = mem_array(n, sizeof(size_t));
    for (size_t s = 0; s < n; s++) {
        const char *name = json_string_value(json_array_get(sources, s));

        if (name == NULL) {
            return err_set(err, ERR_FORMAT, "sources[%zu]: expected the short name of a model", s);
        }
        if (find_model(study, name, &merge->sources[s], err) != 0) {
            return err_wrap(err, "sources[%zu]", s);
        }
        for (size_t before = 0; before < s; before++) {
            if (merge->sources[before] == merge->sources[s]) {
                return err_set(err, ERR_CONFLICT, "sources: '%s' appears twice", name);
            }
        }
        merge->n_sources = s + 1;
    }
    return 0;
}

/* 1 | N | each | smooth N */
static int parse_layers(struct study_merge *merge, const json_t *doc, struct err *err)
{
    const json_t *layers = json_object_get(doc, "layers");
    int groups = 0;
    int used = 0;

    merge->layers = STUDY_LAYERS_GROUPS;
    merge->n_layer_groups = 1;
    if (layers == NULL) {
        return 0;
    }
    if (json_is_integer(layers)) {
        json_int_t n = json_integer_value(layers);

        if (n < 1 || n > RECIPE_LAYERS_MAX) {
            return err_set(err, ERR_LIMIT, "layers: %lld, expected 1 to %d", (long long)n,
                           RECIPE_LAYERS_MAX);
        }
        merge->n_layer_groups = (uint32_t)n;
        return 0;
    }
    const char *s = json_string_value(layers);
    if (s != NULL && strcmp(s, "each") == 0) {
        merge->layers = STUDY_LAYERS_EACH;
        return 0;
    }
    if (s != NULL && strstr(s, "->") != NULL) {
        return err_set(err, ERR_FORMAT,
                       "layers: schedules from coarse to fine are not available in this version; "
                       "give 1, a number, each, or smooth N");
    }
    if (s != NULL && sscanf(s, "smooth %d%n", &groups, &used) == 1 && s[used] == '\0') {
        if (groups < 2 || groups > RECIPE_LAYERS_MAX) {
            return err_set(err, ERR_LIMIT, "layers: smooth %d, expected 2 to %d knots", groups,
                           RECIPE_LAYERS_MAX);
        }
        merge->layers = STUDY_LAYERS_SMOOTH;
        merge->n_layer_groups = (uint32_t)groups;
        return 0;
    }
    return err_set(err, ERR_FORMAT, "layers: expected a number of groups, each, or smooth N");
}

static int parse_components(struct study_merge *merge, const json_t *doc, struct err *err)
{
    static const char *const known[] = {"attention", "mlp",  "norms", "embeddings",
                                        "head",      "rest", "all"};
    const json_t *components = json_object_get(doc, "components");

    if (components == NULL) {
        return 0;
    }
    size_t n = json_array_size(components);
    if (!json_is_array(components) || n == 0 || n > STUDY_COMPONENTS_MAX) {
        return err_set(err, ERR_FORMAT, "components: expected a list of 1 to %d",
                       STUDY_COMPONENTS_MAX);
    }
    merge->components = mem_array(n, sizeof(char *));
    for (size_t i = 0; i < n; i++) {
        const char *s = json_string_value(json_array_get(components, i));
        bool is_known = false;

        if (s == NULL || *s == '\0' || strlen(s) > 100) {
            return err_set(err, ERR_FORMAT, "components[%zu]: expected a text", i);
        }
        for (size_t k = 0; k < COUNT(known); k++) {
            is_known |= strcmp(known[k], s) == 0;
        }
        const char *near =
            is_known || strncmp(s, "filter:", 7) == 0 ? NULL : text_nearest(s, known, COUNT(known));
        if (near != NULL) {
            return err_set(err, ERR_FORMAT, "components[%zu]: no component '%s'; did you mean %s?",
                           i, s, near);
        }
        merge->components[i] =
            is_known || strncmp(s, "filter:", 7) == 0 ? mem_text(s) : mem_printf("filter:%s", s);
        merge->n_components = i + 1;
        for (size_t before = 0; before < i; before++) {
            if (strcmp(merge->components[before], merge->components[i]) == 0) {
                return err_set(err, ERR_CONFLICT, "components: '%s' appears twice", s);
            }
        }
    }
    const char *last = merge->components[n - 1];
    if (strcmp(last, "rest") != 0 && strcmp(last, "all") != 0) {
        return err_set(err, ERR_FORMAT,
                       "components: the last must be rest, for the tensors no other takes");
    }
    return 0;
}

static const struct method_parameter *find_parameter(const struct method *method, const char *name,
                                                     struct err *err)
{
    const struct method_parameter *parameter = method_parameter_find(method, name);
    const char *names[METHOD_PARAMETERS_MAX];

    if (parameter != NULL) {
        return parameter;
    }
    for (size_t i = 0; i < method->n_parameters; i++) {
        names[i] = method->parameters[i].name;
    }
    const char *near = text_nearest(name, names, method->n_parameters);
    if (near != NULL) {
        err_set(err, ERR_MISSING, "%s: no such parameter of %s; did you mean %s?", name,
                method->name, near);
    } else {
        err_set(err, ERR_MISSING, "%s: no such parameter of %s; braid methods %s lists them", name,
                method->name, method->name);
    }
    return NULL;
}

static int check_value(const struct method_parameter *parameter, double value, struct err *err)
{
    if (!isfinite(value) || value < parameter->lower || value > parameter->upper) {
        return err_set(err, ERR_LIMIT, "%s: %g is outside [%g, %g]", parameter->name, value,
                       parameter->lower, parameter->upper);
    }
    return 0;
}

static int parse_range(struct study_merge *merge, const char *name, const json_t *range,
                       struct err *err)
{
    const struct method_parameter *parameter = find_parameter(merge->method, name, err);

    if (parameter == NULL) {
        return err->code;
    }
    if (parameter->kind != METHOD_REAL) {
        return err_set(err, ERR_FORMAT,
                       "%s: only real parameters can be searched; hold it under fixed", name);
    }
    if (json_array_size(range) != 2 || !json_is_number(json_array_get(range, 0)) ||
        !json_is_number(json_array_get(range, 1))) {
        return err_set(err, ERR_FORMAT, "%s: expected bounds, [lower, upper]", name);
    }
    double lower = json_number_value(json_array_get(range, 0));
    double upper = json_number_value(json_array_get(range, 1));
    if (!(lower < upper)) {
        return err_set(err, ERR_FORMAT, "%s: the lower bound %g is not below the upper %g", name,
                       lower, upper);
    }
    int rc = check_value(parameter, lower, err);
    if (rc == 0) {
        rc = check_value(parameter, upper, err);
    }
    if (rc == 0) {
        /* The default where it lies well inside, else the middle. */
        double inside = 0.05 * (upper - lower);
        bool fits = parameter->fallback >= lower + inside && parameter->fallback <= upper - inside;

        merge->search[merge->n_search++] = (struct study_range){
            parameter, lower, upper, fits ? parameter->fallback : (lower + upper) / 2};
    }
    return rc;
}

static int parse_search(struct study_merge *merge, const json_t *doc, struct err *err)
{
    json_t *search;
    const char *name;
    json_t *range;
    int rc = doc_object(doc, "search", &search, err);

    if (rc != 0) {
        return rc;
    }
    if (json_object_size(search) == 0) {
        return err_set(err, ERR_MISSING,
                       "search: name at least one parameter, as in {weight: [0, 1.5]}");
    }
    json_object_foreach(search, name, range)
    {
        rc = parse_range(merge, name, range, err);
        if (rc != 0) {
            return err_wrap(err, "search");
        }
    }
    return 0;
}

static int parse_fixed(struct study_merge *merge, const json_t *doc, struct err *err)
{
    json_t *fixed = json_object_get(doc, "fixed");
    const char *name;
    json_t *value;

    if (fixed != NULL && !json_is_object(fixed)) {
        return err_set(err, ERR_FORMAT, "fixed: expected a mapping, got %s", doc_kind(fixed));
    }
    json_object_foreach(fixed, name, value)
    {
        const struct method_parameter *parameter = find_parameter(merge->method, name, err);

        if (parameter == NULL) {
            return err_wrap(err, "fixed");
        }
        for (size_t i = 0; i < merge->n_search; i++) {
            if (merge->search[i].parameter == parameter) {
                return err_set(err, ERR_CONFLICT, "fixed: %s is searched already", name);
            }
        }
        if (!json_is_number(value) && !json_is_boolean(value)) {
            return err_set(err, ERR_FORMAT, "fixed.%s: expected a number, got %s", name,
                           doc_kind(value));
        }
        double number = json_is_boolean(value) ? json_is_true(value) : json_number_value(value);
        int rc = check_value(parameter, number, err);
        if (rc != 0) {
            return err_wrap(err, "fixed");
        }
        merge->fixed[merge->n_fixed++] = (struct study_fixed){parameter, number};
    }
    return 0;
}

static int parse_start(struct study_merge *merge, const json_t *doc, struct err *err)
{
    json_t *start = json_object_get(doc, "start");
    const char *name;
    json_t *value;

    if (start != NULL && !json_is_object(start)) {
        return err_set(err, ERR_FORMAT, "start: expected a mapping, got %s", doc_kind(start));
    }
    json_object_foreach(start, name, value)
    {
        struct study_range *range = NULL;

        for (size_t i = 0; i < merge->n_search; i++) {
            if (strcmp(merge->search[i].parameter->name, name) == 0) {
                range = &merge->search[i];
            }
        }
        if (range == NULL) {
            return err_set(err, ERR_MISSING, "start.%s: is not searched", name);
        }
        if (!json_is_number(value) || json_number_value(value) < range->lower ||
            json_number_value(value) > range->upper) {
            return err_set(err, ERR_LIMIT, "start.%s: expected a number within [%g, %g]", name,
                           range->lower, range->upper);
        }
        range->start = json_number_value(value);
    }
    return 0;
}

static int parse_merge(struct study *study, const json_t *doc, struct err *err)
{
    static const char *const known[] = {"method",     "base",   "sources", "layers",
                                        "components", "search", "fixed",   "start"};
    const char *method;
    int rc;

    if ((rc = doc_only(doc, known, COUNT(known), err)) != 0 ||
        (rc = doc_text(doc, "method", &method, err)) != 0 ||
        (rc = method_find(&study->merge.method, method, err)) != 0 ||
        (rc = parse_sources(study, doc, err)) != 0 ||
        (rc = parse_layers(&study->merge, doc, err)) != 0 ||
        (rc = parse_components(&study->merge, doc, err)) != 0 ||
        (rc = parse_search(&study->merge, doc, err)) != 0 ||
        (rc = parse_fixed(&study->merge, doc, err)) != 0) {
        return rc;
    }
    return parse_start(&study->merge, doc, err);
}

/* ---- tasks ---- */

/* Keys of ours in an entry; with an inline task the rest is the task's own. */
static const char *const task_keys[] = {"task", "metric", "weight", "limit"};

static int parse_task(struct study_task *out, const json_t *doc, struct err *err)
{
    const char *task;
    const char *metric;
    int64_t limit;
    int rc;

    if ((rc = doc_text(doc, "task", &task, err)) != 0 ||
        (rc = doc_text_or(doc, "metric", NULL, &metric, err)) != 0 ||
        (rc = doc_number_or(doc, "weight", 1, &out->weight, err)) != 0 ||
        (rc = doc_integer_or(doc, "limit", 1, INT32_MAX, 0, &limit, err)) != 0) {
        return rc;
    }
    if (!(out->weight > 0) || !isfinite(out->weight)) {
        return err_set(err, ERR_LIMIT, "weight: %g, expected more than 0", out->weight);
    }
    out->limit = (size_t)limit;
    out->metric = metric != NULL ? mem_text(metric) : NULL;
    if (json_object_get(doc, "output_type") == NULL) {
        rc = doc_only(doc, task_keys, COUNT(task_keys), err);
        out->path = mem_text(task);
        return rc;
    }
    out->inline_task = json_deep_copy(doc);
    for (size_t i = 1; i < COUNT(task_keys); i++) {
        json_object_del(out->inline_task, task_keys[i]);
    }
    return 0;
}

static int parse_tasks(struct study *study, const json_t *doc, struct err *err)
{
    json_t *tasks;
    int rc = doc_array(doc, "tasks", &tasks, err);

    if (rc != 0) {
        return rc;
    }
    size_t n = json_array_size(tasks);
    if (n == 0 || n > STUDY_TASKS_MAX) {
        return err_set(err, ERR_LIMIT, "tasks: %zu, expected 1 to %d", n, STUDY_TASKS_MAX);
    }
    study->tasks = mem_array(n, sizeof(struct study_task));
    study->n_tasks = n;
    for (size_t t = 0; t < n; t++) {
        rc = parse_task(&study->tasks[t], json_array_get(tasks, t), err);
        if (rc != 0) {
            return err_wrap(err, "tasks[%zu]", t);
        }
    }
    return 0;
}

/* ---- the smaller sections; each may be absent ---- */

static int get_section(const json_t *doc, const char *key, const json_t **out, struct err *err)
{
    const json_t *section = json_object_get(doc, key);

    *out = section;
    if (section != NULL && !json_is_object(section)) {
        return err_set(err, ERR_FORMAT, "%s: expected a mapping, got %s", key, doc_kind(section));
    }
    return 0;
}

static int parse_splits(struct study *study, const json_t *doc, struct err *err)
{
    static const char *const known[] = {"search", "select", "report"};
    double sum = 0;

    study->splits[0] = 0.5;
    study->splits[1] = study->splits[2] = 0.25;
    if (doc == NULL) {
        return 0;
    }
    int rc = doc_only(doc, known, COUNT(known), err);
    for (size_t i = 0; i < 3 && rc == 0; i++) {
        rc = doc_number(doc, known[i], &study->splits[i], err);
        sum += study->splits[i];
        if (rc == 0 && !(study->splits[i] > 0 && study->splits[i] < 1)) {
            rc = err_set(err, ERR_LIMIT, "%s: %g, expected a share between 0 and 1", known[i],
                         study->splits[i]);
        }
    }
    if (rc == 0 && fabs(sum - 1) > SPLIT_SLACK) {
        rc = err_set(err, ERR_FORMAT, "search, select and report sum to %g, not 1", sum);
    }
    return rc;
}

static int parse_objective(struct study *study, const json_t *doc, struct err *err)
{
    const json_t *objective = json_object_get(doc, "objective");
    const char *s = json_string_value(objective);

    study->objective = STUDY_WEIGHTED_MEAN;
    if (objective == NULL || (s != NULL && strcmp(s, "weighted_mean") == 0)) {
        return 0;
    }
    if (s != NULL && strcmp(s, "minimum") == 0) {
        study->objective = STUDY_MINIMUM;
        return 0;
    }
    if (json_is_object(objective) && json_object_get(objective, "pareto") != NULL) {
        return err_set(
            err, ERR_FORMAT,
            "objective: pareto is not available in this version; weighted_mean or minimum");
    }
    return err_set(err, ERR_FORMAT, "objective: expected weighted_mean or minimum");
}

static bool is_auto(const json_t *value)
{
    const char *s = json_string_value(value);

    return value == NULL || (s != NULL && strcmp(s, "auto") == 0);
}

static int parse_optimizer(struct study_optimizer *out, const json_t *doc, struct err *err)
{
    static const char *const known[] = {"algorithm", "population", "sigma", "restarts"};
    const char *algorithm = "auto";
    const char *restarts = "none";
    int64_t population = 0;
    int rc = 0;

    if (doc != NULL && ((rc = doc_only(doc, known, COUNT(known), err)) != 0 ||
                        (rc = doc_text_or(doc, "algorithm", "auto", &algorithm, err)) != 0 ||
                        (rc = doc_text_or(doc, "restarts", "none", &restarts, err)) != 0)) {
        return rc;
    }
    if (strcmp(algorithm, "auto") != 0 && strcmp(algorithm, "cma-es") != 0) {
        return err_set(err, ERR_FORMAT,
                       "algorithm: no optimiser '%s' in this version; auto or cma-es", algorithm);
    }
    if (strcmp(restarts, "none") != 0) {
        return err_set(err, ERR_FORMAT, "restarts: '%s' is not available in this version; none",
                       restarts);
    }
    out->algorithm = mem_text("cma-es");
    if (doc != NULL && !is_auto(json_object_get(doc, "population"))) {
        rc = doc_integer(doc, "population", 2, 10000, &population, err);
    }
    out->population = (size_t)population;
    if (rc == 0 && doc != NULL && !is_auto(json_object_get(doc, "sigma"))) {
        rc = doc_number(doc, "sigma", &out->sigma, err);
        if (rc == 0 && !(out->sigma > 0 && out->sigma <= 1)) {
            rc = err_set(err, ERR_LIMIT, "sigma: %g, expected a share of the box in (0, 1]",
                         out->sigma);
        }
    }
    return rc;
}

static int parse_budget(struct study_budget *out, const json_t *doc, struct err *err)
{
    static const char *const known[] = {"evaluations", "wall", "until", "stagnation"};
    int64_t evaluations = DEFAULT_EVALUATIONS;
    int64_t stagnation = 0;
    int rc;

    *out = (struct study_budget){.evaluations = DEFAULT_EVALUATIONS, .until_minute = -1};
    if (doc == NULL) {
        return 0;
    }
    if ((rc = doc_only(doc, known, COUNT(known), err)) != 0 ||
        (rc = doc_integer_or(doc, "evaluations", 1, 100000000, DEFAULT_EVALUATIONS, &evaluations,
                             err)) != 0 ||
        (rc = doc_integer_or(doc, "stagnation", 1, 1000000, 0, &stagnation, err)) != 0 ||
        (rc = get_duration(doc, "wall", &out->wall_ms, err)) != 0) {
        return rc;
    }
    out->evaluations = (uint64_t)evaluations;
    out->stagnation = (uint32_t)stagnation;
    return get_minute(doc, "until", &out->until_minute, err);
}

static int parse_evaluator(struct study_evaluator *out, const json_t *doc, struct err *err)
{
    static const char *const known[] = {"kind", "dtype", "memory", "timeout"};
    const char *kind;
    const char *dtype;
    int rc;

    *out = (struct study_evaluator){.dtype = RECIPE_BFLOAT16};
    if (doc == NULL) {
        return 0;
    }
    if ((rc = doc_only(doc, known, COUNT(known), err)) != 0 ||
        (rc = doc_text_or(doc, "kind", "native", &kind, err)) != 0 ||
        (rc = doc_text_or(doc, "dtype", "bfloat16", &dtype, err)) != 0) {
        return rc;
    }
    if (strcmp(kind, "native") != 0) {
        return err_set(err, ERR_FORMAT, "kind: '%s' is not available in this version; native",
                       kind);
    }
    if (recipe_dtype_parse(&out->dtype, dtype, err) != 0) {
        return err_wrap(err, "dtype");
    }
    rc = get_size(doc, "memory", &out->memory, err);
    return rc != 0 ? rc : get_duration(doc, "timeout", &out->timeout_ms, err);
}

/* ---- the whole ---- */

static const char *const study_keys[] = {"study",  "seed",      "models",    "merge",
                                         "route",  "tasks",     "splits",    "objective",
                                         "budget", "optimizer", "evaluator", "finalists"};

static int parse_head(struct study *study, const json_t *doc, struct err *err)
{
    const char *name;
    int64_t seed;
    int64_t finalists;
    int rc;

    if ((rc = doc_only(doc, study_keys, COUNT(study_keys), err)) != 0 ||
        (rc = doc_text(doc, "study", &name, err)) != 0 ||
        (rc = doc_integer_or(doc, "seed", 0, INT64_MAX, 1, &seed, err)) != 0 ||
        (rc = doc_integer_or(doc, "finalists", 1, FINALISTS_MAX, DEFAULT_FINALISTS, &finalists,
                             err)) != 0) {
        return rc;
    }
    if (!is_name(name)) {
        return err_set(err, ERR_FORMAT, "study: '%.80s' is no name; use a-z, 0-9 and -", name);
    }
    if (json_object_get(doc, "route") != NULL) {
        return err_set(err, ERR_FORMAT,
                       "route: layer routes are not available in this version; use merge");
    }
    study->name = mem_text(name);
    study->seed = (uint64_t)seed;
    study->finalists = (size_t)finalists;
    return 0;
}

static int parse_sections(struct study *study, const json_t *doc, struct err *err)
{
    const json_t *section;
    json_t *merge;
    int rc;

    rc = doc_object(doc, "merge", &merge, err);
    if (rc != 0) {
        return rc;
    }
    if (parse_merge(study, merge, err) != 0) {
        return err_wrap(err, "merge");
    }
    if ((rc = parse_tasks(study, doc, err)) != 0 || (rc = parse_objective(study, doc, err)) != 0) {
        return rc;
    }
    if ((rc = get_section(doc, "splits", &section, err)) != 0) {
        return rc;
    }
    if (parse_splits(study, section, err) != 0) {
        return err_wrap(err, "splits");
    }
    if ((rc = get_section(doc, "optimizer", &section, err)) != 0) {
        return rc;
    }
    if (parse_optimizer(&study->optimizer, section, err) != 0) {
        return err_wrap(err, "optimizer");
    }
    if ((rc = get_section(doc, "budget", &section, err)) != 0) {
        return rc;
    }
    if (parse_budget(&study->budget, section, err) != 0) {
        return err_wrap(err, "budget");
    }
    if ((rc = get_section(doc, "evaluator", &section, err)) != 0) {
        return rc;
    }
    if (parse_evaluator(&study->evaluator, section, err) != 0) {
        return err_wrap(err, "evaluator");
    }
    return 0;
}

int study_parse(struct study *out, const json_t *doc, const char *folder, struct err *err)
{
    struct study made = {.folder = mem_text(folder)};
    int rc;

    if (!json_is_object(doc)) {
        rc = err_set(err, ERR_FORMAT, "expected a mapping, got %s", doc_kind(doc));
    } else {
        rc = parse_head(&made, doc, err);
    }
    if (rc == 0) {
        rc = parse_models(&made, doc, err);
    }
    if (rc == 0) {
        rc = parse_sections(&made, doc, err);
    }
    if (rc == 0) {
        *out = made;
        made = (struct study){0}; /* handed over */
    }
    study_release(&made);
    return rc;
}

int study_load(struct study *out, const char *path, struct err *err)
{
    json_t *doc = NULL;
    char *folder = file_folder(path);

    int rc = yaml_load(&doc, path, err);
    if (rc == 0) {
        rc = study_parse(out, doc, folder, err);
        if (rc != 0) {
            rc = err_wrap(err, "%s", path);
        }
    }
    json_decref(doc);
    free(folder);
    return rc;
}

void study_release(struct study *study)
{
    for (size_t i = 0; i < study->n_models; i++) {
        free(study->models[i].name);
        free(study->models[i].path);
    }
    for (size_t t = 0; study->tasks != NULL && t < study->n_tasks; t++) {
        json_decref(study->tasks[t].inline_task);
        free(study->tasks[t].path);
        free(study->tasks[t].metric);
    }
    for (size_t c = 0; c < study->merge.n_components; c++) {
        free(study->merge.components[c]);
    }
    free(study->merge.components);
    free(study->merge.sources);
    free(study->optimizer.algorithm);
    free(study->models);
    free(study->tasks);
    free(study->name);
    free(study->folder);
    *study = (struct study){0};
}

char *study_model_path(const struct study *study, size_t model)
{
    return file_resolve(study->folder, study->models[model].path);
}

/* ---- the canonical form ---- */

static json_t *print_layers(const struct study_merge *merge)
{
    char smooth[32];

    switch (merge->layers) {
    case STUDY_LAYERS_EACH:
        return json_string("each");
    case STUDY_LAYERS_SMOOTH:
        snprintf(smooth, sizeof(smooth), "smooth %u", merge->n_layer_groups);
        return json_string(smooth);
    default:
        return json_integer(merge->n_layer_groups);
    }
}

static json_t *print_merge(const struct study *study)
{
    const struct study_merge *merge = &study->merge;
    json_t *sources = json_array();
    json_t *search = json_object();
    json_t *start = json_object();
    json_t *fixed = json_object();

    for (size_t s = 0; s < merge->n_sources; s++) {
        json_array_append_new(sources, json_string(study->models[merge->sources[s]].name));
    }
    for (size_t i = 0; i < merge->n_search; i++) {
        const struct study_range *range = &merge->search[i];

        json_object_set_new(search, range->parameter->name,
                            json_pack("[f, f]", range->lower, range->upper));
        json_object_set_new(start, range->parameter->name, json_real(range->start));
    }
    for (size_t i = 0; i < merge->n_fixed; i++) {
        json_object_set_new(fixed, merge->fixed[i].parameter->name,
                            json_real(merge->fixed[i].value));
    }
    json_t *doc = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "method", merge->method->name,
                            "sources", sources, "layers", print_layers(merge), "search", search,
                            "start", start, "fixed", fixed);
    if (merge->base != SIZE_MAX) {
        json_object_set_new(doc, "base", json_string(study->models[merge->base].name));
    }
    if (merge->n_components > 0) {
        json_t *components = json_array();

        for (size_t c = 0; c < merge->n_components; c++) {
            json_array_append_new(components, json_string(merge->components[c]));
        }
        json_object_set_new(doc, "components", components);
    }
    return doc;
}

static json_t *print_task(const struct study_task *task)
{
    json_t *doc = task->inline_task != NULL ? json_deep_copy(task->inline_task)
                                            : json_pack("{s:s}", "task", task->path);

    json_object_set_new(doc, "weight", json_real(task->weight));
    if (task->metric != NULL) {
        json_object_set_new(doc, "metric", json_string(task->metric));
    }
    if (task->limit > 0) {
        json_object_set_new(doc, "limit", json_integer((json_int_t)task->limit));
    }
    return doc;
}

static json_t *print_budget(const struct study_budget *budget)
{
    json_t *doc = json_pack("{s:I}", "evaluations", (json_int_t)budget->evaluations);

    if (budget->wall_ms > 0) {
        json_object_set_new(doc, "wall", json_sprintf("%lldms", (long long)budget->wall_ms));
    }
    if (budget->until_minute >= 0) {
        json_object_set_new(
            doc, "until",
            json_sprintf("%02d:%02d", budget->until_minute / 60, budget->until_minute % 60));
    }
    if (budget->stagnation > 0) {
        json_object_set_new(doc, "stagnation", json_integer(budget->stagnation));
    }
    return doc;
}

static json_t *print_optimizer(const struct study_optimizer *optimizer)
{
    json_t *doc = json_pack("{s:s}", "algorithm", optimizer->algorithm);

    if (optimizer->population > 0) {
        json_object_set_new(doc, "population", json_integer((json_int_t)optimizer->population));
    }
    if (optimizer->sigma > 0) {
        json_object_set_new(doc, "sigma", json_real(optimizer->sigma));
    }
    return doc;
}

static json_t *print_evaluator(const struct study_evaluator *evaluator)
{
    json_t *doc = json_pack("{s:s}", "dtype", recipe_dtype_name(evaluator->dtype));

    if (evaluator->memory > 0) {
        json_object_set_new(doc, "memory",
                            json_sprintf("%lluB", (unsigned long long)evaluator->memory));
    }
    if (evaluator->timeout_ms > 0) {
        json_object_set_new(doc, "timeout",
                            json_sprintf("%lldms", (long long)evaluator->timeout_ms));
    }
    return doc;
}

json_t *study_print(const struct study *study)
{
    json_t *models = json_object();
    json_t *tasks = json_array();

    for (size_t i = 0; i < study->n_models; i++) {
        json_object_set_new(models, study->models[i].name, json_string(study->models[i].path));
    }
    for (size_t t = 0; t < study->n_tasks; t++) {
        json_array_append_new(tasks, print_task(&study->tasks[t]));
    }
    return json_pack("{s:s, s:I, s:o, s:o, s:o, s:{s:f, s:f, s:f}, s:s, s:o, s:o, s:o, s:I}",
                     "study", study->name, "seed", (json_int_t)study->seed, "models", models,
                     "merge", print_merge(study), "tasks", tasks, "splits", "search",
                     study->splits[0], "select", study->splits[1], "report", study->splits[2],
                     "objective", study->objective == STUDY_MINIMUM ? "minimum" : "weighted_mean",
                     "optimizer", print_optimizer(&study->optimizer), "budget",
                     print_budget(&study->budget), "evaluator", print_evaluator(&study->evaluator),
                     "finalists", (json_int_t)study->finalists);
}

void study_identity(const struct study *study, char out[DIGEST_HEX])
{
    json_t *doc = study_print(study);
    struct text text = {0};
    json_t *models = json_object_get(doc, "models");
    const char *name;
    json_t *path;

    /* What is asked, not where things lie: models are checked by their own digests, tasks by
     * theirs. */
    json_object_del(doc, "budget");
    json_object_foreach(models, name, path)
    {
        json_object_set_new(models, name, json_null());
    }
    json_t *tasks = json_object_get(doc, "tasks");
    for (size_t t = 0; t < json_array_size(tasks); t++) {
        json_t *task = json_array_get(tasks, t);
        const char *file = json_string_value(json_object_get(task, "task"));

        json_object_set_new(task, "task", json_string(file_name(file)));
    }
    doc_print(&text, doc);
    digest_hex_of(text_get(&text), text.size, out);
    text_release(&text);
    json_decref(doc);
}
