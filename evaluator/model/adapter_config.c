/*
 * adapter_config.c - adapter_config.json, read without trust.
 *
 * A pattern is tried on a path between line feeds, "\nmodel.layers.0.mlp.up_proj\n": it then has
 * its two ends in the text, and one search tells whether it matches as a whole.
 */
#include "evaluator/model/adapter_config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "evaluator/model/regex.h"

#define RANK_MAX 65536

struct adapter_pattern {
    char *key;
    struct regex *regex;
    double value;
};

/* ---- patterns ---- */

/* A regular expression for a whole path, or for its end. */
static int compile(struct regex **out, const char *key, bool whole, struct err *err)
{
    size_t n = strlen(key);

    /* Python's ^ and $ say what the line feeds say. */
    if (*key == '^') {
        whole = true;
        key++;
        n--;
    }
    if (n > 0 && key[n - 1] == '$' && (n < 2 || key[n - 2] != '\\')) {
        n--;
    }
    char *text = mem_printf("%s(?:%.*s)\\n", whole ? "\\n" : "(?:\\n|\\.)", (int)n, key);
    const int rc = regex_compile(out, text, err);

    free(text);
    return rc;
}

static bool matches(struct regex *regex, const char *module)
{
    char *line = mem_printf("\n%s\n", module);
    size_t begin;
    size_t end;
    bool found = false;
    const int rc = regex_next(regex, line, strlen(line), 0, &found, &begin, &end, NULL);

    free(line);
    return rc == 0 && found;
}

static int read_patterns(struct adapter_pattern **out, size_t *n, const json_t *doc,
                         const char *member, struct err *err)
{
    const json_t *patterns = json_object_get(doc, member);
    const char *key;
    json_t *value;

    if (patterns == NULL || json_is_null(patterns)) {
        return 0;
    }
    if (!json_is_object(patterns)) {
        return err_set(err, ERR_FORMAT, "%s: expected an object, got %s", member,
                       doc_kind(patterns));
    }
    if (json_object_size(patterns) > ADAPTER_PATTERNS_MAX) {
        return err_set(err, ERR_LIMIT, "%s: more than %d patterns", member, ADAPTER_PATTERNS_MAX);
    }
    *out = mem_array(json_object_size(patterns), sizeof(**out));
    json_object_foreach((json_t *)patterns, key, value)
    {
        struct adapter_pattern *pattern = &(*out)[*n];

        if (!json_is_number(value)) {
            return err_set(err, ERR_FORMAT, "%s: %.200s: expected a number, got %s", member, key,
                           doc_kind(value));
        }
        if (compile(&pattern->regex, key, false, err) != 0) {
            return err_wrap(err, "%s: %.200s", member, key);
        }
        pattern->key = mem_text(key);
        pattern->value = json_number_value(value);
        (*n)++;
    }
    return 0;
}

static void release_patterns(struct adapter_pattern *patterns, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(patterns[i].key);
        regex_free(patterns[i].regex);
    }
    free(patterns);
}

/* The first pattern that names the module decides. */
static double look_up(const struct adapter_pattern *patterns, size_t n, const char *module,
                      double otherwise)
{
    for (size_t i = 0; i < n; i++) {
        if (matches(patterns[i].regex, module)) {
            return patterns[i].value;
        }
    }
    return otherwise;
}

/* ---- what is not done ---- */

/* Absent, null, false, or an empty list or object. */
static bool is_off(const json_t *value)
{
    return value == NULL || json_is_null(value) || json_is_false(value) ||
           (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0);
}

/* Initializations that leave the base as it is; others store the adapter as a difference from a
 * base that they changed. */
static bool is_plain_start(const json_t *value)
{
    static const char *const plain[] = {"gaussian", "eva", "orthogonal"};

    if (value == NULL || json_is_null(value) || json_is_boolean(value)) {
        return true;
    }
    for (size_t i = 0; json_is_string(value) && i < sizeof(plain) / sizeof(plain[0]); i++) {
        if (strcmp(json_string_value(value), plain[i]) == 0) {
            return true;
        }
    }
    return false;
}

static int refuse_others(const json_t *doc, struct err *err)
{
    static const char *const others[] = {
        "target_parameters", "lora_bias",  "trainable_token_indices",
        "layer_replication", "use_qalora", "alora_invocation_tokens",
        "arrow_config"};
    const json_t *start = json_object_get(doc, "init_lora_weights");
    const char *type;
    int rc = doc_text(doc, "peft_type", &type, err);

    if (rc != 0) {
        return rc;
    }
    if (strcmp(type, "LORA") != 0) {
        return err_set(err, ERR_FORMAT, "peft_type: '%.64s' is not folded, LORA is", type);
    }
    if (!is_off(json_object_get(doc, "use_dora"))) {
        return err_set(err, ERR_FORMAT,
                       "use_dora: DoRA is not folded; merge the adapter into its base first");
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (!is_off(json_object_get(doc, others[i]))) {
            return err_set(err, ERR_FORMAT,
                           "%s: is not folded; merge the adapter into its base first", others[i]);
        }
    }
    if (!is_plain_start(start)) {
        return err_set(err, ERR_FORMAT,
                       "init_lora_weights: '%.64s' changes the base; convert the adapter to plain "
                       "LoRA first",
                       json_is_string(start) ? json_string_value(start) : doc_kind(start));
    }
    return 0;
}

