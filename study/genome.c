/*
 * genome.c - a mergekit-evolve configuration read as a study.
 */
#include "study/genome.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/doc.h"
#include "base/file.h"
#include "base/mem.h"
#include "study/place.h"
#include "study/study.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* mergekit-evolve has no bounds. Ours leave room for the published optima, whose weights sum to
 * about two. */
#define WEIGHT_MAX 1.5
#define DENSITY_MIN 0.05

static const struct {
    const char *name;
    bool needs_base, trims;
} methods[] = {{"linear", false, false},
               {"task_arithmetic", true, false},
               {"ties", true, true},
               {"dare_ties", true, true},
               {"slerp", false, false}};

/* What is read of one genome. */
struct genome {
    const json_t *genome, *tasks, *models, *filters;
    const char *method, *base; /* base: NULL when there is none */
    bool needs_base, trims, is_slerp;
    bool negative, smooth, normalize;
    int64_t granularity; /* layers a group; 0: one group */
};

/* ---- reading ---- */

static int parse_method(struct genome *out, struct err *err)
{
    const char *names[COUNT(methods)];
    int rc = doc_text(out->genome, "merge_method", &out->method, err);

    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < COUNT(methods); i++) {
        names[i] = methods[i].name;
        if (strcmp(out->method, names[i]) == 0) {
            out->needs_base = methods[i].needs_base;
            out->trims = methods[i].trims;
            out->is_slerp = strcmp(names[i], "slerp") == 0;
            return 0;
        }
    }
    const char *near = text_nearest(out->method, names, COUNT(methods));

    return err_set(err, ERR_MISSING, "merge_method: '%.40s' is none of a genome%s%s%s", out->method,
                   near != NULL ? "; did you mean " : "", near != NULL ? near : "",
                   near != NULL ? "?" : "");
}

static int check_texts(const json_t *list, const char *key, struct err *err)
{
    const json_t *entry;
    size_t i;

    json_array_foreach(list, i, entry)
    {
        const char *text = json_string_value(entry);

        if (text == NULL || *text == '\0') {
            return err_set(err, ERR_FORMAT, "%s[%zu]: expected a text, got %s", key, i,
                           text != NULL ? "an empty one" : doc_kind(entry));
        }
    }
    return 0;
}

static int parse_models(struct genome *out, struct err *err)
{
    json_t *models;
    int rc = doc_array(out->genome, "models", &models, err);

    if (rc == 0) {
        rc = check_texts(models, "models", err);
    }
    if (rc == 0) {
        rc = doc_text_or(out->genome, "base_model", NULL, &out->base, err);
    }
    if (rc != 0) {
        return rc;
    }
    out->models = models;
    if (json_array_size(models) == 0 || json_array_size(models) >= STUDY_MODELS_MAX) {
        return err_set(err, ERR_LIMIT, "models: expected 1 to %d, got %zu", STUDY_MODELS_MAX - 1,
                       json_array_size(models));
    }
    if (out->needs_base && out->base == NULL) {
        return err_set(err, ERR_MISSING, "base_model: missing; %s needs one", out->method);
    }
    if (out->is_slerp && json_array_size(models) != 2) {
        return err_set(err, ERR_LIMIT,
                       "models: slerp is between two, got %zu; choosing two of many a layer is not "
                       "offered",
                       json_array_size(models));
    }
    return 0;
}

