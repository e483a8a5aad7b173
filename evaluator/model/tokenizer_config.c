/*
 * tokenizer_config.c - three optional documents, one union of special tokens.
 */
#include "evaluator/model/tokenizer_config.h"

#include "evaluator/model/vocab.h"

static const char *const file_names[TOKENIZER_CONFIG_FILES] = {
    "tokenizer_config.json", "generation_config.json", "config.json"};

const char *tokenizer_config_name(enum tokenizer_config_file file)
{
    return file_names[file];
}

json_t *tokenizer_config_pick(const json_t *const docs[TOKENIZER_CONFIG_FILES])
{
    static const char *const members[TOKENIZER_CONFIG_FILES][6] = {
        {"bos_token", "eos_token", "unk_token", "pad_token", "add_bos_token", NULL},
        {"eos_token_id", NULL},
        {"eos_token_id", "bos_token_id", NULL}};
    json_t *picked = json_object();

    for (size_t f = 0; f < TOKENIZER_CONFIG_FILES; f++) {
        json_t *some = docs[f] != NULL ? json_object() : NULL;

        for (size_t m = 0; some != NULL && members[f][m] != NULL; m++) {
            json_t *value = json_object_get(docs[f], members[f][m]);

            if (value != NULL) {
                json_object_set(some, members[f][m], value);
            }
        }
        if (some != NULL) {
            json_object_set_new(picked, file_names[f], some);
        }
    }
    return picked;
}

static void add_once(struct tokens *tokens, uint32_t id)
{
    for (size_t i = 0; i < tokens->n; i++) {
        if (tokens->ids[i] == id) {
            return;
        }
    }
    tokens_add(tokens, id);
}

/* The text of a special token: a string, or an object with content; NULL when null or absent. */
static const char *special_text(const json_t *config, const char *key)
{
    const json_t *value = json_object_get(config, key);

    return json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
}

/* A member that is an id or a list of ids, null or absent. */
static int add_ids(struct tokens *out, const json_t *config, const char *key, struct err *err)
{
    const json_t *value = json_object_get(config, key);
    const size_t n = json_is_array(value) ? json_array_size(value) : 1;

    if (value == NULL || json_is_null(value)) {
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *id = json_is_array(value) ? json_array_get(value, i) : value;

        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) >= (json_int_t)VOCAB_IDS_MAX) {
            return err_set(err, ERR_FORMAT, "%s: expected a token id or a list of them", key);
        }
        add_once(out, (uint32_t)json_integer_value(id));
    }
    return 0;
}

/* Prompts would lack their beginning, or generation its end, without a word. */
static int not_a_token(const char *key, const char *text, struct err *err)
{
    return err_set(err, ERR_FORMAT, "%s \"%.64s\" is not a token of tokenizer.json", key, text);
}

/* These two no score depends on. */
static void remark(struct tokenizer_config *made, const json_t *config, const char *key,
                   tokenizer_config_id *id_of, const void *context)
{
    const char *text = special_text(config, key);
    uint32_t id = 0;

    if (text != NULL && !id_of(context, text, &id)) {
        text_printf(&made->remarks, "%s \"%.64s\" of tokenizer_config.json is not a token\n", key,
                    text);
    }
}

static int read_tokenizer(struct tokenizer_config *made, const json_t *config,
                          tokenizer_config_id *id_of, const void *context, struct err *err)
{
    const char *bos = special_text(config, "bos_token");
    const char *eos = special_text(config, "eos_token");
    uint32_t id = 0;

    const int rc = json_is_null(json_object_get(config, "add_bos_token"))
                       ? 0
                       : doc_bool_or(config, "add_bos_token", false, &made->add_bos, err);
    if (rc != 0) {
        return rc;
    }
    if (bos != NULL && !id_of(context, bos, &made->bos)) {
        return not_a_token("bos_token", bos, err);
    }
    made->has_bos = bos != NULL;
    if (eos != NULL && !id_of(context, eos, &id)) {
        return not_a_token("eos_token", eos, err);
    }
    if (eos != NULL) {
        add_once(&made->eos, id);
    }
    remark(made, config, "unk_token", id_of, context);
    remark(made, config, "pad_token", id_of, context);
    return 0;
}

/* Without tokenizer_config.json, config.json tells the beginning of sequence. */
static int read_model_bos(struct tokenizer_config *made, const json_t *config, struct err *err)
{
    struct tokens bos = {0};
    const int rc = add_ids(&bos, config, "bos_token_id", err);

    if (rc == 0 && bos.n > 0) {
        made->has_bos = true;
        made->bos = bos.ids[0];
    }
    tokens_release(&bos);
    return rc;
}

int tokenizer_config_read(struct tokenizer_config *out, const json_t *picked,
                          tokenizer_config_id *id_of, const void *context, struct err *err)
{
    struct tokenizer_config made = {0};
    const bool has_tokenizer_config =
        json_object_get(picked, file_names[TOKENIZER_CONFIG_ITSELF]) != NULL;
    int rc = 0;

    for (size_t f = 0; rc == 0 && f < TOKENIZER_CONFIG_FILES; f++) {
        const json_t *config = json_object_get(picked, file_names[f]);

        if (config == NULL) {
            continue;
        }
        rc = f == TOKENIZER_CONFIG_ITSELF ? read_tokenizer(&made, config, id_of, context, err)
                                          : add_ids(&made.eos, config, "eos_token_id", err);
        if (rc == 0 && f == TOKENIZER_CONFIG_MODEL && !has_tokenizer_config) {
            rc = read_model_bos(&made, config, err);
        }
        if (rc != 0) {
            rc = err_wrap(err, "%s", file_names[f]);
        }
    }
    if (rc == 0) {
        *out = made;
        return 0;
    }
    tokenizer_config_release(&made);
    return rc;
}

void tokenizer_config_release(struct tokenizer_config *config)
{
    tokens_release(&config->eos);
    text_release(&config->remarks);
    *config = (struct tokenizer_config){0};
}
