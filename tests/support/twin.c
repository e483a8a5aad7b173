/*
 * twin.c - a decoder computed the plain way.
 */
#include "tests/support/twin.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "tests/support/twin_internal.h"

/* ---- twins of a config: the same random weights for both ---- */

struct config twin_config(void)
{
    return (struct config){.family = CONFIG_LLAMA,
                           .architecture = "LlamaForCausalLM",
                           .model_type = "llama",
                           .n_layers = 3,
                           .width = 48,
                           .mlp_width = 40,
                           .n_heads = 6,
                           .n_kv_heads = 6,
                           .head_width = 8,
                           .vocab = 50,
                           .positions = 256,
                           .norm_eps = 1e-5,
                           .rope = {.kind = CONFIG_ROPE_DEFAULT, .theta = 10000.0, .factor = 1.0},
                           .bos = -1};
}

static double turn_of_pair(const struct config *config, size_t j)
{
    const struct config_rope *rope = &config->rope;
    double theta = pow(rope->theta, -2.0 * (double)j / (double)config->head_width);

    if (rope->kind == CONFIG_ROPE_LINEAR) {
        return theta / rope->factor;
    }
    if (rope->kind != CONFIG_ROPE_LLAMA3) {
        return theta;
    }
    double wavelength = 2.0 * acos(-1.0) / theta;
    double low = rope->original_positions / rope->low_freq_factor;
    double high = rope->original_positions / rope->high_freq_factor;
    if (wavelength < high) {
        return theta;
    }
    if (wavelength > low) {
        return theta / rope->factor;
    }
    double s = (rope->original_positions / wavelength - rope->low_freq_factor) /
               (rope->high_freq_factor - rope->low_freq_factor);
    return (1.0 - s) * theta / rope->factor + s * theta;
}

static void draw_tensor(struct twin *twin, size_t i, struct rng64 *rng)
{
    struct tensor_place place;
    struct twin_tensor *tensor = &twin->tensors[i];

    tensors_at(&twin->config, i, &place);
    bool gain = place.part == TENSOR_PART_NORM || place.part == TENSOR_PART_FINAL_NORM;
    double size = place.role == TENSOR_EMBEDDING ? 1.0
                  : place.n_dims == 2            ? 1.0 / sqrt((double)place.dims[1])
                                                 : 0.2;

    snprintf(tensor->name, sizeof(tensor->name), "%s", place.name);
    tensor->n = place.dims[0] * (place.n_dims == 2 ? place.dims[1] : 1);
    tensor->values = mem_array(tensor->n + 1, sizeof(double));
    rng64_normals(rng, tensor->values, tensor->n);
    for (size_t j = 0; j < tensor->n; j++) {
        tensor->values[j] = (double)(float)(tensor->values[j] * size + (gain ? 1.0 : 0.0));
    }
}

struct twin *twin_new(const struct config *config, uint64_t seed)
{
    struct twin *twin = mem_array(1, sizeof(*twin));
    struct rng64 rng;

    *twin = (struct twin){.config = *config,
                          .L = config->n_layers,
                          .D = config->width,
                          .F = config->mlp_width,
                          .H = config->n_heads,
                          .G = config->n_kv_heads,
                          .K = config->head_width,
                          .V = config->vocab,
                          .R = config->head_width,
                          .eps = config->norm_eps,
                          .embedding_scale = 1.0,
                          .score_divisor = sqrt((double)config->head_width),
                          .n_tensors = tensors_count(config)};
    twin->ropes[0].growth = 1.0;
    for (size_t j = 0; j < twin->R / 2; j++) {
        twin->ropes[0].turns[j] = turn_of_pair(config, j);
    }
    twin->tensors = mem_array(twin->n_tensors, sizeof(struct twin_tensor));
    rng64_seed(&rng, seed, 1);
    for (size_t i = 0; i < twin->n_tensors; i++) {
        draw_tensor(twin, i, &rng);
    }
    return twin;
}

/* A tensor with another first value. */
static void fill(struct weights *weights, const struct twin_tensor *tensor,
                 const struct tensor_place *place, float first)
{
    float *values = mem_array(tensor->n, sizeof(float));

    for (size_t j = 0; j < tensor->n; j++) {
        values[j] = (float)tensor->values[j];
    }
    values[0] = first;
    bool filled = weights_fill(weights, place->role, place->layer, values, DTYPE_F32);
    assert(filled);
    (void)filled;
    free(values);
}

void twin_spoil(const struct twin *twin, struct weights *weights, enum tensor_role role,
                uint32_t layer, float first)
{
    for (size_t i = 0; i < twin->n_tensors; i++) {
        struct tensor_place place;

        tensors_at(&twin->config, i, &place);
        if (place.role == role && place.layer == layer) {
            fill(weights, &twin->tensors[i], &place, first);
        }
    }
}

