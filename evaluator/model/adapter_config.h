/*
 * adapter_config.h - what adapter_config.json says of a LoRA adapter (PEFT's layout).
 *
 * Scale of a module: alpha / r, or alpha / sqrt(r) with use_rslora (Kalajdzievski 2023,
 * arXiv:2312.03732). rank_pattern and alpha_pattern give r and alpha of some modules; their keys
 * are regular expressions for the end of a module's path, at a dot or its start.
 */
#ifndef MODEL_ADAPTER_CONFIG_H
#define MODEL_ADAPTER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/doc.h"
#include "base/err.h"

#define ADAPTER_CONFIG_SIZE_MAX ((size_t)4 << 20)
#define ADAPTER_PATTERNS_MAX 10000

struct adapter_pattern; /* a key of rank_pattern or alpha_pattern and its number */

struct adapter_config {
    double rank, alpha;  /* of modules that no pattern names */
    bool root;           /* use_rslora: the scale has the root of the rank */
    bool fan_in_fan_out; /* linear weights are stored [inputs, outputs] */
    json_t *targets;     /* target_modules: a list of path ends, a regular expression, or NULL */
    size_t n_ranks, n_alphas;
    struct adapter_pattern *ranks, *alphas;
};

/*
 * ERR_MISSING, ERR_FORMAT, ERR_LIMIT: the file's path and the member at fault. What changes the
 * arithmetic and is not done here is refused by name: DoRA, another peft_type, an initialization
 * that changes the base, and so on.
 */
int adapter_config_load(struct adapter_config *out, const char *path, struct err *err);
int adapter_config_parse(struct adapter_config *out, const json_t *doc, struct err *err);
void adapter_config_release(struct adapter_config *config);

/* The scale of a module whose matrices have this rank. ERR_CONFLICT when the file says another
 * rank. */
int adapter_config_scale(const struct adapter_config *config, const char *module, size_t rank,
                         double *out, struct err *err);

/* True when target_modules names the module, or cannot be asked (all-linear, or a regular
 * expression that only Python reads). */
bool adapter_config_targets(const struct adapter_config *config, const char *module);

#endif
