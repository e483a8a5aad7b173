/*
 * study.c - what study.yaml says, checked; and its canonical form.
 *
 * One function reads each section, another prints it. Errors name the key by its path from the top
 * ("merge.search.density: ..."), and study_load puts the file in front.
 */
#include "study/study.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/layered.h"
#include "base/mem.h"
#include "study/place.h"
#include "study/quantity.h"
#include "study/study_sections.h"
#include "study/yaml.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define NAME_MAX_BYTES 64
#define EVALUATIONS_DEFAULT 1000
#define EVALUATIONS_MAX 100000000
#define STAGNATION_MAX 1000000
#define POPULATION_MAX 10000
#define SHARE_MAX 1e6
#define FINALISTS_DEFAULT 8
#define FINALISTS_MAX 1000
#define SEED_DEFAULT 1
#define SPLITS_SLACK 1e-9 /* 0.3333333333 three times is 1. Ours. */

static const char *const split_keys[] = {"search", "select", "report"};

/* ---- values shared by sections ---- */

static bool is_name(const char *s, const char *letters)
{
    size_t n = strspn(s, letters);

    return n > 0 && n <= NAME_MAX_BYTES && s[n] == '\0';
}

/* The text of an optional quantity; a bare number is told what it lacks. NULL when absent. */
static int quantity_text(const json_t *object, const char *key, const char *example,
                         const char **out, struct err *err)
{
    const json_t *value = json_object_get(object, key);

    if (json_is_number(value)) {
        return err_set(err, ERR_FORMAT, "%s: a number without a unit; write %s", key, example);
    }
    return doc_text_or(object, key, NULL, out, err);
}

static int duration_or(const json_t *object, const char *key, int64_t fallback, int64_t *ms,
                       struct err *err)
{
    const char *written = NULL;
    int rc = quantity_text(object, key, "90s, 10m or 8h", &written, err);

    if (rc != 0 || written == NULL) {
        *ms = fallback;
        return rc;
    }
    return quantity_duration(ms, written, err) != 0 ? err_wrap(err, "%s", key) : 0;
}

static int size_or(const json_t *object, const char *key, uint64_t fallback, uint64_t *bytes,
                   struct err *err)
{
    const char *written = NULL;
    int rc = quantity_text(object, key, "500MB or 8GiB", &written, err);

    if (rc != 0 || written == NULL) {
        *bytes = fallback;
        return rc;
    }
    return quantity_size(bytes, written, err) != 0 ? err_wrap(err, "%s", key) : 0;
}

static int time_of_day_or(const json_t *object, const char *key, int fallback, int *minute,
                          struct err *err)
{
    const char *written = NULL;
    int rc = quantity_text(object, key, "\"07:00\"", &written, err);

    if (rc != 0 || written == NULL) {
        *minute = fallback;
        return rc;
    }
    return quantity_time_of_day(minute, written, err) != 0 ? err_wrap(err, "%s", key) : 0;
}

/* Set a key to what was printed, and make room for the next. */
static void move_text(json_t *object, const char *key, struct text *text)
{
    json_object_set_new(object, key, json_string(text_get(text)));
    text_clear(text);
}

/* A key with one possible value so far. */
static int only_value(const json_t *object, const char *key, const char *only, struct err *err)
{
    const char *said;
    int rc = doc_text_or(object, key, only, &said, err);

    if (rc == 0 && strcmp(said, only) != 0) {
        rc = err_set(err, ERR_FORMAT, "%s: '%s' is not available yet; %s is", key, said, only);
    }
    return rc;
}

static bool is_auto(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return value == NULL ||
           (json_is_string(value) && strcmp(json_string_value(value), "auto") == 0);
}

/* ---- models ---- */