struct weights *twin_weights(const struct twin *twin)
{
    struct weights *weights = NULL;
    int rc = weights_new(&weights, &twin->config, NULL);

    assert(rc == 0);
    for (size_t i = 0; i < twin->n_tensors; i++) {
        struct tensor_place place;

        tensors_at(&twin->config, i, &place);
        fill(weights, &twin->tensors[i], &place, (float)twin->tensors[i].values[0]);
    }
    rc = weights_bind(weights, NULL);
    assert(rc == 0);
    (void)rc;
    return weights;
}

void twin_free(struct twin *twin)
{
    if (twin != NULL) {
        for (size_t i = 0; i < twin->n_tensors; i++) {
            free(twin->tensors[i].values);
        }
        free(twin->tensors);
        free(twin);
    }
}

/* ---- routes ---- */

static void copy_tensor(struct twin *out, const struct twin_tensor *from, const char *name)
{
    struct twin_tensor *tensor = &out->tensors[out->n_tensors++];

    *tensor = (struct twin_tensor){.n = from->n, .values = mem_array(from->n + 1, sizeof(double))};
    snprintf(tensor->name, sizeof(tensor->name), "%s", name);
    memcpy(tensor->values, from->values, from->n * sizeof(double));
}

static void copy_layer(struct twin *out, size_t k, const struct twin *from, size_t layer)
{
    char prefix[64];
    char name[2 * TENSORS_NAME_MAX];
    size_t n = (size_t)snprintf(prefix, sizeof(prefix), "model.layers.%zu.", layer);

    for (size_t i = 0; i < from->n_tensors; i++) {
        if (strncmp(from->tensors[i].name, prefix, n) == 0) {
            snprintf(name, sizeof(name), "model.layers.%zu.%s", k, from->tensors[i].name + n);
            copy_tensor(out, &from->tensors[i], name);
        }
    }
    out->window[k] = from->window[layer];
    out->turns_locally[k] = from->turns_locally[layer];
}

struct twin *twin_routed(const struct twin *const *twins, const struct twin_hop *hops, size_t n)
{
    const struct twin *host = twins[0];
    struct twin *twin = mem_array(1, sizeof(*twin));

    assert(n <= TWIN_LAYERS_MAX);
    *twin = *host;
    twin->L = n;
    twin->n_tensors = 0;
    twin->tensors = mem_array(host->n_tensors * (n + 1), sizeof(struct twin_tensor));
    for (size_t i = 0; i < host->n_tensors; i++) {
        if (strncmp(host->tensors[i].name, "model.layers.", 13) != 0) {
            copy_tensor(twin, &host->tensors[i], host->tensors[i].name);
        }
    }
    for (size_t k = 0; k < n; k++) {
        copy_layer(twin, k, twins[hops[k].model], hops[k].layer);
        twin->scales[k] = hops[k].scale;
    }
    return twin;
}

/* ---- the decoder ---- */

/* NULL when the model has no such tensor. */
static const double *find(const struct twin *twin, const char *name)
{
    for (size_t i = 0; i < twin->n_tensors; i++) {
        if (strcmp(twin->tensors[i].name, name) == 0) {
            return twin->tensors[i].values;
        }
    }
    return NULL;
}

static const double *in_layer(const struct twin *twin, size_t layer, const char *stem)
{
    char name[TENSORS_NAME_MAX];

    snprintf(name, sizeof(name), "model.layers.%zu.%s", layer, stem);
    return find(twin, name);
}

/* out [rows] = w [rows, columns] x + bias. */
static void multiply(double *out, const double *w, const double *bias, const double *x, size_t rows,
                     size_t columns)
{
    for (size_t r = 0; r < rows; r++) {
        out[r] = bias != NULL ? bias[r] : 0.0;
        for (size_t c = 0; c < columns; c++) {
            out[r] += w[r * columns + c] * x[c];
        }
    }
}

/* gain NULL: x stays as it is. */
static void normalise(const struct twin *twin, double *out, const double *x, const double *gain,
                      size_t n)
{
    double sum = 0.0;

    for (size_t i = 0; i < n; i++) {
        sum += x[i] * x[i];
    }
    for (size_t i = 0; i < n; i++) {
        out[i] = gain == NULL
                     ? x[i]
                     : (twin->norm_offset + gain[i]) * x[i] / sqrt(sum / (double)n + twin->eps);
    }
}

