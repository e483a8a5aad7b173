/*
 * served.c - a model folder in memory, and questions to its tokenizer.
 */
#include "evaluator/served.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "evaluator/model/checkpoint.h"

#define CONFIG_FILE_MAX ((size_t)16 << 20)

static size_t positions_of(const struct config *config)
{
    const size_t context = config_context(config);

    return context > 0 ? context : SERVED_UNLIMITED;
}

static bool all_brain(const struct checkpoint *checkpoint)
{
    for (size_t i = 0; i < checkpoint_count(checkpoint); i++) {
        const struct checkpoint_tensor *tensor = checkpoint_at(checkpoint, i);

        if (tensor->n_dims == 2 && tensor->dtype != DTYPE_BF16) {
            return false;
        }
    }
    return true;
}

static int read_weights(struct served *made, const struct checkpoint *checkpoint,
                        enum numeric numeric, struct err *err)
{
    made->config = *checkpoint_config(checkpoint);
    made->positions = positions_of(&made->config);

    const bool brain = all_brain(checkpoint);
    const struct gemm_kind kind = {brain ? numeric : NUMERIC_F32, brain};
    int rc = weights_new_on(&made->weights, &made->config, kind, err);

    if (rc == 0) {
        rc = weights_load(made->weights, checkpoint, err);
    }
    if (rc == 0) {
        rc = forward_new_on(&made->forward, &made->config, kind.numeric, 0, err);
    }
    return rc == 0 ? 0 : err_wrap(err, "%s", made->folder);
}

int served_open(struct served *out, const char *folder, enum numeric numeric, struct err *err)
{
    struct served made = {.folder = mem_text(folder)};
    struct checkpoint *checkpoint = NULL;

    for (size_t n = strlen(made.folder); n > 1 && made.folder[n - 1] == '/'; n--) {
        made.folder[n - 1] = '\0';
    }
    const char *slash = strrchr(made.folder, '/');

    made.name = slash != NULL ? slash + 1 : made.folder;
    int rc = checkpoint_open(&checkpoint, folder, err);
    if (rc == 0) {
        made.base = mem_text(checkpoint_folder(checkpoint));
        made.chat = chat_open(made.base);
        rc = tokenizer_open(&made.tokenizer, made.base, err);
    }
    if (rc == 0) {
        tokenizer_fit(made.tokenizer, checkpoint_config(checkpoint)->vocab);
        rc = read_weights(&made, checkpoint, numeric, err);
    }
    checkpoint_close(checkpoint);
    if (rc != 0) {
        served_close(&made);
        return rc;
    }
    *out = made;
    return 0;
}

void served_close(struct served *served)
{
    forward_free(served->forward);
    weights_free(served->weights);
    tokenizer_close(served->tokenizer);
    chat_close(served->chat);
    free(served->folder);
    free(served->base);
    *served = (struct served){0};
}

/* ---- ids ---- */

int served_ids(const struct served *served, const json_t *list, struct tokens *out, struct err *err)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *id = json_array_get(list, i);

        if (!json_is_integer(id)) {
            return err_set(err, ERR_FORMAT, "token %zu: expected an id, got %s", i, doc_kind(id));
        }
        if (json_integer_value(id) < 0 ||
            json_integer_value(id) >= (json_int_t)served->config.vocab) {
            return err_set(err, ERR_LIMIT,
                           "token %zu: id %lld is outside the model's vocabulary of %u", i,
                           (long long)json_integer_value(id), served->config.vocab);
        }
        tokens_add(out, (uint32_t)json_integer_value(id));
    }
    return 0;
}

int served_tokenize(struct served *served, const json_t *request, json_t **out, struct err *err)
{
    const char *text = NULL;
    bool special = true;
    struct tokens ids = {0};

    int rc = doc_text(request, "prompt", &text, err);
    if (rc == 0) {
        rc = doc_bool_or(request, "add_special_tokens", true, &special, err);
    }
    if (rc == 0) {
        rc = tokenizer_encode(served->tokenizer, text, strlen(text),
                              special ? TOKENIZER_WITH_SPECIAL : TOKENIZER_PLAIN, &ids, err);
    }
    if (rc == 0) {
        json_t *list = json_array();

        for (size_t i = 0; i < ids.n; i++) {
            json_array_append_new(list, json_integer(ids.ids[i]));
        }
        *out = json_pack("{s:o, s:I, s:I}", "tokens", list, "count", (json_int_t)ids.n,
                         "max_model_len", (json_int_t)served->positions);
    }
    tokens_release(&ids);
    return rc;
}

int served_detokenize(struct served *served, const json_t *request, json_t **out, struct err *err)
{
    json_t *list = NULL;
    struct tokens ids = {0};
    struct text text = {0};

    int rc = doc_array(request, "tokens", &list, err);
    if (rc == 0) {
        rc = served_ids(served, list, &ids, err);
    }
    if (rc == 0) {
        rc =
            tokenizer_decode(served->tokenizer, ids.ids, ids.n, TOKENIZER_WITH_SPECIAL, &text, err);
    }
    if (rc == 0) {
        *out = json_object();
        json_object_set_new(*out, "prompt", json_stringn(text_get(&text), text.size));
    }
    text_release(&text);
    tokens_release(&ids);
    return rc;
}

/* ---- special tokens ---- */

static json_t *text_of(struct served *served, bool known, uint32_t id)
{
    struct text text = {0};
    json_t *found = json_null();

    if (known && tokenizer_token_text(served->tokenizer, id, &text, NULL) == 0) {
        found = json_stringn(text_get(&text), text.size);
    }
    text_release(&text);
    return found != NULL ? found : json_null();
}

/* A member of tokenizer_config.json that is a text, or an object with the text as its content. */
static json_t *member_text(const json_t *config, const char *key)
{
    json_t *value = json_object_get(config, key);

    value = json_is_object(value) ? json_object_get(value, "content") : value;
    return json_is_string(value) ? json_incref(value) : json_null();
}

int served_tokenizer_info(struct served *served, json_t **out, struct err *err)
{
    char *path = file_join(served->base, "tokenizer_config.json");
    json_t *config = NULL;
    char *template = NULL;
    uint32_t bos = 0;
    size_t n_eos = 0;
    const uint32_t *eos = tokenizer_eos(served->tokenizer, &n_eos);
    const bool has_bos = tokenizer_bos(served->tokenizer, &bos);
    int rc = file_exists(path) ? doc_load(&config, path, CONFIG_FILE_MAX, err) : 0;

    if (rc == 0) {
        rc = chat_find(&template, served->base, err);
    }
    if (rc == 0) {
        *out =
            json_pack("{s:o, s:o, s:o, s:o}", "eos_token",
                      text_of(served, n_eos > 0, n_eos > 0 ? eos[0] : 0), "bos_token",
                      text_of(served, has_bos, bos), "pad_token", member_text(config, "pad_token"),
                      "chat_template", *template != '\0' ? json_string(template) : json_null());
        rc = *out != NULL
                 ? 0
                 : err_set(err, ERR_FORMAT, "%s: its chat template is not UTF-8", served->base);
    }
    json_decref(config);
    free(template);
    free(path);
    return rc;
}