/* A duplicate is refused where the file is parsed. */
static int check_model(const char *name, const json_t *path, struct err *err)
{
    if (!is_name(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")) {
        return err_set(err, ERR_FORMAT,
                       "%.80s: a model's name has 1 to %d letters, digits, dots, - or _", name,
                       NAME_MAX_BYTES);
    }
    if (json_string_length(path) == 0) {
        return err_set(err, ERR_FORMAT, "%s: expected the path of a folder, got %s", name,
                       json_is_string(path) ? "an empty text" : doc_kind(path));
    }
    return 0;
}

static int compare_models(const void *a, const void *b)
{
    return strcmp(((const struct study_model *)a)->name, ((const struct study_model *)b)->name);
}

/* Sorted by name, so that their numbers do not depend on the order in the file. */
static int parse_models(struct study *study, json_t *doc, struct err *err)
{
    size_t n = json_object_size(doc);
    const char *name;
    json_t *path;

    study->models = mem_array(n, sizeof(*study->models));
    json_object_foreach(doc, name, path)
    {
        if (study->n_models == STUDY_MODELS_MAX) {
            return err_set(err, ERR_LIMIT, "%.80s: there may be %d models", name, STUDY_MODELS_MAX);
        }
        int rc = check_model(name, path, err);

        if (rc != 0) {
            return rc;
        }
        study->models[study->n_models++] =
            (struct study_model){.name = mem_text(name), .path = mem_text(json_string_value(path))};
    }
    qsort(study->models, n, sizeof(*study->models), compare_models);
    return 0;
}

int study_model_find(size_t *out, const struct study *study, const char *name, struct err *err)
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

    return err_set(err, ERR_MISSING, "'%s' is not among models%s%s%s", name,
                   near != NULL ? "; did you mean " : "", near != NULL ? near : "",
                   near != NULL ? "?" : "");
}

/* ---- sections that may be absent, and are an empty mapping then ---- */

static int parse_splits(struct study *study, json_t *doc, struct err *err)
{
    static const double usual[] = {0.5, 0.25, 0.25};
    double sum = 0;
    int rc = doc_only(doc, split_keys, COUNT(split_keys), err);

    if (rc != 0 || json_object_size(doc) == 0) {
        memcpy(study->splits, usual, sizeof(usual));
        return rc;
    }
    for (size_t i = 0; i < COUNT(split_keys); i++) {
        rc = doc_number(doc, split_keys[i], &study->splits[i], err);
        if (rc != 0) {
            return rc;
        }
        if (study->splits[i] <= 0 || study->splits[i] >= 1) {
            return err_set(err, ERR_LIMIT, "%s: %g is no share between 0 and 1", split_keys[i],
                           study->splits[i]);
        }
        sum += study->splits[i];
    }
    if (fabs(sum - 1) > SPLITS_SLACK) {
        return err_set(err, ERR_FORMAT, "search + select + report: %.10g, not 1", sum);
    }
    return 0;
}

static json_t *print_splits(const struct study *study)
{
    json_t *doc = json_object();

    for (size_t i = 0; i < COUNT(split_keys); i++) {
        json_object_set_new(doc, split_keys[i], json_real(study->splits[i]));
    }
    return doc;
}

/* One of n words, the first when the key is absent. *out is borrowed from the document. */
static int one_of(const json_t *doc, const char *key, const char *const *words, size_t n,
                  const char **out, struct err *err)
{
    struct text all = {0};
    int rc = doc_text_or(doc, key, words[0], out, err);

    for (size_t i = 0; i < n && rc == 0; i++) {
        if (strcmp(*out, words[i]) == 0) {
            text_release(&all);
            return 0;
        }
        text_printf(&all, "%s%s", i == 0 ? "" : i + 1 == n ? " and " : ", ", words[i]);
    }
    if (rc == 0) {
        rc = err_set(err, ERR_FORMAT, "%s: no '%s'; there are %s", key, *out, text_get(&all));
    }
    text_release(&all);
    return rc;
}

