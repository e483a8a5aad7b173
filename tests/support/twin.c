/*
 * twin.c - a decoder computed the plain way.
 */
#include "tests/support/twin.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

struct twin {
    struct config config;
    double **tensors; /* [tensors_count], in the order of the table */
};

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
                           .silu = true,
                           .bos = -1};
}

static size_t elements(const struct tensor_place *place)
{
    return place->dims[0] * (place->n_dims == 2 ? place->dims[1] : 1);
}

static struct twin *empty_twin(const struct config *config)
{
    struct twin *twin = mem_array(1, sizeof(*twin));

    twin->config = *config;
    twin->tensors = mem_array(tensors_count(config), sizeof(double *));
    for (size_t i = 0; i < tensors_count(config); i++) {
        struct tensor_place place;

        tensors_at(config, i, &place);
        twin->tensors[i] = mem_array(elements(&place) + 1, sizeof(double));
    }
    return twin;
}

struct twin *twin_new(const struct config *config, uint64_t seed)
{
    struct twin *twin = empty_twin(config);
    struct rng64 rng;

    rng64_seed(&rng, seed, 1);
    for (size_t i = 0; i < tensors_count(config); i++) {
        struct tensor_place place;

        tensors_at(config, i, &place);
        bool gain = place.part == TENSOR_PART_NORM || place.part == TENSOR_PART_FINAL_NORM;
        double size = place.role == TENSOR_EMBEDDING ? 1.0
                      : place.n_dims == 2            ? 1.0 / sqrt((double)place.dims[1])
                                                     : 0.2;

        rng64_normals(&rng, twin->tensors[i], elements(&place));
        for (size_t j = 0; j < elements(&place); j++) {
            twin->tensors[i][j] = (double)(float)(twin->tensors[i][j] * size + (gain ? 1.0 : 0.0));
        }
    }
    return twin;
}

struct twin *twin_of_checkpoint(const struct checkpoint *checkpoint)
{
    const struct config *config = checkpoint_config(checkpoint);
    struct twin *twin = empty_twin(config);

    for (size_t i = 0; i < tensors_count(config); i++) {
        struct tensor_place place;

        tensors_at(config, i, &place);
        const struct checkpoint_tensor *tensor = checkpoint_find(checkpoint, place.name);
        assert(tensor != NULL);
        float *values = mem_array(tensor->n_elements, sizeof(float));
        dtype_to_f32(values, tensor->data, tensor->dtype, tensor->n_elements);
        for (size_t j = 0; j < tensor->n_elements; j++) {
            twin->tensors[i][j] = (double)values[j];
        }
        free(values);
    }
    return twin;
}

void twin_free(struct twin *twin)
{
    if (twin != NULL) {
        for (size_t i = 0; i < tensors_count(&twin->config); i++) {
            free(twin->tensors[i]);
        }
        free(twin->tensors);
        free(twin);
    }
}

struct weights *twin_weights(const struct twin *twin)
{
    struct weights *weights = NULL;
    int rc = weights_new(&weights, &twin->config, NULL);

    assert(rc == 0);
    for (size_t i = 0; i < tensors_count(&twin->config); i++) {
        struct tensor_place place;

        tensors_at(&twin->config, i, &place);
        float *slot = weights_slot(weights, place.role, place.layer);
        for (size_t j = 0; j < elements(&place); j++) {
            slot[j] = (float)twin->tensors[i][j];
        }
    }
    rc = weights_bind(weights, NULL);
    assert(rc == 0);
    (void)rc;
    return weights;
}