/* ---- the file ---- */

static int read_numbers(struct adapter_config *config, const json_t *doc, struct err *err)
{
    int64_t rank;
    int rc;

    if ((rc = doc_integer(doc, "r", 1, RANK_MAX, &rank, err)) != 0 ||
        (rc = doc_number_or(doc, "lora_alpha", 8, &config->alpha, err)) != 0 ||
        (rc = doc_bool_or(doc, "use_rslora", false, &config->root, err)) != 0 ||
        (rc = doc_bool_or(doc, "fan_in_fan_out", false, &config->fan_in_fan_out, err)) != 0) {
        return rc;
    }
    config->rank = (double)rank;
    return 0;
}

static int read_targets(struct adapter_config *config, const json_t *doc, struct err *err)
{
    json_t *targets = json_object_get(doc, "target_modules");
    size_t i;
    json_t *entry;

    if (targets == NULL || json_is_null(targets)) {
        return 0;
    }
    if (!json_is_string(targets) && !json_is_array(targets)) {
        return err_set(err, ERR_FORMAT, "target_modules: expected a list or a text, got %s",
                       doc_kind(targets));
    }
    json_array_foreach(targets, i, entry)
    {
        if (!json_is_string(entry)) {
            return err_set(err, ERR_FORMAT, "target_modules[%zu]: expected a text, got %s", i,
                           doc_kind(entry));
        }
    }
    config->targets = json_incref(targets);
    return 0;
}

int adapter_config_parse(struct adapter_config *out, const json_t *doc, struct err *err)
{
    struct adapter_config made = {0};
    int rc;

    if ((rc = refuse_others(doc, err)) != 0 || (rc = read_numbers(&made, doc, err)) != 0 ||
        (rc = read_targets(&made, doc, err)) != 0 ||
        (rc = read_patterns(&made.ranks, &made.n_ranks, doc, "rank_pattern", err)) != 0 ||
        (rc = read_patterns(&made.alphas, &made.n_alphas, doc, "alpha_pattern", err)) != 0) {
        adapter_config_release(&made);
        return rc;
    }
    *out = made;
    return 0;
}

int adapter_config_load(struct adapter_config *out, const char *path, struct err *err)
{
    json_t *doc = NULL;
    int rc = doc_load(&doc, path, ADAPTER_CONFIG_SIZE_MAX, err);

    if (rc != 0) {
        return rc;
    }
    rc = adapter_config_parse(out, doc, err);
    json_decref(doc);
    return rc == 0 ? 0 : err_wrap(err, "%s", path);
}

void adapter_config_release(struct adapter_config *config)
{
    release_patterns(config->ranks, config->n_ranks);
    release_patterns(config->alphas, config->n_alphas);
    json_decref(config->targets);
    *config = (struct adapter_config){0};
}

int adapter_config_scale(const struct adapter_config *config, const char *module, size_t rank,
                         double *out, struct err *err)
{
    const double said = look_up(config->ranks, config->n_ranks, module, config->rank);
    const double alpha = look_up(config->alphas, config->n_alphas, module, config->alpha);

    if (said != (double)rank) {
        return err_set(err, ERR_CONFLICT, "its rank is %zu, adapter_config.json says %g", rank,
                       said);
    }
    *out = alpha / (config->root ? sqrt((double)rank) : (double)rank);
    return 0;
}

static bool names_end(const char *module, const char *end)
{
    const size_t n = strlen(module);
    const size_t m = strlen(end);

    return m <= n && strcmp(module + n - m, end) == 0 && (m == n || module[n - m - 1] == '.');
}

bool adapter_config_targets(const struct adapter_config *config, const char *module)
{
    struct regex *regex = NULL;
    size_t i;
    json_t *entry;

    if (config->targets == NULL) {
        return true;
    }
    if (json_is_string(config->targets)) {
        const char *text = json_string_value(config->targets);
        const bool asked =
            strcmp(text, "all-linear") != 0 && compile(&regex, text, true, NULL) == 0;
        const bool found = !asked || matches(regex, module);

        regex_free(regex);
        return found;
    }
    json_array_foreach(config->targets, i, entry)
    {
        if (names_end(module, json_string_value(entry))) {
            return true;
        }
    }
    return false;
}