static int parse_optimizer(struct study *study, json_t *doc, struct err *err)
{
    static const char *const known[] = {"algorithm", "population", "sigma",
                                        "restarts",  "noise",      "warm_start"};
    static const char *const algorithms[] = {
        "cma-es",    "auto",    "sep-cma-es", "dd-cma-es", "lq-cma-es", "catcma", "lm-ma-es",
        "mo-cma-es", "nsga-ii", "discrete",   "random",    "halton",    "sobol"};
    static const char *const restarts[] = {"none", "ipop", "bipop"};
    static const char *const noises[] = {"none", "reevaluate", "adapt"};
    const char *algorithm, *restart, *noise, *warm_start;
    int64_t population = 0;
    double sigma = 0;
    int rc;

    if ((rc = doc_only(doc, known, COUNT(known), err)) != 0 ||
        (rc = one_of(doc, "algorithm", algorithms, COUNT(algorithms), &algorithm, err)) != 0 ||
        (rc = one_of(doc, "restarts", restarts, COUNT(restarts), &restart, err)) != 0 ||
        (rc = one_of(doc, "noise", noises, COUNT(noises), &noise, err)) != 0 ||
        (rc = doc_text_or(doc, "warm_start", NULL, &warm_start, err)) != 0 ||
        (!is_auto(doc, "population") &&
         (rc = doc_integer(doc, "population", 2, POPULATION_MAX, &population, err)) != 0) ||
        (!is_auto(doc, "sigma") && (rc = doc_number(doc, "sigma", &sigma, err)) != 0)) {
        return rc;
    }
    if (!is_auto(doc, "sigma") && (sigma <= 0 || sigma > 1)) {
        return err_set(err, ERR_LIMIT, "sigma: %g is no share of the box in (0, 1]", sigma);
    }
    if (study->route.mode != STUDY_ROUTE_NONE && json_object_get(doc, "algorithm") == NULL) {
        algorithm = "auto"; /* the parts of a search of routes differ too much for one */
    }
    if (study->route.mode != STUDY_ROUTE_NONE &&
        (strcmp(algorithm, "dd-cma-es") == 0 || strcmp(algorithm, "lq-cma-es") == 0 ||
         strcmp(algorithm, "lm-ma-es") == 0)) {
        return err_set(err, ERR_CONFLICT,
                       "algorithm: %s knows no whole numbers, of which routes are made; take auto",
                       algorithm);
    }
    study->optimizer = (struct study_optimizer){.algorithm = mem_text(algorithm),
                                                .restarts = mem_text(restart),
                                                .noise = mem_text(noise),
                                                .population = (size_t)population,
                                                .sigma = sigma};
    if (warm_start != NULL) {
        study->optimizer.warm_start = mem_text(warm_start);
    }
    return 0;
}

static json_t *print_optimizer(const struct study *study)
{
    const struct study_optimizer *optimizer = &study->optimizer;
    json_t *population = optimizer->population > 0 ? json_integer((json_int_t)optimizer->population)
                                                   : json_string("auto");
    json_t *sigma = optimizer->sigma > 0 ? json_real(optimizer->sigma) : json_string("auto");

    json_t *doc = json_pack("{s:s, s:o, s:o, s:s}", "algorithm", optimizer->algorithm, "population",
                            population, "sigma", sigma, "restarts", optimizer->restarts);

    if (strcmp(optimizer->noise, "none") !=
        0) { /* said only when asked for: older studies stay as they were */
        json_object_set_new(doc, "noise", json_string(optimizer->noise));
    }
    if (optimizer->warm_start != NULL) {
        json_object_set_new(doc, "warm_start", json_string(optimizer->warm_start));
    }
    return doc;
}

/* One number for each step of merge.layers, which is parsed already. */
static int parse_shares(struct study *study, const json_t *doc, struct err *err)
{
    const json_t *shares = json_object_get(doc, "shares");
    struct study_budget *budget = &study->budget;
    size_t n = 1 + study->merge.n_finer;

    if (shares == NULL) {
        return 0;
    }
    if (json_array_size(shares) != n) {
        return err_set(err, ERR_FORMAT,
                       "shares: expected a list of %zu numbers, one a step of merge.layers", n);
    }
    for (size_t i = 0; i < n; i++) {
        budget->shares[i] = json_number_value(json_array_get(shares, i));
        if (!(budget->shares[i] > 0 && budget->shares[i] <= SHARE_MAX)) {
            return err_set(err, ERR_LIMIT, "shares[%zu]: expected a number above 0, to %g", i,
                           SHARE_MAX);
        }
    }
    budget->n_shares = n;
    return 0;
}

static int parse_budget(struct study *study, json_t *doc, struct err *err)
{
    static const char *const known[] = {"evaluations", "wall", "until", "stagnation", "shares"};
    struct study_budget *budget = &study->budget;
    int64_t evaluations;
    int64_t stagnation;
    int rc;

    if ((rc = doc_only(doc, known, COUNT(known), err)) != 0 ||
        (rc = doc_integer_or(doc, "evaluations", 1, EVALUATIONS_MAX, EVALUATIONS_DEFAULT,
                             &evaluations, err)) != 0 ||
        (rc = doc_integer_or(doc, "stagnation", 1, STAGNATION_MAX, 0, &stagnation, err)) != 0 ||
        (rc = duration_or(doc, "wall", 0, &budget->wall_ms, err)) != 0 ||
        (rc = time_of_day_or(doc, "until", -1, &budget->until_minute, err)) != 0 ||
        (rc = parse_shares(study, doc, err)) != 0) {
        return rc;
    }
    budget->evaluations = (uint64_t)evaluations;
    budget->stagnation = (uint32_t)stagnation;
    return 0;
}