/* NULL when the model has no such tensor. */
static const double *find(const struct twin *twin, enum tensor_role role, uint32_t layer)
{
    for (size_t i = 0; i < tensors_count(&twin->config); i++) {
        struct tensor_place place;

        tensors_at(&twin->config, i, &place);
        if (place.role == role && place.layer == layer) {
            return twin->tensors[i];
        }
    }
    return NULL;
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

static void normalise(double *out, const double *x, const double *gain, size_t n, double eps)
{
    double sum = 0.0;

    for (size_t i = 0; i < n; i++) {
        sum += x[i] * x[i];
    }
    for (size_t i = 0; i < n; i++) {
        out[i] = gain[i] * x[i] / sqrt(sum / (double)n + eps);
    }
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

/* One head [K] at place t: pairs (j, j + K/2). */
static void turn(const struct config *config, double *head, size_t t)
{
    size_t half = config->head_width / 2;

    for (size_t j = 0; j < half; j++) {
        double angle = (double)t * turn_of_pair(config, j);
        double a = head[j];
        double b = head[j + half];

        head[j] = a * cos(angle) - b * sin(angle);
        head[j + half] = b * cos(angle) + a * sin(angle);
    }
}

/* What a layer remembers of the sequence: keys, values [n, G K]. */
struct memory {
    double *keys, *values;
};

static void attend(const struct config *config, double *out, const double *q,
                   const struct memory *memory, size_t t)
{
    size_t k = config->head_width;
    size_t row = config->n_kv_heads * k;
    double *p = mem_array(t + 1, sizeof(double));

    for (size_t h = 0; h < config->n_heads; h++) {
        size_t g = h / (config->n_heads / config->n_kv_heads);
        double largest = -HUGE_VAL;
        double sum = 0.0;

        for (size_t s = 0; s <= t; s++) {
            p[s] = 0.0;
            for (size_t d = 0; d < k; d++) {
                p[s] += q[h * k + d] * memory->keys[s * row + g * k + d];
            }
            p[s] /= sqrt((double)k);
            largest = fmax(largest, p[s]);
        }
        for (size_t s = 0; s <= t; s++) {
            p[s] = exp(p[s] - largest);
            sum += p[s];
        }
        for (size_t d = 0; d < k; d++) {
            out[h * k + d] = 0.0;
            for (size_t s = 0; s <= t; s++) {
                out[h * k + d] += p[s] / sum * memory->values[s * row + g * k + d];
            }
        }
    }
    free(p);
}

static void run_attention(const struct twin *twin, uint32_t layer, double *x, size_t t,
                          struct memory *memory)
{
    const struct config *c = &twin->config;
    size_t d = c->width;
    size_t k = c->head_width;
    size_t heads = c->n_heads * k;
    size_t kv = c->n_kv_heads * k;
    double *n = mem_array(d, sizeof(double));
    double *q = mem_array(heads, sizeof(double));
    double *mixed = mem_array(heads, sizeof(double));
    double *out = mem_array(d, sizeof(double));
    double *key = memory->keys + t * kv;
    double *value = memory->values + t * kv;

    normalise(n, x, find(twin, TENSOR_INPUT_NORM, layer), d, c->norm_eps);
    multiply(q, find(twin, TENSOR_Q, layer), find(twin, TENSOR_Q_BIAS, layer), n, heads, d);
    multiply(key, find(twin, TENSOR_K, layer), find(twin, TENSOR_K_BIAS, layer), n, kv, d);
    multiply(value, find(twin, TENSOR_V, layer), find(twin, TENSOR_V_BIAS, layer), n, kv, d);
    for (size_t h = 0; h < c->n_heads; h++) {
        turn(c, q + h * k, t);
    }
    for (size_t g = 0; g < c->n_kv_heads; g++) {
        turn(c, key + g * k, t);
    }
    attend(c, mixed, q, memory, t);
    multiply(out, find(twin, TENSOR_O, layer), find(twin, TENSOR_O_BIAS, layer), mixed, d, heads);
    for (size_t i = 0; i < d; i++) {
        x[i] += out[i];
    }
    free(n);
    free(q);
    free(mixed);
    free(out);
}

static void run_mlp(const struct twin *twin, uint32_t layer, double *x)
{
    const struct config *c = &twin->config;
    size_t d = c->width;
    size_t f = c->mlp_width;
    double *n = mem_array(d, sizeof(double));
    double *gate = mem_array(f, sizeof(double));
    double *up = mem_array(f, sizeof(double));
    double *out = mem_array(d, sizeof(double));

    normalise(n, x, find(twin, TENSOR_MLP_NORM, layer), d, c->norm_eps);
    multiply(gate, find(twin, TENSOR_GATE, layer), find(twin, TENSOR_GATE_BIAS, layer), n, f, d);
    multiply(up, find(twin, TENSOR_UP, layer), find(twin, TENSOR_UP_BIAS, layer), n, f, d);
    for (size_t i = 0; i < f; i++) {
        gate[i] = gate[i] / (1.0 + exp(-gate[i])) * up[i];
    }
    multiply(out, find(twin, TENSOR_DOWN, layer), find(twin, TENSOR_DOWN_BIAS, layer), gate, d, f);
    for (size_t i = 0; i < d; i++) {
        x[i] += out[i];
    }
    free(n);
    free(gate);
    free(up);
    free(out);
}

void twin_logits(const struct twin *twin, const uint32_t *tokens, size_t n, double *logits)
{
    const struct config *c = &twin->config;
    size_t d = c->width;
    size_t kv = c->n_kv_heads * c->head_width;
    const double *head = find(twin, c->tied ? TENSOR_EMBEDDING : TENSOR_HEAD, 0);
    struct memory *memories = mem_array(c->n_layers, sizeof(struct memory));
    double *x = mem_array(d, sizeof(double));

    for (uint32_t l = 0; l < c->n_layers; l++) {
        memories[l].keys = mem_array(n * kv, sizeof(double));
        memories[l].values = mem_array(n * kv, sizeof(double));
    }
    for (size_t t = 0; t < n; t++) {
        memcpy(x, find(twin, TENSOR_EMBEDDING, 0) + tokens[t] * d, d * sizeof(double));
        for (uint32_t l = 0; l < c->n_layers; l++) {
            run_attention(twin, l, x, t, &memories[l]);
            run_mlp(twin, l, x);
        }
        normalise(x, x, find(twin, TENSOR_FINAL_NORM, 0), d, c->norm_eps);
        multiply(logits + t * c->vocab, head, NULL, x, c->vocab, d);
    }
    for (uint32_t l = 0; l < c->n_layers; l++) {
        free(memories[l].keys);
        free(memories[l].values);
    }
    free(memories);
    free(x);
}

double twin_loglikelihood(const struct twin *twin, const uint32_t *tokens, size_t n, size_t from)
{
    size_t vocab = twin->config.vocab;
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
