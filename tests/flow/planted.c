/*
 * planted.c - a route with a known answer, from a model of at least six layers that works.
 *
 *     planted MODEL A B PROMPTS.jsonl ANSWERS.jsonl
 *
 *     A       the model with noise in layers 2 and 3
 *     B       the model with noise everywhere else, and what layers 2 and 3 add times three
 *     ANSWERS what the model says to the prompts, drawn by its own chances: no other model finds
 * them likelier but by chance
 *
 * Then A0-1 B2-3 A4-5 is much better than either, and with gains 3 into B and 1/3 back it is the
 * model exactly. Weights are written as float32, so that a factor of three loses nothing.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/doc.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "evaluator/model/checkpoint.h"
#include "evaluator/model/forward.h"
#include "evaluator/model/safetensors_write.h"
#include "evaluator/model/tokenizer.h"
#include "evaluator/model/tokens.h"

#define FIRST 2 /* layers of B */
#define LAST 3
#define GAIN 3.0F
#define DOCUMENTS 500
#define TOKENS_MAX 64
#define ANSWER 10    /* tokens */
#define LOUDNESS 2.0 /* of the noise: of its own size it hardly hurts in places */

static bool is_planted(const struct checkpoint_tensor *tensor)
{
    return tensors_role_in_layer(tensor->role) && tensor->depth >= FIRST && tensor->depth <= LAST;
}

/* Normal numbers, LOUDNESS times as large as the tensor's own. */
static void make_noise(float *values, size_t n, uint64_t stream)
{
    double *normals = mem_array(n + 1, sizeof *normals), squares = 0.0;
    struct rng64 rng;

    for (size_t i = 0; i < n; i++) {
        squares += (double)values[i] * (double)values[i];
    }
    rng64_seed(&rng, 1, stream);
    rng64_normals(&rng, normals, n);
    for (size_t i = 0; i < n; i++) {
        values[i] = (float)(LOUDNESS * normals[i] * sqrt(squares / (double)n));
    }
    free(normals);
}

/* One tensor as A or B has it; norms stay, since noise in them would be more than noise. */
static float *values_of(const struct checkpoint_tensor *tensor, bool for_b, uint64_t stream)
{
    const size_t n = tensor->n_elements;
    float *values = mem_array(n, sizeof *values);
    bool matrix = tensor->n_dims > 1 && tensors_role_in_layer(tensor->role);
    bool adds = tensor->role == TENSOR_O || tensor->role == TENSOR_DOWN;

    dtype_to_f32(values, tensor->data, tensor->dtype, n);
    if (matrix && is_planted(tensor) != for_b) {
        make_noise(values, n, stream);
    } else if (for_b && adds) {
        for (size_t i = 0; i < n; i++) {
            values[i] *= GAIN;
        }
    }
    return values;
}

static int write_weights(const struct checkpoint *model, const char *folder, bool for_b,
                         struct err *err)
{
    const size_t n = checkpoint_count(model);
    struct safetensors_output *outputs = mem_array(n, sizeof *outputs);
    struct safetensors_writer *writer = NULL;

    for (size_t i = 0; i < n; i++) {
        const struct checkpoint_tensor *tensor = checkpoint_at(model, i);

        outputs[i] = (struct safetensors_output){.name = tensor->name,
                                                 .dtype = DTYPE_F32,
                                                 .n_dims = tensor->n_dims,
                                                 .n_bytes = tensor->n_elements * sizeof(float)};
        memcpy(outputs[i].dims, tensor->dims, sizeof outputs[i].dims);
    }
    int rc = safetensors_write_begin(&writer, folder, outputs, n, SAFETENSORS_SHARD_BYTES, err);

    for (size_t i = 0; i < n && rc == 0; i++) {
        float *values = values_of(checkpoint_at(model, i), for_b, 2 * i + for_b);

        rc = safetensors_write_bytes(writer, values, outputs[i].n_bytes, err);
        free(values);
    }
    if (rc == 0) {
        rc = safetensors_write_end(writer, err);
    } else {
        safetensors_write_abandon(writer);
    }
    free(outputs);
    return rc;
}

static int copy_file(const char *from, const char *to, const char *name, struct err *err)
{
    char *source = file_join(from, name), *target = file_join(to, name);
    struct file_bytes bytes = {0};
    int rc = file_exists(source) ? file_read(&bytes, source, (size_t)1 << 26, err) : 0;

    if (rc == 0 && bytes.data != NULL) {
        rc = file_write(target, bytes.data, bytes.size, 0644, err);
    }
    file_release(&bytes);
    free(source);
    free(target);
    return rc;
}

static int write_model(const struct checkpoint *model, const char *folder, bool for_b,
                       struct err *err)
{
    static const char *const beside[] = {"config.json", "tokenizer.json", "tokenizer_config.json",
                                         "special_tokens_map.json"};
    int rc = file_make_dirs(folder, err);

    for (size_t i = 0; i < sizeof beside / sizeof *beside && rc == 0; i++) {
        rc = copy_file(checkpoint_folder(model), folder, beside[i], err);
    }
    return rc == 0 ? write_weights(model, folder, for_b, err) : rc;
}

/* ---- answers ---- */

