/*
 * logits_golden.c - logits and log-likelihoods of the example models against another
 * implementation.
 *
 *   logits_golden REFERENCE.json ADDER-FOLDER QWEN2-FOLDER
 *
 * The members "logits.adder" (every logit of a text) and "logits.random-qwen2" (logits after the
 * last token, and the text's log-likelihood from its second token on). Tolerance 1e-4 relative to
 * one more than the magnitude; the worst difference of each is printed. Exit code 1 beyond it.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/doc.h"
#include "base/mem.h"
#include "evaluator/model/forward.h"

#define REFERENCE_SIZE_MAX ((size_t)16 << 20)
#define TOLERANCE 1e-4

static void must(int rc, const struct err *err)
{
    if (rc != 0) {
        fprintf(stderr, "logits_golden: %s\n", err->text);
        exit(2);
    }
}

struct model {
    struct checkpoint *checkpoint;
    struct weights *weights;
    struct forward *forward;
    size_t vocab;
};

static struct model model_open(const char *folder)
{
    struct model model = {0};
    struct err err;

    must(checkpoint_open(&model.checkpoint, folder, &err), &err);
    const struct config *config = checkpoint_config(model.checkpoint);
    must(weights_new(&model.weights, config, &err), &err);
    must(weights_load(model.weights, model.checkpoint, &err), &err);
    must(forward_new(&model.forward, config, 0, &err), &err);
    model.vocab = config->vocab;
    return model;
}

static void model_close(struct model *model)
{
    forward_free(model->forward);
    weights_free(model->weights);
    checkpoint_close(model->checkpoint);
}

static uint32_t *tokens_of(const json_t *entry, size_t *n)
{
    const json_t *ids = json_object_get(entry, "token_ids");

    *n = json_array_size(ids);
    uint32_t *tokens = mem_array(*n, sizeof(uint32_t));
    for (size_t i = 0; i < *n; i++) {
        tokens[i] = (uint32_t)json_integer_value(json_array_get(ids, i));
    }
    return tokens;
}

static float *logits_of(struct model *model, const uint32_t *tokens, size_t n)
{
    float *logits = mem_array(n * model->vocab, sizeof(float));
    struct err err;

    must(forward_logits(model->forward, model->weights, tokens, n, logits, &err), &err);
    return logits;
}

static double difference(double got, double want)
{
    double error = fabs(got - want) / (1.0 + fabs(want));

    return isnan(error) ? HUGE_VAL : error;
}

static double row_difference(const float *row, const json_t *want)
{
    double worst = json_array_size(want) > 0 ? 0.0 : HUGE_VAL;

    for (size_t v = 0; v < json_array_size(want); v++) {
        worst = fmax(worst, difference((double)row[v], json_number_value(json_array_get(want, v))));
    }
    return worst;
}

static int report(const char *what, double worst)
{
    printf("%s: worst difference %.2g\n", what, worst);
    return worst <= TOLERANCE ? 0 : 1;
}

static int check_adder(const json_t *entry, const char *folder)
{
    struct model model = model_open(folder);
    const json_t *rows = json_object_get(entry, "logits");
    double worst = 0.0;
    size_t n;
    uint32_t *tokens = tokens_of(entry, &n);
    float *logits = logits_of(&model, tokens, n);

    for (size_t i = 0; i < n; i++) {
        worst = fmax(worst, row_difference(logits + i * model.vocab, json_array_get(rows, i)));
    }
    free(logits);
    free(tokens);
    model_close(&model);
    return report("adder, every logit", worst);
}

static double loglikelihood(struct model *model, const uint32_t *tokens, size_t n)
{
    struct trie *trie = trie_new();
    struct forward_result result;
    struct err err;

    must(trie_add(trie, tokens, n, 1, false, &err), &err);
    must(trie_finish(trie, &err), &err);
    must(forward_score(model->forward, model->weights, trie, &result, &err), &err);
    trie_free(trie);
    return result.loglikelihood;
}

static int check_qwen2(const json_t *entries, const char *folder)
{
    struct model model = model_open(folder);
    double worst_logit = 0.0;
    double worst_sum = json_array_size(entries) > 0 ? 0.0 : HUGE_VAL;

    for (size_t e = 0; e < json_array_size(entries); e++) {
        const json_t *entry = json_array_get(entries, e);
        size_t n;
        uint32_t *tokens = tokens_of(entry, &n);
        float *logits = logits_of(&model, tokens, n);
        double want = json_number_value(json_object_get(entry, "loglikelihood"));

        worst_logit = fmax(worst_logit, row_difference(logits + (n - 1) * model.vocab,
                                                       json_object_get(entry, "logits_last")));
        worst_sum = fmax(worst_sum, difference(loglikelihood(&model, tokens, n), want));
        free(logits);
        free(tokens);
    }
    model_close(&model);
    return report("random-qwen2, last logits", worst_logit) |
           report("random-qwen2, log-likelihoods", worst_sum);
}

int main(int argc, char **argv)
{
    json_t *doc = NULL;
    struct err err;

    if (argc != 4) {
        fprintf(stderr, "usage: logits_golden REFERENCE.json ADDER-FOLDER QWEN2-FOLDER\n");
        return 2;
    }
    must(doc_load(&doc, argv[1], REFERENCE_SIZE_MAX, &err), &err);
    const json_t *logits = json_object_get(doc, "logits");
    int failed = check_adder(json_object_get(logits, "adder"), argv[2]) |
                 check_qwen2(json_object_get(logits, "random-qwen2"), argv[3]);
    json_decref(doc);
    return failed;
}
