/*
 * prepare.c - a study with everything it names opened and checked.
 */
#include "cli/prepare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/layered.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/prepare_tasks.h"
#include "evaluator/merge/plan.h"
#include "evaluator/model/config_differ.h"
#include "evaluator/model/tokenizer.h"
#include "search/space.h"

/* ---- models ---- */

static size_t host_of(const struct study *study)
{
    return study->merge.method == NULL     ? study->route.host
           : study->merge.base != SIZE_MAX ? study->merge.base
                                           : study->merge.sources[0];
}

static bool is_merged(const struct study *study, size_t model)
{
    bool found = study->merge.base == model;

    for (size_t s = 0; s < study->merge.n_sources; s++) {
        found = found || study->merge.sources[s] == model;
    }
    return found;
}

/* A model that only lends blocks may have more or fewer of them; a route through one must be one
 * that a plan can be made of. */
static int compare_lender(const struct prepared *prepared, size_t i, struct err *err)
{
    const char *sources[] = {prepared->digests[prepared->host]};
    const struct plan_model models[] = {
        {prepared->digests[prepared->host], prepared->models[prepared->host]},
        {prepared->digests[i], prepared->models[i]}};
    const struct method *passthrough = NULL;
    struct recipe recipe = {0};
    struct plan plan = {0};
    int rc = method_find(&passthrough, "passthrough", err);

    if (rc != 0) {
        return rc;
    }
    recipe_init(&recipe, passthrough, prepared->study.evaluator.dtype, prepared->study.seed,
                prepared->model_layers[prepared->host], sources, 1, NULL);
    recipe_add_hop(&recipe, NULL, 0, 1.0);
    recipe_add_hop(&recipe, prepared->digests[i], 0, 1.0);
    rc = plan_make(&plan, &recipe, models, 2, err);
    plan_release(&plan);
    recipe_release(&recipe);
    return rc;
}

/* Models of one study have the same tensors. */
static int compare_models(const struct prepared *prepared, size_t i, struct err *err)
{
    const size_t host = prepared->host;
    bool lends = prepared->study.route.mode != STUDY_ROUTE_NONE && !is_merged(&prepared->study, i);
    bool other_depth = prepared->model_layers[i] != prepared->model_layers[host];
    int rc = lends && other_depth
                 ? compare_lender(prepared, i, err)
                 : checkpoint_compare(prepared->models[host], prepared->models[i], err);

    return rc == 0 ? 0 : err_wrap(err, "model %s", prepared->study.models[i].name);
}

static int open_models(struct prepared *prepared, struct err *err)
{
    const struct study *study = &prepared->study;
    int rc = 0;

    prepared->models = mem_array(study->n_models, sizeof(struct checkpoint *));
    prepared->digests = mem_array(study->n_models, DIGEST_HEX);
    prepared->digest_texts = mem_array(study->n_models, sizeof(char *));
    prepared->model_layers = mem_array(study->n_models, sizeof(*prepared->model_layers));
    prepared->host = host_of(study);
    for (size_t i = 0; i < study->n_models && rc == 0; i++) {
        char *path = study_model_path(study, i);

        rc = checkpoint_open(&prepared->models[i], path, err);
        if (rc == 0) {
            rc = checkpoint_digest(prepared->models[i], prepared->digests[i], err);
        }
        if (rc == 0) {
            prepared->model_layers[i] = checkpoint_config(prepared->models[i])->n_layers;
        } else {
            rc = err_wrap(err, "model %s", study->models[i].name);
        }
        prepared->digest_texts[i] = prepared->digests[i];
        free(path);
    }
    for (size_t i = 0; i < study->n_models && rc == 0; i++) {
        rc = compare_models(prepared, i, err);
    }
    return rc;
}

static void note_context(struct prepared *prepared)
{
    struct text warning = {0};

    if (config_context_warning(checkpoint_config(prepared->models[prepared->host]), &warning)) {
        text_printf(&prepared->notes, "model %s: %s\n", prepared->study.models[prepared->host].name,
                    text_get(&warning));
    }
    text_release(&warning);
}