static int parse_shape(struct genome *out, struct err *err)
{
    const json_t *normalize = json_object_get(out->genome, "normalize");
    const json_t *filters = json_object_get(out->genome, "filters");
    /* What mergekit-evolve takes when the key is absent. */
    bool usual = strcmp(out->method, "task_arithmetic") != 0 && !out->is_slerp;
    int rc = 0;

    out->normalize = usual;
    if (normalize != NULL && !json_is_null(normalize)) {
        rc = doc_bool_or(out->genome, "normalize", usual, &out->normalize, err);
    }
    if (rc == 0 && filters != NULL && !json_is_null(filters)) {
        json_t *list;

        rc = doc_array(out->genome, "filters", &list, err);
        if (rc == 0) {
            rc = check_texts(list, "filters", err);
            out->filters = list;
        }
    }
    if (rc != 0 ||
        (rc = doc_bool_or(out->genome, "allow_negative_weights", false, &out->negative, err)) !=
            0 ||
        (rc = doc_bool_or(out->genome, "smooth", false, &out->smooth, err)) != 0 ||
        (rc = doc_integer_or(out->genome, "layer_granularity", 0, RECIPE_LAYERS_MAX, 0,
                             &out->granularity, err)) != 0) {
        return rc;
    }
    if (out->is_slerp && (out->smooth || json_array_size(out->filters) > 0)) {
        return err_set(err, ERR_FORMAT, "%s: a genome of slerp has none",
                       out->smooth ? "smooth" : "filters");
    }
    return 0;
}

static int parse_genome(struct genome *out, const json_t *doc, struct err *err)
{
    static const char *const top[] = {"genome",
                                      "tasks",
                                      "limit",
                                      "num_fewshot",
                                      "shuffle",
                                      "random_init",
                                      "apply_chat_template",
                                      "fewshot_as_multiturn"};
    static const char *const keys[] = {"models",
                                       "merge_method",
                                       "base_model",
                                       "tokenizer_source",
                                       "layer_granularity",
                                       "normalize",
                                       "allow_negative_weights",
                                       "filters",
                                       "smooth"};
    json_t *genome;
    json_t *tasks;
    int rc = doc_only(doc, top, COUNT(top), err);

    if (rc != 0 || (rc = doc_object(doc, "genome", &genome, err)) != 0 ||
        (rc = doc_array(doc, "tasks", &tasks, err)) != 0) {
        return rc;
    }
    *out = (struct genome){.genome = genome, .tasks = tasks};
    if ((rc = doc_only(genome, keys, COUNT(keys), err)) != 0 ||
        (rc = parse_method(out, err)) != 0 || (rc = parse_models(out, err)) != 0 ||
        (rc = parse_shape(out, err)) != 0) {
        return place_within(err, genome, "genome");
    }
    return 0;
}

/* ---- models ---- */

/* A short name for a path: the last part, in the letters of names, not yet in models. */
static char *short_name(const json_t *models, const char *path)
{
    char *folder = mem_text(path);
    size_t n = strlen(folder);
    struct text name = {0};

    while (n > 1 && folder[n - 1] == '/') {
        folder[--n] = '\0';
    }
    for (const char *at = file_name(folder); *at != '\0'; at++) {
        bool fits = isalnum((unsigned char)*at) || strchr("._-", *at) != NULL;

        text_add_char(&name, fits ? *at : '-');
    }
    for (int again = 2;
         text_get(&name)[0] == '\0' || json_object_get(models, text_get(&name)) != NULL; again++) {
        text_printf(&name, "-%d", again);
    }
    free(folder);
    return text_take(&name);
}

/* Add a model unless its path is there; its name goes into *name, lent by models. */
static void add_model(json_t *models, const char *path, const char **name)
{
    const char *known;
    json_t *value;

    json_object_foreach(models, known, value)
    {
        if (strcmp(json_string_value(value), path) == 0) {
            *name = known;
            return;
        }
    }
    char *made = short_name(models, path);
    json_object_set_new(models, made, json_string(path));
    *name = json_object_iter_key(json_object_iter_at(models, made));
    free(made);
}

/* A base that the genome also lists is a task vector of zeros: it has no say. */
static json_t *sources_of(const struct genome *genome, json_t *models, const char **base,
                          struct text *notes)
{
    json_t *sources = json_array();
    const json_t *entry;
    size_t i;

