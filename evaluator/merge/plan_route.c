/*
 * plan_route.c - hops to layers, scales to factors of output projections.
 */
#include "evaluator/merge/plan_route.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* What is at work: the plan that grows, and the models that hops name. */
struct router {
    const struct recipe *recipe;
    struct plan *plan;
    const struct checkpoint *models[ROUTE_MODELS_MAX]; /* [0]: whose config the merge has */
    struct err *err;
};

/* ---- models ---- */

/* What a layer of one must share with the layers of the other, to stand between them. */
static int check_like(const struct router *router, const struct checkpoint *model)
{
    const struct config *host = &router->plan->merge->config;
    const struct config *config = checkpoint_config(model);
    const struct {
        const char *name;
        uint32_t mine, hosts;
    } sizes[] = {{"hidden_size", config->width, host->width},
                 {"intermediate_size", config->mlp_width, host->mlp_width},
                 {"num_attention_heads", config->n_heads, host->n_heads},
                 {"num_key_value_heads", config->n_kv_heads, host->n_kv_heads},
                 {"head_dim", config->head_width, host->head_width},
                 {"vocab_size", config->vocab, host->vocab},
                 {"attention_bias", config->qkv_bias, host->qkv_bias},
                 {"attention_bias", config->out_bias, host->out_bias},
                 {"mlp_bias", config->mlp_bias, host->mlp_bias}};
    const char *folder = checkpoint_folder(model);
    const char *hosts = checkpoint_folder(router->models[0]);

    if (strcmp(config->architecture, host->architecture) != 0) {
        return err_set(router->err, ERR_CONFLICT, "%s: a %s, %s is a %s", folder,
                       config->architecture, hosts, host->architecture);
    }
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        if (sizes[i].mine != sizes[i].hosts) {
            return err_set(router->err, ERR_CONFLICT, "%s: its %s is %u, in %s it is %u", folder,
                           sizes[i].name, sizes[i].mine, hosts, sizes[i].hosts);
        }
    }
    return checkpoint_unchanged(model, router->err);
}

static int find_models(struct router *router, const struct plan_model *models, size_t n)
{
    const struct recipe *recipe = router->recipe;
    int rc = 0;

    router->models[0] = router->plan->merge->donor;
    for (size_t m = 0; m < recipe->n_route_models && rc == 0; m++) {
        rc = plan_find_model(models, n, recipe->route_models[m], &router->models[m + 1],
                             router->err);
        if (rc == 0) {
            rc = check_like(router, router->models[m + 1]);
        }
    }
    return rc;
}

/* A layer keeps its kind of attention, wherever it goes; how wide windows are is said once. */
static int set_attention(struct router *router, uint32_t k)
{
    const struct route_hop *hop = &router->recipe->route.hops[k];
    const struct checkpoint *model = router->models[hop->model];
    const struct config *from = checkpoint_config(model);
    struct config *config = &router->plan->config;

    if (hop->layer >= from->n_layers) {
        return err_set(router->err, ERR_CONFLICT, "hop %u: layer %u of %s, which has %u", k,
                       hop->layer, checkpoint_folder(model), from->n_layers);
    }
    uint32_t window = config_window(from, hop->layer);
    if (window > 0 && window != config->window) {
        return err_set(router->err, ERR_CONFLICT,
                       "hop %u: layer %u of %s slides over %u places; windows of %s are of %u", k,
                       hop->layer, checkpoint_folder(model), window,
                       checkpoint_folder(router->models[0]), config->window);
    }
    if (config_slides(from, hop->layer)) {
        config->sliding[k / 64] |= (uint64_t)1 << k % 64;
    }
    return 0;
}

/* ---- tensors ---- */

/* The tensors by which a block adds to the stream. */
static bool adds(const struct config *config, enum tensor_role role)
{
    if (config->sandwich) {
        return role == TENSOR_ATTENTION_NORM || role == TENSOR_MLP_OUT_NORM;
    }
    return role == TENSOR_O || role == TENSOR_O_BIAS || role == TENSOR_DOWN ||
           role == TENSOR_DOWN_BIAS;
}

