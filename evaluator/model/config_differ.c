/*
 * config_differ.c - where two models of equal shapes would run differently.
 */
#include "evaluator/model/config_differ.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const rope_kinds[] = {"default", "linear",   "llama3", "dynamic",
                                         "yarn",    "longrope", "other"};
static const char *const activations[] = {"silu", "gelu_tanh", "other"};

/* The differences found so far. */
struct found {
    struct text *out;
    size_t n;
};

static void found_name(struct found *found, const char *name)
{
    text_printf(found->out, "%s%s ", found->n++ > 0 ? ", " : "", name);
}

static void compare_words(struct found *found, const char *name, const char *a, const char *b)
{
    if (strcmp(a, b) != 0) {
        found_name(found, name);
        text_printf(found->out, "%s against %s", a, b);
    }
}

/* Zero says that there is none of it. */
static void compare_number(struct found *found, const char *name, double a, double b)
{
    char mine[32] = "none", other[32] = "none";

    if (a != 0) {
        snprintf(mine, sizeof(mine), "%.10g", a);
    }
    if (b != 0) {
        snprintf(other, sizeof(other), "%.10g", b);
    }
    compare_words(found, name, mine, other);
}

static void compare_rope(struct found *found, const char *which, const struct config_rope *a,
                         const struct config_rope *b)
{
    const struct {
        const char *name;
        double a, b;
    } numbers[] = {
        {"factor", a->factor, b->factor},
        {"low_freq_factor", a->low_freq_factor, b->low_freq_factor},
        {"high_freq_factor", a->high_freq_factor, b->high_freq_factor},
        {"beta_fast", a->beta_fast, b->beta_fast},
        {"beta_slow", a->beta_slow, b->beta_slow},
        {"original length", a->original_positions, b->original_positions},
        {"attention factor", a->attention_factor, b->attention_factor},
    };
    char name[64];

    snprintf(name, sizeof(name), "%s scaling", which);
    compare_words(found, name, rope_kinds[a->kind], rope_kinds[b->kind]);
    snprintf(name, sizeof(name), "%s theta", which);
    compare_number(found, name, a->theta, b->theta);
    if (a->kind != b->kind) {
        return; /* numbers of one kind say nothing about another */
    }
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        snprintf(name, sizeof(name), "%s %s", which, numbers[i].name);
        compare_number(found, name, numbers[i].a, numbers[i].b);
    }
    if (memcmp(a->divisors, b->divisors, sizeof(a->divisors)) != 0) {
        found_name(found, which);
        text_add(found->out, "factors a pair");
    }
}

/* Windows layer by layer: the first that differs stands for all. */
static void compare_windows(struct found *found, const struct config *a, const struct config *b)
{
    uint32_t n = a->n_layers < b->n_layers ? a->n_layers : b->n_layers;

    for (uint32_t layer = 0; layer < n; layer++) {
        uint32_t mine = config_window(a, layer), other = config_window(b, layer);

        if (mine != other) {
            char name[64];

            snprintf(name, sizeof(name), "window of layer %" PRIu32, layer);
            compare_number(found, name, mine, other);
            return;
        }
    }
}

size_t config_differences(const struct config *model, const struct config *against,
                          struct text *out)
{
    struct found found = {.out = out};

    compare_words(&found, "architecture", model->architecture, against->architecture);
    compare_words(&found, "activation", activations[model->activation],
                  activations[against->activation]);
    compare_number(&found, "norm epsilon", model->norm_eps, against->norm_eps);
    compare_rope(&found, "rope", &model->rope, &against->rope);
    if (model->local_rope.theta > 0 && against->local_rope.theta > 0) {
        compare_rope(&found, "local rope", &model->local_rope, &against->local_rope);
    }
    compare_number(&found, "rotary width", model->rotary_width, against->rotary_width);
    compare_windows(&found, model, against);
    compare_number(&found, "query scalar", model->query_scalar, against->query_scalar);
    compare_number(&found, "attention cap", model->attention_cap, against->attention_cap);
    compare_number(&found, "logit cap", model->logit_cap, against->logit_cap);
    compare_number(&found, "embedding scale", model->embedding_scale, against->embedding_scale);
    return found.n;
}