    *base = NULL;
    if (genome->base != NULL && genome->needs_base) {
        add_model(models, genome->base, base);
    }
    json_array_foreach(genome->models, i, entry)
    {
        const char *name;

        add_model(models, json_string_value(entry), &name);
        if (*base != NULL && strcmp(*base, name) == 0) {
            text_printf(notes, "%s is the base, and so no source\n", name);
        } else {
            json_array_append_new(sources, json_string(name));
        }
    }
    if (genome->base != NULL && !genome->needs_base) {
        text_printf(notes, "base_model: %s has none; it is left out\n", genome->method);
    }
    return sources;
}

/* ---- the space ---- */

static int layers_of(const struct genome *genome, uint32_t n_layers, json_t **out, struct err *err)
{
    int64_t groups = genome->granularity > 0 ? n_layers / genome->granularity : 1;

    if (genome->granularity > 0 && n_layers % genome->granularity != 0) {
        return err_set(err, ERR_FORMAT,
                       "genome.layer_granularity: %d does not divide the %u layers of the models",
                       (int)genome->granularity, n_layers);
    }
    *out = genome->smooth && groups > 1 ? json_sprintf("smooth %d", (int)groups)
                                        : json_integer((json_int_t)groups);
    return 0;
}

static json_t *components_of(const struct genome *genome)
{
    json_t *components = json_array();
    const json_t *filter;
    size_t i;

    json_array_foreach(genome->filters, i, filter)
    {
        json_array_append_new(components,
                              json_sprintf(RECIPE_FILTER "%s", json_string_value(filter)));
    }
    json_array_append_new(components, json_string("rest"));
    return components;
}

/* Where mergekit-evolve starts: equal weights, nothing trimmed. */
static void add_parameters(const struct genome *genome, json_t *merge, size_t n_sources)
{
    double lower = genome->negative ? -WEIGHT_MAX : 0.0;
    json_t *search = json_object();
    json_t *start = json_object();

    if (genome->is_slerp) {
        json_object_set_new(search, "t", json_pack("[i, i]", 0, 1));
        json_object_set_new(start, "t", json_real(0.5));
    } else {
        json_object_set_new(search, "weight", json_pack("[f, f]", lower, WEIGHT_MAX));
        json_object_set_new(start, "weight", json_real(1.0 / (double)n_sources));
    }
    if (genome->trims) {
        json_object_set_new(search, "density", json_pack("[f, f]", DENSITY_MIN, 1.0));
        json_object_set_new(start, "density", json_real(1.0));
    }
    json_object_set_new(merge, "search", search);
    json_object_set_new(merge, "start", start);
    if (!genome->is_slerp) {
        json_object_set_new(merge, "fixed", json_pack("{s:b}", "normalize", genome->normalize));
    }
}

static int merge_of(const struct genome *genome, json_t *models, uint32_t n_layers, json_t **out,
                    struct text *notes, struct err *err)
{
    json_t *layers = NULL;
    const char *base;
    int rc = layers_of(genome, n_layers, &layers, err);

    if (rc != 0) {
        return rc;
    }
    json_t *sources = sources_of(genome, models, &base, notes);
    json_t *merge = json_object();

    json_object_set_new(merge, "method", json_string(genome->method));
    if (genome->is_slerp) { /* the first of the two is where t starts */
        base = json_string_value(json_array_get(sources, 0));
        json_object_set_new(merge, "base", json_string(base));
        json_array_remove(sources, 0);
    } else if (base != NULL) {
        json_object_set_new(merge, "base", json_string(base));
    }
    size_t n_sources = json_array_size(sources);
    json_object_set_new(merge, "sources", sources);
    json_object_set_new(merge, "layers", layers);
    if (json_array_size(genome->filters) > 0) {
        json_object_set_new(merge, "components", components_of(genome));
    }
    add_parameters(genome, merge, n_sources);
    *out = merge;
    return n_sources > 0 ? 0 : err_set(err, ERR_FORMAT, "genome.models: only the base is there");
}

/* ---- tasks ---- */