static const struct plan_tensor *find_tensor(const struct plan *plan, const char *name)
{
    for (size_t low = 0, high = plan->n_tensors; low < high;) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(plan->tensors[middle].name, name);

        if (order == 0) {
            return &plan->tensors[middle];
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return NULL;
}

/* A tensor of the merge, with a list of inputs of its own. */
static void add_merged(struct plan *plan, const struct plan_tensor *merged)
{
    struct plan_tensor *out = &plan->tensors[plan->n_tensors++];
    size_t bytes = merged->n_sources * sizeof(*merged->sources);

    *out = *merged;
    out->of_merge = merged;
    out->sources = mem_alloc(bytes);
    memcpy(out->sources, merged->sources, bytes);
    plan->n_elements += out->n;
}

/* A tensor of another model, as it is but for its type. like: a tensor of the merge. */
static int add_copy(struct router *router, const struct plan_tensor *like,
                    const struct checkpoint_tensor *from)
{
    struct plan *plan = router->plan;

    if (!dtype_is_number(from->dtype)) {
        return err_set(router->err, ERR_FORMAT, "%s/%s: %s: %s numbers cannot be merged",
                       from->folder, from->file, from->name, dtype_name(from->dtype));
    }
    struct plan_tensor *out = &plan->tensors[plan->n_tensors++];

    *out = (struct plan_tensor){.role = from->role,
                                .n_dims = from->n_dims,
                                .n = from->n_elements,
                                .dtype = like->dtype,
                                .copies = true,
                                .n_sources = 1,
                                .source_values = like->source_values,
                                .whole_values = like->whole_values};
    memcpy(out->dims, from->dims, sizeof(out->dims));
    out->sources = mem_array(1, sizeof(*out->sources));
    out->sources[0] = from;
    plan->n_elements += out->n;
    return 0;
}

/* One tensor of hop k: layer k of what comes out. */
static int add_tensor(struct router *router, uint32_t k, enum tensor_role role, double scale)
{
    const struct route_hop *hop = &router->recipe->route.hops[k];
    struct plan *plan = router->plan;
    char name[TENSORS_NAME_MAX];
    int rc = 0;

    tensors_name(&plan->config, role, hop->model == 0 ? hop->layer : 0, name);
    const struct plan_tensor *merged = find_tensor(plan->merge, name);
    if (hop->model == 0) {
        add_merged(plan, merged);
    } else {
        rc =
            add_copy(router, merged, checkpoint_role(router->models[hop->model], role, hop->layer));
    }
    if (rc != 0) {
        return rc;
    }
    struct plan_tensor *out = &plan->tensors[plan->n_tensors - 1];

    tensors_name(&plan->config, role, k, name);
    out->name = plan_own(plan, mem_text(name));
    out->layer = k;
    if (adds(&plan->config, role) && (float)scale != 1.0F) {
        out->scale = scale;
        out->scale_offset = plan->config.sandwich ? (double)plan->config.norm_offset : 0.0;
    }
    return 0;
}

static int add_hop(struct router *router, uint32_t k, double scale)
{
    char name[TENSORS_NAME_MAX];
    int rc = set_attention(router, k);

    for (enum tensor_role role = TENSOR_INPUT_NORM; role <= TENSOR_MLP_OUT_NORM && rc == 0;
         role++) {
        if (tensors_name(&router->plan->config, role, k, name)) {
            rc = add_tensor(router, k, role, scale);
        }
    }
    return rc;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct plan_tensor *)a)->name, ((const struct plan_tensor *)b)->name);
}

static int add_all(struct router *router)
{
    const struct route *route = &router->recipe->route;
    struct plan *plan = router->plan;
    double product = 1.0;
    int rc = 0;

    plan->tensors = mem_array(TENSOR_ROLES * route->n_hops + plan->merge->n_tensors,
                              sizeof(struct plan_tensor));
    for (size_t i = 0; i < plan->merge->n_tensors; i++) {
        const struct plan_tensor *merged = &plan->merge->tensors[i];

        if (!tensors_role_in_layer(merged->role)) {
            add_merged(plan, merged);
            plan->tensors[plan->n_tensors - 1].layer =
                merged->role == TENSOR_EMBEDDING ? 0 : plan->config.n_layers - 1;
        }
    }
    for (uint32_t k = 0; k < route->n_hops && rc == 0; k++) {
        product *= route->hops[k].scale;
        rc = isnormal((float)product) && isnormal((float)(1.0 / product))
                 ? add_hop(router, k, 1.0 / product)
                 : err_set(router->err, ERR_LIMIT, "hop %u: scales so far multiply to %g", k,
                           product);
    }
    qsort(plan->tensors, plan->n_tensors, sizeof(struct plan_tensor), by_name);
    for (size_t i = 0; i < plan->n_tensors; i++) {
        plan->tensors[i].index = i;
    }
    return rc;
}

/* ---- the whole ---- */

/* The merge's, but for what goes layer by layer. */
static void begin(struct plan *plan, struct plan *merge, const struct recipe *recipe)
{
    struct plan *kept = mem_array(1, sizeof(*kept));

    *kept = *merge;
    *merge = (struct plan){0};
    *plan = (struct plan){.method = kept->method,
                          .seed = kept->seed,
                          .base = kept->base,
                          .n_sources = kept->n_sources,
                          .donor = kept->donor,
                          .config = kept->config,
                          .edit = kept->edit,
                          .merge = kept};
    memcpy(plan->sources_digest, kept->sources_digest, DIGEST_HEX);
    plan->config.n_layers = (uint32_t)recipe->route.n_hops;
    plan->edit.n_layers = plan->config.n_layers;
    memset(plan->config.sliding, 0, sizeof(plan->config.sliding));
}

int plan_route(struct plan *out, struct plan *merge, const struct recipe *recipe,
               const struct plan_model *models, size_t n_models, struct err *err)
{
    struct plan plan;
    struct router router = {.recipe = recipe, .plan = &plan, .err = err};
    int rc;

    begin(&plan, merge, recipe);
    if (plan.config.family == CONFIG_OTHER) {
        rc = err_set(err, ERR_FORMAT, "%s: what a block of a %s adds is not known",
                     checkpoint_folder(plan.donor), plan.config.architecture);
    } else if ((rc = find_models(&router, models, n_models)) == 0) {
        rc = add_all(&router);
    }
    if (rc != 0) {
        plan_release(&plan);
        return err_wrap(err, "route");
    }
    plan_write_sliding(&plan);
    *out = plan;
    return 0;
}