/* Sources that fit together and run differently are allowed: a merge runs as its donor does. */
static void compare_configs(struct prepared *prepared)
{
    const struct study *study = &prepared->study;
    size_t donor = prepared->host;

    for (size_t i = 0; i < study->n_models; i++) {
        struct text differences = {0};

        if (config_differences(checkpoint_config(prepared->models[i]),
                               checkpoint_config(prepared->models[donor]), &differences) > 0) {
            text_printf(&prepared->notes, "model %s is unlike %s, as which %s run: %s\n",
                        study->models[i].name, study->models[donor].name,
                        study->merge.method != NULL ? "merges" : "routes", text_get(&differences));
        }
        text_release(&differences);
    }
}

/* What may surprise about the tokenizer of model i, a note a line. */
static void remark_tokenizer(struct prepared *prepared, size_t i, const struct tokenizer *tokenizer)
{
    struct text remarks = {0};

    tokenizer_remarks(tokenizer, checkpoint_config(prepared->models[i])->vocab, &remarks);
    for (const char *line = text_get(&remarks); *line != '\0';) {
        const size_t n = strcspn(line, "\n") + 1;

        text_printf(&prepared->notes, "model %s: %.*s", prepared->study.models[i].name, (int)n,
                    line);
        line += n;
    }
    text_release(&remarks);
}

/* Vocabularies must agree: embeddings are merged row by row. */
static int compare_tokenizers(struct prepared *prepared, struct err *err)
{
    const struct study *study = &prepared->study;
    struct tokenizer *first = NULL;
    int rc = tokenizer_open(&first, checkpoint_folder(prepared->models[0]), err);

    if (rc == 0) {
        remark_tokenizer(prepared, 0, first);
    }
    for (size_t i = 1; i < study->n_models && rc == 0; i++) {
        struct tokenizer *other = NULL;
        struct text report = {0};

        rc = tokenizer_open(&other, checkpoint_folder(prepared->models[i]), err);
        if (rc == 0 && tokenizer_compare(first, other, &report) > 0) {
            rc = err_set(err, ERR_CONFLICT, "models %s and %s have different tokenizers: %s",
                         study->models[0].name, study->models[i].name, text_get(&report));
        } else if (rc == 0) {
            remark_tokenizer(prepared, i, other);
        }
        text_release(&report);
        tokenizer_close(other);
    }
    tokenizer_close(first);
    return rc;
}

static bool has_own_tasks(const struct prepared *prepared)
{
    return bundle_programs(&prepared->bundle) < prepared->bundle.n_tasks;
}

/* Programs may read tokenizers that we cannot; that two differ we must not overlook. */
static int check_tokenizers(struct prepared *prepared, struct err *err)
{
    struct err why = {0};
    int rc = compare_tokenizers(prepared, &why);

    if (rc != 0 && rc != ERR_CONFLICT && !has_own_tasks(prepared)) {
        text_printf(&prepared->notes, "tokenizers are not compared: %s\n", why.text);
        return 0;
    }
    return rc == 0 ? 0 : err_set(err, why.code, "%s", why.text);
}

/* Tasks of our own run the merge here; programs may know architectures that we do not. */
static int check_runnable(const struct prepared *prepared, struct err *err)
{
    return has_own_tasks(prepared)
               ? config_runnable(checkpoint_config(prepared->models[prepared->host]), err)
               : 0;
}

/* What the study asks for; left to us, the best that this machine has for its type of weights. */
static enum numeric study_numeric(const struct study *study)
{
    enum numeric numeric = NUMERIC_F32;

    if (!numeric_parse(study->evaluator.numeric, &numeric) &&
        study->evaluator.dtype == RECIPE_BFLOAT16) {
        numeric = numeric_best();
    }
    return numeric;
}

int prepare_numeric(struct prepared *prepared, enum numeric numeric, struct err *err)
{
    json_t *doc = NULL;

    prepared->bundle.numeric = numeric;
    int rc = bundle_print(&prepared->bundle, &doc, err);
    if (rc == 0) {
        text_release(&prepared->bundle_text);
        doc_print(&prepared->bundle_text, doc);
    }
    json_decref(doc);
    return rc;
}