/* One of the tokens by the chances that logits [n] give them. */
static uint32_t draw(const float *logits, size_t n, struct rng64 *rng)
{
    double *sums = mem_array(n, sizeof *sums), sum = 0.0;
    uint32_t token = 0;

    for (uint32_t t = 0; t < n; t++) {
        sum += exp((double)logits[t]);
        sums[t] = sum;
    }
    double at = rng64_uniform(rng) * sum;

    while (sums[token] <= at) {
        token++;
    }
    free(sums);
    return token;
}

struct writer {
    const struct checkpoint *model;
    struct tokenizer *tokenizer;
    struct forward *forward;
    struct weights *weights;
};

/* Go on from a prompt; "" when the answer would be read as other tokens than were drawn. */
static int draw_answer(const struct writer *w, const char *prompt, struct rng64 *rng,
                       struct text *out, struct err *err)
{
    const size_t vocab = checkpoint_config(w->model)->vocab;
    float *logits = mem_array(TOKENS_MAX * vocab, sizeof *logits);
    struct tokens tokens = {0}, again = {0};
    struct text whole = {0};
    int rc = tokenizer_encode(w->tokenizer, prompt, strlen(prompt), TOKENIZER_WITH_SPECIAL, &tokens,
                              err);
    const size_t n_prompt = tokens.n;

    bool over = false;

    while (rc == 0 && !over && tokens.n < n_prompt + ANSWER && tokens.n < TOKENS_MAX) {
        rc = forward_logits(w->forward, w->weights, tokens.ids, tokens.n, logits, err);
        uint32_t next = draw(logits + (tokens.n - 1) * vocab, vocab, rng);

        over = tokenizer_is_special(w->tokenizer, next);
        if (!over) {
            tokens_add(&tokens, next);
        }
    }
    if (rc == 0 && (rc = tokenizer_decode(w->tokenizer, tokens.ids, tokens.n, TOKENIZER_PLAIN,
                                          &whole, err)) == 0) {
        rc = tokenizer_encode(w->tokenizer, text_get(&whole), whole.size, TOKENIZER_WITH_SPECIAL,
                              &again, err);
    }
    if (rc == 0 && again.n == tokens.n &&
        memcmp(again.ids, tokens.ids, tokens.n * sizeof *tokens.ids) == 0) {
        text_add(out, text_get(&whole) + strlen(prompt));
    }
    free(logits);
    tokens_release(&tokens);
    tokens_release(&again);
    text_release(&whole);
    return rc;
}

/* One line of the prompts' file. */
static int answer_line(const struct writer *w, const char *line, size_t n, struct rng64 *rng,
                       struct text *all, struct err *err)
{
    struct text answer = {0};
    const char *prompt = NULL;
    json_t *doc = NULL;
    int rc = doc_parse(&doc, line, n, err);

    if (rc == 0 && (rc = doc_text(doc, "prompt", &prompt, err)) == 0 &&
        (rc = draw_answer(w, prompt, rng, &answer, err)) == 0 && answer.size > 0) {
        json_t *made = json_pack("{s:s, s:s}", "prompt", prompt, "answer", text_get(&answer));

        doc_print(all, made);
        text_add(all, "\n");
        json_decref(made);
    }
    json_decref(doc);
    text_release(&answer);
    return rc;
}

static int write_documents(const struct writer *w, const char *prompts, const char *path,
                           struct err *err)
{
    struct file_bytes bytes = {0};
    struct text all = {0};
    struct rng64 rng;
    int rc = file_read(&bytes, prompts, (size_t)1 << 26, err);
    const char *line = (const char *)bytes.data, *end = line + bytes.size;

    rng64_seed(&rng, 1, 1000000);
    for (int i = 0; i < DOCUMENTS && rc == 0 && line < end; i++) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));

        stop = stop != NULL ? stop : end;
        rc = answer_line(w, line, (size_t)(stop - line), &rng, &all, err);
        line = stop + 1;
    }
    if (rc == 0) {
        rc = file_write(path, text_get(&all), all.size, 0644, err);
    }
    file_release(&bytes);
    text_release(&all);
    return rc;
}

static int write_answers(const struct checkpoint *model, const char *prompts, const char *path,
                         struct err *err)
{
    const struct config *config = checkpoint_config(model);
    struct writer w = {.model = model};
    int rc;

    if ((rc = tokenizer_open(&w.tokenizer, checkpoint_folder(model), err)) == 0 &&
        (rc = weights_new(&w.weights, config, err)) == 0 &&
        (rc = weights_load(w.weights, model, err)) == 0 &&
        (rc = forward_new(&w.forward, config, 0, err)) == 0) {
        rc = write_documents(&w, prompts, path, err);
    }
    forward_free(w.forward);
    weights_free(w.weights);
    tokenizer_close(w.tokenizer);
    return rc;
}

int main(int argc, char **argv)
{
    struct checkpoint *model = NULL;
    struct err err = {0};

    if (argc != 6) {
        fprintf(stderr, "usage: planted MODEL A B PROMPTS.jsonl ANSWERS.jsonl\n");
        return 2;
    }
    int rc = checkpoint_open(&model, argv[1], &err);

    if (rc == 0) {
        rc = write_model(model, argv[2], false, &err);
    }
    if (rc == 0) {
        rc = write_model(model, argv[3], true, &err);
    }
    if (rc == 0) {
        rc = write_answers(model, argv[4], argv[5], &err);
    }
    if (rc != 0) {
        fprintf(stderr, "%s\n", err.text);
    }
    checkpoint_close(model);
    return rc == 0 ? 0 : 1;
}