/* One head [K] at place t: pairs (j, j + R/2). */
static void turn(const struct twin *twin, size_t layer, double *head, size_t t)
{
    const struct twin_rope *rope = &twin->ropes[twin->turns_locally[layer]];
    size_t half = twin->R / 2;

    for (size_t j = 0; j < half; j++) {
        double angle = (double)t * rope->turns[j];
        double a = head[j];
        double b = head[j + half];

        head[j] = (a * cos(angle) - b * sin(angle)) * rope->growth;
        head[j + half] = (b * cos(angle) + a * sin(angle)) * rope->growth;
    }
}

/* Heads [n, K], each normed if there is such a norm, then turned. */
static void place_heads(const struct twin *twin, size_t layer, double *heads, size_t n,
                        const double *gain, size_t t)
{
    for (size_t h = 0; h < n; h++) {
        normalise(twin, heads + h * twin->K, heads + h * twin->K, gain, twin->K);
        turn(twin, layer, heads + h * twin->K, t);
    }
}

static double capped(double x, double cap)
{
    return cap > 0.0 ? cap * tanh(x / cap) : x;
}

/* What a layer remembers of the sequence: keys, values [n, G K]. */
struct memory {
    double *keys, *values;
};

static void attend(const struct twin *twin, size_t layer, double *out, const double *q,
                   const struct memory *memory, size_t t)
{
    size_t k = twin->K;
    size_t row = twin->G * k;
    size_t window = twin->window[layer];
    size_t first = window > 0 && t + 1 > window ? t + 1 - window : 0;
    double *p = mem_array(t + 1, sizeof(double));

    for (size_t h = 0; h < twin->H; h++) {
        size_t g = h / (twin->H / twin->G);
        double largest = -HUGE_VAL;
        double sum = 0.0;

        for (size_t s = first; s <= t; s++) {
            p[s] = 0.0;
            for (size_t d = 0; d < k; d++) {
                p[s] += q[h * k + d] * memory->keys[s * row + g * k + d];
            }
            p[s] = capped(p[s] / twin->score_divisor, twin->attention_cap);
            largest = fmax(largest, p[s]);
        }
        for (size_t s = first; s <= t; s++) {
            p[s] = exp(p[s] - largest);
            sum += p[s];
        }
        for (size_t d = 0; d < k; d++) {
            out[h * k + d] = 0.0;
            for (size_t s = first; s <= t; s++) {
                out[h * k + d] += p[s] / sum * memory->values[s * row + g * k + d];
            }
        }
    }
    free(p);
}

/* Queries, keys and values, from three tensors or from one. */
static void project(const struct twin *twin, size_t l, double *q, double *key, double *value,
                    const double *n)
{
    size_t d = twin->D;
    size_t heads = twin->H * twin->K;
    size_t kv = twin->G * twin->K;
    const double *qkv = in_layer(twin, l, "self_attn.qkv_proj.weight");

    if (qkv != NULL) {
        multiply(q, qkv, NULL, n, heads, d);
        multiply(key, qkv + heads * d, NULL, n, kv, d);
        multiply(value, qkv + (heads + kv) * d, NULL, n, kv, d);
        return;
    }
    multiply(q, in_layer(twin, l, "self_attn.q_proj.weight"),
             in_layer(twin, l, "self_attn.q_proj.bias"), n, heads, d);
    multiply(key, in_layer(twin, l, "self_attn.k_proj.weight"),
             in_layer(twin, l, "self_attn.k_proj.bias"), n, kv, d);
    multiply(value, in_layer(twin, l, "self_attn.v_proj.weight"),
             in_layer(twin, l, "self_attn.v_proj.bias"), n, kv, d);
}

/* Families with a norm before the MLP of that name also norm what attention and the MLP give. */
static bool norms_outputs(const struct twin *twin)
{
    return in_layer(twin, 0, "pre_feedforward_layernorm.weight") != NULL;
}

static void add(double *x, const double *y, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        x[i] += y[i];
    }
}

static void run_attention(const struct twin *twin, size_t l, double *x, size_t t,
                          struct memory *memory)
{
    size_t d = twin->D;
    size_t heads = twin->H * twin->K;
    size_t kv = twin->G * twin->K;
    double *n = mem_array(d, sizeof(double));
    double *q = mem_array(heads, sizeof(double));
    double *mixed = mem_array(heads, sizeof(double));
    double *out = mem_array(d, sizeof(double));
    double *key = memory->keys + t * kv;

    normalise(twin, n, x, in_layer(twin, l, "input_layernorm.weight"), d);
    project(twin, l, q, key, memory->values + t * kv, n);
    place_heads(twin, l, q, twin->H, in_layer(twin, l, "self_attn.q_norm.weight"), t);
    place_heads(twin, l, key, twin->G, in_layer(twin, l, "self_attn.k_norm.weight"), t);
    attend(twin, l, mixed, q, memory, t);
    multiply(out, in_layer(twin, l, "self_attn.o_proj.weight"),
             in_layer(twin, l, "self_attn.o_proj.bias"), mixed, d, heads);
    if (norms_outputs(twin)) {
        normalise(twin, out, out, in_layer(twin, l, "post_attention_layernorm.weight"), d);
    }
    add(x, out, d);
    free(n);
    free(q);
    free(mixed);
    free(out);
}