static int fill_bundle(struct prepared *prepared, struct err *err)
{
    const struct study *study = &prepared->study;
    struct bundle *bundle = &prepared->bundle;
    int rc = 0;

    bundle->study = mem_text(study->name);
    bundle->seed = study->seed;
    bundle->memory = study->evaluator.memory;
    bundle->prefix_cache_off = study->evaluator.prefix_cache_off;
    memcpy(bundle->shares, study->splits, sizeof(bundle->shares));
    bundle->models = mem_array(study->n_models, sizeof(struct bundle_model));
    for (size_t i = 0; i < study->n_models && rc == 0; i++) {
        struct bundle_model *model = &bundle->models[i];
        char *path = study_model_path(study, i);

        model->name = mem_text(study->models[i].name);
        memcpy(model->digest, prepared->digests[i], DIGEST_HEX);
        rc = layered_absolute(&model->path, path, err);
        bundle->n_models = i + 1;
        free(path);
    }
    return rc == 0 ? prepare_numeric(prepared, study_numeric(study), err) : rc;
}

/* ---- baselines ---- */

static void add_baseline(struct prepared *prepared, char *label, bool parent,
                         const struct recipe *recipe)
{
    struct text text = {0};

    recipe_print(&text, recipe);
    prepared->baselines =
        mem_resize(prepared->baselines, prepared->n_baselines + 1, sizeof(*prepared->baselines));
    prepared->baselines[prepared->n_baselines++] =
        (struct coordinator_baseline){.label = label, .parent = parent, .recipe = text_take(&text)};
}

static int add_by_method(struct prepared *prepared, const char *name, char *label, bool parent,
                         const size_t *models, size_t n, struct err *err)
{
    const char *sources[STUDY_MODELS_MAX];
    const struct method *method;
    struct recipe recipe = {0};
    int rc = method_find(&method, name, err);

    for (size_t i = 0; i < n; i++) {
        sources[i] = prepared->digests[models[i]];
    }
    if (rc == 0) {
        recipe_init(&recipe, method, prepared->study.evaluator.dtype, prepared->study.seed,
                    prepared->model_layers[models[0]], sources, n, NULL);
        add_baseline(prepared, label, parent, &recipe);
        recipe_release(&recipe);
    }
    return rc;
}

/* What a study makes something of, in its order: sources of the merge, its base, host and sources
 * of routes. averaged: how many of them the uniform average is of. */
static size_t list_parents(const struct prepared *prepared, size_t *parents, size_t *averaged)
{
    const struct study *study = &prepared->study;
    const struct study_route *route = &study->route;
    size_t n = 0;

    while (n < study->merge.n_sources) {
        parents[n] = study->merge.sources[n];
        n++;
    }
    *averaged = n;
    if (study->merge.base != SIZE_MAX) {
        parents[n++] = study->merge.base;
    }
    if (study->merge.method == NULL) {
        parents[n++] = route->host;
        *averaged = 1;
    }
    for (size_t s = 0; s < route->n_sources; s++) {
        size_t model = route->sources[s];

        if (!is_merged(study, model)) {
            parents[n++] = model;
            *averaged += study->merge.method == NULL;
        }
    }
    return n;
}

/* Models of unequal depth have no average. */
static bool have_one_depth(const struct prepared *prepared, const size_t *models, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        if (prepared->model_layers[models[i]] != prepared->model_layers[models[0]]) {
            return false;
        }
    }
    return true;
}

/* The merge where its search starts. */
static int add_start(struct prepared *prepared, struct err *err)
{
    const struct study *study = &prepared->study;
    struct space *space = NULL;
    struct recipe recipe = {0};
    int rc = space_new(&space, study, prepared->options.n_layers, prepared->digest_texts, err);

    if (rc == 0) {
        space_decode(space, space_start(space), &recipe);
        add_baseline(prepared, mem_printf("%s at its start", study->merge.method->name), false,
                     &recipe);
        recipe_release(&recipe);
    }
    space_free(space);
    return rc;
}