static json_t *print_budget(const struct study *study)
{
    const struct study_budget *budget = &study->budget;
    json_t *doc = json_pack("{s:I}", "evaluations", (json_int_t)budget->evaluations);
    struct text text = {0};

    if (budget->wall_ms > 0) {
        quantity_print_duration(&text, budget->wall_ms);
        move_text(doc, "wall", &text);
    }
    if (budget->until_minute >= 0) {
        quantity_print_time_of_day(&text, budget->until_minute);
        move_text(doc, "until", &text);
    }
    if (budget->stagnation > 0) {
        json_object_set_new(doc, "stagnation", json_integer(budget->stagnation));
    }
    if (budget->n_shares > 0) {
        json_t *shares = json_array();

        for (size_t i = 0; i < budget->n_shares; i++) {
            json_array_append_new(shares, json_real(budget->shares[i]));
        }
        json_object_set_new(doc, "shares", shares);
    }
    text_release(&text);
    return doc;
}

/* Where one would look for it, and where it is. */
static int refuse_command(const json_t *doc, struct err *err)
{
    const char *kind = json_string_value(json_object_get(doc, "kind"));
    const bool of_kind = kind != NULL && strcmp(kind, "command") == 0;

    return of_kind || json_object_get(doc, "command") != NULL
               ? err_set(err, ERR_FORMAT,
                         "%s: a program is a task's, not the evaluator's: tasks: [{task: NAME, "
                         "output_type: command, command: [...]}]",
                         of_kind ? "kind" : "command")
               : 0;
}

static int parse_evaluator(struct study *study, json_t *doc, struct err *err)
{
    static const char *const known[] = {"kind",   "command", "dtype",       "numeric",
                                        "memory", "timeout", "prefix_cache"};
    static const char *const numerics[] = {"auto", "f32", "amx2", "amx1"};
    struct study_evaluator *evaluator = &study->evaluator;
    const char *dtype, *numeric;
    bool shared;
    int rc;

    if ((rc = doc_only(doc, known, COUNT(known), err)) != 0 ||
        (rc = refuse_command(doc, err)) != 0 ||
        (rc = only_value(doc, "kind", "native", err)) != 0 ||
        (rc = doc_text_or(doc, "dtype", "bfloat16", &dtype, err)) != 0 ||
        (rc = one_of(doc, "numeric", numerics, COUNT(numerics), &numeric, err)) != 0 ||
        (rc = size_or(doc, "memory", 0, &evaluator->memory, err)) != 0 ||
        (rc = duration_or(doc, "timeout", 0, &evaluator->timeout_ms, err)) != 0 ||
        (rc = doc_bool_or(doc, "prefix_cache", true, &shared, err)) != 0) {
        return rc;
    }
    evaluator->prefix_cache_off = !shared;
    evaluator->numeric = mem_text(numeric);
    if (recipe_dtype_parse(&evaluator->dtype, dtype, err) != 0) {
        return err_wrap(err, "dtype");
    }
    if (strncmp(numeric, "amx", 3) == 0 && evaluator->dtype != RECIPE_BFLOAT16) {
        return err_set(err, ERR_CONFLICT, "numeric: %s is for dtype bfloat16, not %s", numeric,
                       dtype);
    }
    return 0;
}

static json_t *print_evaluator(const struct study *study)
{
    const struct study_evaluator *evaluator = &study->evaluator;
    json_t *doc =
        json_pack("{s:s, s:s}", "kind", "native", "dtype", recipe_dtype_name(evaluator->dtype));
    struct text text = {0};

    if (strcmp(evaluator->numeric, "auto") !=
        0) { /* said only when asked for: older studies stay as they were */
        json_object_set_new(doc, "numeric", json_string(evaluator->numeric));
    }
    if (evaluator->memory > 0) {
        quantity_print_size(&text, evaluator->memory);
        move_text(doc, "memory", &text);
    }
    if (evaluator->timeout_ms > 0) {
        quantity_print_duration(&text, evaluator->timeout_ms);
        move_text(doc, "timeout", &text);
    }
    if (evaluator->prefix_cache_off) {
        json_object_set_new(doc, "prefix_cache", json_false());
    }
    text_release(&text);
    return doc;
}