/* "acc,none" is the harness's spelling of a metric and its filter. */
static int add_task(json_t *tasks, const json_t *entry, struct text *notes, struct err *err)
{
    static const char *const keys[] = {"name", "weight", "metric"};
    const char *name;
    const char *metric;
    double weight;
    int rc = doc_only(entry, keys, COUNT(keys), err);

    if (rc != 0 || (rc = doc_text(entry, "name", &name, err)) != 0 ||
        (rc = doc_text_or(entry, "metric", "acc,none", &metric, err)) != 0 ||
        (rc = doc_number_or(entry, "weight", 1.0, &weight, err)) != 0) {
        return rc;
    }
    if (weight == 0.0 || !isfinite(weight)) {
        return err_set(err, ERR_FORMAT, "weight: %g gives the task no say", weight);
    }
    json_t *task = json_object();
    json_object_set_new(task, "task", json_sprintf("tasks/%s.yaml", name));
    json_object_set_new(task, "metric", json_stringn(metric, strcspn(metric, ",")));
    if (fabs(weight) != 1.0) {
        json_object_set_new(task, "weight", json_real(fabs(weight)));
    }
    if (weight < 0) {
        text_printf(notes,
                    "task %s: its weight is negative because less is better; a metric here knows "
                    "that itself\n",
                    name);
    }
    text_printf(notes,
                "task %s: write its file, tasks/%s.yaml; for lm_eval to score it: {task: %s, "
                "output_type: command, command: [lm_eval, --model, hf, --model_args, "
                "\"pretrained={model_dir}\", --tasks, %s, --output_path, \"{out_dir}\"], score: "
                "{metric: \"%s\"}}\n",
                name, name, name, name, metric);
    json_array_append_new(tasks, task);
    return 0;
}

static int tasks_of(const struct genome *genome, json_t **out, struct text *notes, struct err *err)
{
    json_t *tasks = json_array();
    const json_t *entry;
    size_t i;
    int rc = json_array_size(genome->tasks) > 0
                 ? 0
                 : err_set(err, ERR_MISSING, "tasks: name at least one");

    json_array_foreach(genome->tasks, i, entry)
    {
        if (rc == 0 && (rc = add_task(tasks, entry, notes, err)) != 0) {
            place_within(err, entry, "tasks[%zu]", i);
        }
    }
    *out = tasks;
    return rc;
}

/* ---- the whole ---- */

int genome_model(const json_t *doc, const char **out, struct err *err)
{
    struct genome genome;
    int rc = parse_genome(&genome, doc, err);

    if (rc == 0) {
        *out = json_string_value(json_array_get(genome.models, 0));
    }
    return rc;
}

int genome_study(json_t **out, const json_t *doc, const char *name, uint32_t n_layers,
                 struct text *notes, struct err *err)
{
    static const char *const ignored[] = {
        "limit",       "num_fewshot",         "shuffle",
        "random_init", "apply_chat_template", "fewshot_as_multiturn"};
    struct genome genome;
    json_t *models = json_object();
    json_t *merge = NULL;
    json_t *tasks = NULL;
    int rc = parse_genome(&genome, doc, err);

    if (rc == 0) {
        rc = merge_of(&genome, models, n_layers, &merge, notes, err);
    }
    if (rc == 0) {
        rc = tasks_of(&genome, &tasks, notes, err);
    }
    if (rc == 0) {
        for (size_t i = 0; i < COUNT(ignored); i++) {
            if (json_object_get(doc, ignored[i]) != NULL) {
                text_printf(notes, "%s: say it in the task files\n", ignored[i]);
            }
        }
        *out = json_pack("{s:s, s:O, s:O, s:O, s:{s:s}}", "study", name, "models", models, "merge",
                         merge, "tasks", tasks, "evaluator", "dtype", "bfloat16");
    }
    json_decref(models);
    json_decref(merge);
    json_decref(tasks);
    return rc;
}