static double gate_of(const struct twin *twin, double g)
{
    if (twin->gelu) {
        return 0.5 * g * (1.0 + tanh(sqrt(2.0 / acos(-1.0)) * (g + 0.044715 * pow(g, 3.0))));
    }
    return g / (1.0 + exp(-g));
}

static void run_mlp(const struct twin *twin, size_t l, double *x)
{
    size_t d = twin->D;
    size_t f = twin->F;
    const double *both = in_layer(twin, l, "mlp.gate_up_proj.weight");
    double *n = mem_array(d, sizeof(double));
    double *gate = mem_array(f, sizeof(double));
    double *up = mem_array(f, sizeof(double));
    double *out = mem_array(d, sizeof(double));

    normalise(twin, n, x,
              in_layer(twin, l,
                       norms_outputs(twin) ? "pre_feedforward_layernorm.weight"
                                           : "post_attention_layernorm.weight"),
              d);
    multiply(gate, both != NULL ? both : in_layer(twin, l, "mlp.gate_proj.weight"),
             in_layer(twin, l, "mlp.gate_proj.bias"), n, f, d);
    multiply(up, both != NULL ? both + f * d : in_layer(twin, l, "mlp.up_proj.weight"),
             in_layer(twin, l, "mlp.up_proj.bias"), n, f, d);
    for (size_t i = 0; i < f; i++) {
        gate[i] = gate_of(twin, gate[i]) * up[i];
    }
    multiply(out, in_layer(twin, l, "mlp.down_proj.weight"),
             in_layer(twin, l, "mlp.down_proj.bias"), gate, d, f);
    normalise(twin, out, out, in_layer(twin, l, "post_feedforward_layernorm.weight"), d);
    add(x, out, d);
    free(n);
    free(gate);
    free(up);
    free(out);
}

static void run_token(const struct twin *twin, uint32_t token, size_t t, struct memory *memories,
                      double *x, double *logits)
{
    const double *embedding = find(twin, "model.embed_tokens.weight");
    const double *head = find(twin, "lm_head.weight");

    for (size_t i = 0; i < twin->D; i++) {
        x[i] = embedding[token * twin->D + i] * twin->embedding_scale;
    }
    for (size_t l = 0; l < twin->L; l++) {
        for (size_t i = 0; i < twin->D && twin->scales[l] > 0.0; i++) {
            x[i] *= twin->scales[l];
        }
        run_attention(twin, l, x, t, &memories[l]);
        run_mlp(twin, l, x);
    }
    normalise(twin, x, x, find(twin, "model.norm.weight"), twin->D);
    multiply(logits, head != NULL ? head : embedding, NULL, x, twin->V, twin->D);
    for (size_t v = 0; v < twin->V; v++) {
        logits[v] = capped(logits[v], twin->logit_cap);
    }
}

void twin_logits(const struct twin *twin, const uint32_t *tokens, size_t n, double *logits)
{
    size_t kv = twin->G * twin->K;
    struct memory *memories = mem_array(twin->L, sizeof(struct memory));
    double *x = mem_array(twin->D, sizeof(double));

    for (size_t l = 0; l < twin->L; l++) {
        memories[l].keys = mem_array(n * kv, sizeof(double));
        memories[l].values = mem_array(n * kv, sizeof(double));
    }
    for (size_t t = 0; t < n; t++) {
        run_token(twin, tokens[t], t, memories, x, logits + t * twin->V);
    }
    for (size_t l = 0; l < twin->L; l++) {
        free(memories[l].keys);
        free(memories[l].values);
    }
    free(memories);
    free(x);
}

double twin_loglikelihood(const struct twin *twin, const uint32_t *tokens, size_t n, size_t from)
{
    size_t vocab = twin->V;
    double *logits = mem_array(n * vocab, sizeof(double));
    double total = 0.0;

    twin_logits(twin, tokens, n, logits);
    for (size_t t = from; t < n; t++) {
        const double *row = logits + (t - 1) * vocab;
        double largest = -HUGE_VAL;
        double sum = 0.0;

        for (size_t v = 0; v < vocab; v++) {
            largest = fmax(largest, row[v]);
        }
        for (size_t v = 0; v < vocab; v++) {
            sum += exp(row[v] - largest);
        }
        total += row[tokens[t]] - largest - log(sum);
    }
    free(logits);
    return total;
}