/* ---- the whole ---- */

/* Promised, and said so plainly where it is asked for. */
static int refuse_later_keys(const json_t *doc, struct err *err)
{
    if (json_object_get(doc, "baselines") != NULL) {
        return err_set(err, ERR_FORMAT,
                       "baselines: recipes of your own are not available yet; every parent, the "
                       "uniform average and the method's defaults are always compared");
    }
    return 0;
}

static int parse_head(struct study *study, const json_t *doc, struct err *err)
{
    static const char *const known[] = {
        "study",     "seed",      "models", "merge",     "route",     "tasks",     "splits",
        "objective", "optimizer", "budget", "evaluator", "finalists", "baselines", "benchmarks"};
    const char *name;
    int64_t seed;
    int64_t finalists;
    int rc;

    if ((rc = doc_only(doc, known, COUNT(known), err)) != 0 ||
        (rc = refuse_later_keys(doc, err)) != 0 || (rc = doc_text(doc, "study", &name, err)) != 0 ||
        (rc = doc_integer_or(doc, "seed", 0, RECIPE_SEED_MAX, SEED_DEFAULT, &seed, err)) != 0 ||
        (rc = only_value(doc, "benchmarks", "allow", err)) != 0 ||
        (rc = doc_integer_or(doc, "finalists", 1, FINALISTS_MAX, FINALISTS_DEFAULT, &finalists,
                             err)) != 0) {
        return rc;
    }
    if (!is_name(name, "abcdefghijklmnopqrstuvwxyz0123456789-")) {
        return err_set(err, ERR_FORMAT, "study: '%.80s' is no name; use 1 to %d of a-z, 0-9 and -",
                       name, NAME_MAX_BYTES);
    }
    study->name = mem_text(name);
    study->seed = (uint64_t)seed;
    study->finalists = (size_t)finalists;
    study->benchmarks = json_object_get(doc, "benchmarks") != NULL;
    return 0;
}

/* A mapping within the study. */
enum absence {
    REFUSED,
    AS_EMPTY, /* read as an empty one */
    PASSED_OVER
};

struct section {
    const char *name;
    enum absence absence;
    int (*parse)(struct study *study, json_t *doc, struct err *err);
};

static const struct section sections[] = {
    {"models", REFUSED, parse_models},         {"merge", PASSED_OVER, study_merge_parse},
    {"route", PASSED_OVER, study_route_parse}, {"splits", AS_EMPTY, parse_splits},
    {"optimizer", AS_EMPTY, parse_optimizer},  {"budget", AS_EMPTY, parse_budget},
    {"evaluator", AS_EMPTY, parse_evaluator},
};

static int parse_section(struct study *study, const struct section *section, const json_t *doc,
                         struct err *err)
{
    json_t *found = json_object_get(doc, section->name);

    if (found == NULL && section->absence == REFUSED) {
        return err_set(err, ERR_MISSING, "%s: missing", section->name);
    }
    if (found == NULL && section->absence == PASSED_OVER) {
        return 0;
    }
    if (found != NULL && !json_is_object(found)) {
        return err_set(err, ERR_FORMAT, "%s: expected a mapping, got %s", section->name,
                       doc_kind(found));
    }
    if (section->absence != AS_EMPTY && json_object_size(found) == 0) {
        return err_set(err, ERR_MISSING, "%s: empty", section->name);
    }
    json_t *read = found != NULL ? json_incref(found) : json_object();
    int rc = section->parse(study, read, err);

    if (rc != 0) {
        rc = place_within(err, read, "%s", section->name);
    }
    json_decref(read);
    return rc;
}

