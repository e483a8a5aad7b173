/*
 * tokenizer_config.c - three optional files, one union of special tokens.
 */
#include "evaluator/model/tokenizer_config.h"

#include <stdlib.h>

#include "base/doc.h"
#include "base/file.h"
#include "evaluator/model/vocab.h"

#define CONFIG_SIZE_MAX ((size_t)16 << 20) /* tokenizer_config.json repeats every added token */

/* *out is NULL when the file is not there. */
static int load(json_t **out, const char *folder, const char *name, struct err *err)
{
    char *path = file_join(folder, name);
    int rc = 0;

    *out = NULL;
    if (file_exists(path)) {
        rc = doc_load(out, path, CONFIG_SIZE_MAX, err);
        if (rc == 0 && !json_is_object(*out)) {
            rc = err_set(err, ERR_FORMAT, "%s: expected an object, got %s", path, doc_kind(*out));
        }
    }
    free(path);
    return rc;
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

int tokenizer_config_load(struct tokenizer_config *out, const char *folder,
                          tokenizer_config_id *id_of, const void *context, struct err *err)
{
    static const char *const names[] = {"tokenizer_config.json", "generation_config.json",
                                        "config.json"};
    struct tokenizer_config made = {0};
    bool has_tokenizer_config = false;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < 3; i++) {
        json_t *config = NULL;

        rc = load(&config, folder, names[i], err);
        if (rc != 0 || config == NULL) {
            continue;
        }
        if (i == 0) {
            has_tokenizer_config = true;
            rc = read_tokenizer(&made, config, id_of, context, err);
        } else {
            rc = add_ids(&made.eos, config, "eos_token_id", err);
        }
        if (rc == 0 && i == 2 && !has_tokenizer_config) {
            rc = read_model_bos(&made, config, err);
        }
        if (rc != 0) {
            rc = err_wrap(err, "%s/%s", folder, names[i]);
        }
        json_decref(config);
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
    *config = (struct tokenizer_config){0};
}
