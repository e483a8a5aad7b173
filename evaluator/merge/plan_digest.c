/*
 * plan_digest.c - what decides a plan's weights, as digests.
 */
#include "evaluator/merge/plan_digest.h"

#include <string.h>

static void add_bool(struct digest *digest, bool value)
{
    digest_add_u64(digest, value ? 1 : 0);
}

static void add_values(struct digest *digest, const double *values, size_t n)
{
    digest_add_u64(digest, n);
    if (n > 0) {
        digest_add(digest, values, n * sizeof(double));
    }
}

/* An input, or none: where its bytes are mapped, and as what. */
static void add_input(struct digest *digest, const struct checkpoint_tensor *input)
{
    digest_add_u64(digest, input != NULL ? (uint64_t)(uintptr_t)input->data : 0);
    digest_add_u64(digest, input != NULL ? (uint64_t)input->dtype : 0);
}

static void add_inputs(struct digest *digest, const struct plan_tensor *tensor)
{
    add_input(digest, tensor->base);
    digest_add_u64(digest, tensor->n_sources);
    for (size_t s = 0; s < tensor->n_sources; s++) {
        add_input(digest, tensor->sources[s]);
    }
}

/* What all tensors of the plan have in common. A method that counts over the whole model depends on
 * every tensor's inputs. */
static void digest_whole(const struct plan *plan, unsigned char out[DIGEST_SIZE])
{
    struct digest *digest = digest_new();

    digest_add_text(digest, plan->method->name);
    add_bool(digest, plan->rules.strict);
    add_bool(digest, plan->rules.exact_mergekit);
    add_bool(digest, plan->rules.allow_nonfinite);
    for (size_t i = 0; strcmp(plan->method->name, "ties_global") == 0 && i < plan->n_tensors; i++) {
        add_inputs(digest, &plan->tensors[i]);
    }
    digest_end(digest, out);
}

/* True when its place has no part in a tensor's values: no draws by name, no layers treated apart.
 */
static bool is_anywhere(const struct plan *plan, const struct plan_tensor *tensor)
{
    return tensor->copies || strcmp(plan->method->name, "passthrough") == 0 ||
           strcmp(plan->method->name, "linear") == 0;
}

/* plan: the one that mixes the tensor. */
static void digest_tensor(const struct plan *plan, const struct plan_tensor *tensor,
                          const unsigned char whole[DIGEST_SIZE], unsigned char out[DIGEST_SIZE])
{
    struct digest *digest = digest_new();
    size_t n_each = tensor->copies ? 0 : method_count(plan->method, METHOD_SOURCE);
    size_t n_whole = tensor->copies ? 0 : method_count(plan->method, METHOD_WHOLE);

    add_bool(digest, tensor->copies);
    if (!tensor->copies) {
        digest_add(digest, whole, DIGEST_SIZE);
    }
    if (!is_anywhere(plan, tensor)) {
        digest_add_text(digest, plan_mixed(tensor)->name);
        digest_add_u64(digest, plan->config.n_layers);
        digest_add_u64(digest, plan->seed);
    }
    digest_add_u64(digest, tensor->dtype);
    digest_add_u64(digest, tensor->work);
    digest_add_u64(digest, tensor->n_dims);
    for (size_t d = 0; d < tensor->n_dims; d++) {
        digest_add_u64(digest, tensor->dims[d]);
    }
    add_values(digest, &tensor->scale, 1);
    add_values(digest, &tensor->scale_offset, 1);
    add_inputs(digest, tensor);
    add_values(digest, tensor->source_values, tensor->n_sources * n_each);
    add_values(digest, tensor->whole_values, n_whole);
    for (size_t s = 0; tensor->keeps != NULL && s < tensor->n_sources; s++) {
        digest_add_u64(digest, (uint64_t)(uintptr_t)tensor->keeps[s]);
    }
    digest_end(digest, out);
}

void plan_digest_tensors(const struct plan *plan, unsigned char (*out)[DIGEST_SIZE])
{
    unsigned char whole[DIGEST_SIZE];

    digest_whole(plan_mixing(plan), whole);
    for (size_t i = 0; i < plan->n_tensors; i++) {
        digest_tensor(plan_mixing(plan), &plan->tensors[i], whole, out[i]);
    }
}

static void add_config(struct digest *digest, const struct config *config)
{
    const struct config common = config_without_layers(config);

    digest_add(digest, &common, sizeof(common));
}

/* True for what the stream meets between digests k - 1 and k. */
static bool is_between(const struct plan_tensor *tensor, uint32_t k)
{
    return k == 0 ? tensor->role == TENSOR_EMBEDDING
                  : tensors_role_in_layer(tensor->role) && tensor->layer == k - 1;
}

void plan_digest_prefixes(const struct plan *plan, unsigned char (*tensors)[DIGEST_SIZE],
                          unsigned char (*out)[DIGEST_SIZE])
{
    const struct config *config = &plan->config;

    for (uint32_t k = 0; k <= config->n_layers; k++) {
        struct digest *digest = digest_new();

        if (k == 0) {
            add_config(digest, config);
        } else {
            digest_add(digest, out[k - 1], DIGEST_SIZE);
            digest_add_u64(digest, config_window(config, k - 1));
            add_bool(digest, config_rope_of(config, k - 1) == &config->rope);
        }
        for (size_t i = 0; i < plan->n_tensors; i++) {
            const struct plan_tensor *tensor = &plan->tensors[i];

            if (is_between(tensor, k)) {
                digest_add_u64(digest, tensor->role);
                digest_add(digest, tensors[i], DIGEST_SIZE);
            }
        }
        digest_end(digest, out[k]);
    }
}