/* Every parent, the base too; the uniform average; the method where the search starts. */
static int make_baselines(struct prepared *prepared, struct err *err)
{
    const struct study *study = &prepared->study;
    size_t parents[STUDY_MODELS_MAX], averaged;
    size_t n = list_parents(prepared, parents, &averaged);
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = add_by_method(prepared, "passthrough",
                           mem_printf("parent %s", study->models[parents[i]].name), true,
                           &parents[i], 1, err);
    }
    if (rc == 0 && (study->merge.method != NULL ||
                    (averaged > 1 && have_one_depth(prepared, parents, averaged)))) {
        rc = add_by_method(prepared, "linear", mem_text("uniform average"), false, parents,
                           averaged, err);
    }
    if (rc == 0 && study->merge.method != NULL) {
        rc = add_start(prepared, err);
    }
    return rc;
}

/* ---- an earlier study ---- */

/* What its search found. A database that cannot be read matters only to a search that begins: it is
 * noted, and refused there. */
static void load_earlier(struct prepared *prepared)
{
    const char *name = prepared->study.optimizer.warm_start;
    char *path = name != NULL ? file_resolve(prepared->study.folder, name) : NULL;
    struct store *store = NULL;
    struct err err = {0};

    if (path == NULL) {
        return;
    }
    int rc = store_open_reader(&store, path, &err);
    if (rc == 0) {
        rc = store_candidates_before(store, INT64_MAX, &prepared->earlier, &prepared->past.n, &err);
    }
    if (rc != 0) {
        text_printf(&prepared->notes, "optimizer.warm_start: %s\n", err.text);
    } else {
        prepared->past.told = mem_array(prepared->past.n, sizeof(*prepared->past.told));
        prepared->options.earlier = &prepared->past;
    }
    for (size_t i = 0; i < prepared->past.n; i++) {
        prepared->past.told[i] = (struct phase_told){.recipe = prepared->earlier[i].recipe,
                                                     .value = prepared->earlier[i].value};
    }
    store_close(store);
    free(path);
}

/* ---- the whole ---- */

int prepare_study(struct prepared *out, const char *path, struct err *err)
{
    struct prepared *prepared = out;
    int rc = study_load(&prepared->study, path, err);

    if (rc != 0) {
        return rc;
    }
    if ((rc = open_models(prepared, err)) != 0 || (rc = prepare_tasks(prepared, err)) != 0 ||
        (rc = check_tokenizers(prepared, err)) != 0 || (rc = check_runnable(prepared, err)) != 0 ||
        (rc = fill_bundle(prepared, err)) != 0) {
        return rc;
    }
    compare_configs(prepared);
    note_context(prepared);
    prepared->options = (struct coordinator_options){
        .study = &prepared->study,
        .n_layers = prepared->model_layers[prepared->host],
        .model_layers = prepared->model_layers,
        .model_digests = prepared->digest_texts,
        .tasks = prepared->tasks,
        .version = BRAID_VERSION,
        /* Programs are costly, and what ails them is seldom passing. */
        .attempts = bundle_programs(&prepared->bundle) > 0 ? 2 : 0,
    };
    load_earlier(prepared);
    rc = make_baselines(prepared, err);
    prepared->options.baselines = prepared->baselines;
    prepared->options.n_baselines = prepared->n_baselines;
    return rc;
}

void prepare_release(struct prepared *prepared)
{
    for (size_t i = 0; prepared->models != NULL && i < prepared->study.n_models; i++) {
        checkpoint_close(prepared->models[i]);
    }
    for (size_t b = 0; b < prepared->n_baselines; b++) {
        free((char *)prepared->baselines[b].label);
        free((char *)prepared->baselines[b].recipe);
    }
    store_candidates_free(prepared->earlier, prepared->past.n);
    free(prepared->past.told);
    free(prepared->models);
    free(prepared->digests);
    free(prepared->digest_texts);
    free(prepared->model_layers);
    free(prepared->tasks);
    free(prepared->baselines);
    text_release(&prepared->bundle_text);
    text_release(&prepared->notes);
    bundle_release(&prepared->bundle);
    study_release(&prepared->study);
    *prepared = (struct prepared){0};
}

char *prepare_database_path(const char *study_path)
{
    size_t n = strlen(study_path);

    if (n > 5 && strcmp(study_path + n - 5, ".yaml") == 0) {
        n -= 5;
    } else if (n > 4 && strcmp(study_path + n - 4, ".yml") == 0) {
        n -= 4;
    }
    return mem_printf("%.*s.db", (int)n, study_path);
}