int study_parse(struct study *out, const json_t *doc, const char *folder, struct err *err)
{
    struct study made = {.merge.base = SIZE_MAX};
    int rc;

    if (!json_is_object(doc)) {
        return err_set(err, ERR_FORMAT, "expected a mapping, got %s", doc_kind(doc));
    }
    rc = parse_head(&made, doc, err);
    if (rc == 0 && json_object_get(doc, "merge") == NULL && json_object_get(doc, "route") == NULL) {
        rc = err_set(err, ERR_MISSING, "merge: missing; a study searches a merge, a route or both");
    }
    for (size_t i = 0; i < COUNT(sections) && rc == 0; i++) {
        rc = parse_section(&made, &sections[i], doc, err);
    }
    if (rc != 0 || (rc = study_tasks_parse(&made, doc, err)) != 0 ||
        (rc = study_objective_parse(&made, doc, err)) != 0) {
        goto out;
    }
    made.folder = mem_text(folder);
    *out = made;
    made = (struct study){0}; /* handed over */

out:
    study_release(&made);
    return rc;
}

int study_load(struct study *out, const char *path, struct err *err)
{
    json_t *doc = NULL;
    int rc = yaml_load(&doc, path, err);

    if (rc != 0) {
        return rc; /* it names the path already */
    }
    char *folder = file_folder(path);

    if (study_parse(out, doc, folder, err) != 0) {
        rc = err_wrap(err, "%s", path);
    }
    free(folder);
    json_decref(doc);
    return rc;
}

void study_release(struct study *study)
{
    for (size_t i = 0; i < study->n_models; i++) {
        free(study->models[i].name);
        free(study->models[i].path);
    }
    study_tasks_release(study);
    study_merge_release(&study->merge);
    study_route_release(&study->route);
    free(study->optimizer.algorithm);
    free(study->optimizer.restarts);
    free(study->optimizer.noise);
    free(study->optimizer.warm_start);
    free(study->evaluator.numeric);
    free(study->models);
    free(study->name);
    free(study->folder);
    *study = (struct study){0};
}

char *study_model_path(const struct study *study, size_t model)
{
    assert(model < study->n_models);
    return layered_resolve(study->folder, study->models[model].path);
}

json_t *study_print(const struct study *study)
{
    json_t *models = json_object();

    for (size_t i = 0; i < study->n_models; i++) {
        json_object_set_new(models, study->models[i].name, json_string(study->models[i].path));
    }
    json_t *merge = study->merge.method != NULL ? study_merge_print(study) : NULL;
    json_t *route = study->route.mode != STUDY_ROUTE_NONE ? study_route_print(study) : NULL;

    json_t *allowed = study->benchmarks ? json_string("allow") : NULL;

    return json_pack("{s:s, s:I, s:o, s:o*, s:o*, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:o*}",
                     "study", study->name, "seed", (json_int_t)study->seed, "models", models,
                     "merge", merge, "route", route, "tasks", study_tasks_print(study), "splits",
                     print_splits(study), "objective", study_objective_print(study), "optimizer",
                     print_optimizer(study), "budget", print_budget(study), "evaluator",
                     print_evaluator(study), "finalists", (json_int_t)study->finalists,
                     "benchmarks", allowed);
}

/* ---- identity ---- */

/* Where things lie is no part of the question: models and tasks are told apart by what is in them,
 * which others check. */
static void drop_folders(json_t *doc)
{
    json_t *models = json_object_get(doc, "models");
    json_t *tasks = json_object_get(doc, "tasks");
    json_t *warm_start = json_object_get(json_object_get(doc, "optimizer"), "warm_start");
    const char *name;
    json_t *path;
    json_t *task;
    size_t t;

    if (warm_start != NULL) {
        json_string_set(warm_start, file_name(json_string_value(warm_start)));
    }
    json_object_foreach(models, name, path)
    {
        json_object_set_new(models, name, json_null());
    }
    json_array_foreach(tasks, t, task)
    {
        const char *file = json_string_value(json_object_get(task, "task"));

        json_object_set_new(task, "task", json_string(file_name(file)));
        if (json_object_get(task, "command") != NULL) { /* it may take longer another day */
            json_object_del(task, "timeout");
        }
    }
    json_array_foreach(json_object_get(json_object_get(doc, "objective"), "pareto"), t, task)
    {
        json_string_set(task, file_name(json_string_value(task)));
    }
}

void study_identity(const struct study *study, char out[DIGEST_HEX])
{
    json_t *doc = study_print(study);
    struct text text = {0};

    json_object_del(doc, "budget");
    json_object_del(doc, "benchmarks"); /* leave to ask is no part of the question */
    drop_folders(doc);
    doc_print(&text, doc);
    digest_hex_of(text_get(&text), text.size, out);
    text_release(&text);
    json_decref(doc);
}
