/*
 * mergekit_tokenizer.c - which vocabulary a recipe wants.
 */
#include "evaluator/merge/mergekit_tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/doc.h"
#include "base/mem.h"
#include "evaluator/merge/mergekit_recipe.h"
#include "evaluator/merge/mergekit_setting.h"
#include "evaluator/model/vocab.h"

#define PADDING_MAX (1 << 20)

static const json_t *given(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_null(value) ? NULL : value;
}

static int read_source(struct vocabulary_rules *rules, struct mergekit_recipe *recipe,
                       const json_t *source, struct err *err)
{
    const char *word = json_string_value(source);

    rules->base = recipe->base == MERGEKIT_NONE ? VOCABULARY_NONE : recipe->base;
    rules->source = VOCABULARY_UNION;
    if (source == NULL || (word != NULL && strcmp(word, "union") == 0)) {
        return 0;
    }
    rules->source = VOCABULARY_MODEL;
    if (word != NULL && strcmp(word, "base") == 0) {
        rules->model = recipe->base;
        return recipe->base != MERGEKIT_NONE
                   ? 0
                   : err_set(err, ERR_FORMAT,
                             "tokenizer.source: base, but the recipe has no base_model");
    }
    return mergekit_recipe_model(recipe, source, "tokenizer.source", &rules->model, err);
}

/* {kind: model_token, model: ..., token: ... or token_id: ...} */
static int read_model_token(struct vocabulary_token *token, struct mergekit_recipe *recipe,
                            const json_t *source, const char *where, struct err *err)
{
    const json_t *text = given(source, "token");
    const json_t *id = given(source, "token_id");

    if ((text == NULL) == (id == NULL)) {
        return err_set(err, ERR_FORMAT, "%s: expected either token or token_id", where);
    }
    if (text != NULL && !json_is_string(text)) {
        return err_set(err, ERR_FORMAT, "%s.token: expected a text, got %s", where, doc_kind(text));
    }
    if (id != NULL && (!json_is_integer(id) || json_integer_value(id) < 0 ||
                       json_integer_value(id) >= (json_int_t)VOCAB_IDS_MAX)) {
        return err_set(err, ERR_FORMAT, "%s.token_id: expected a token's number", where);
    }
    token->row = text != NULL ? VOCABULARY_ROW_TOKEN : VOCABULARY_ROW_ID;
    token->token = json_string_value(text);
    token->id = (uint32_t)json_integer_value(id);
    if (given(source, "model") == NULL) {
        return err_set(err, ERR_FORMAT, "%s.model: missing", where);
    }
    return mergekit_recipe_model(recipe, given(source, "model"), where, &token->model, err);
}

static int read_row(struct vocabulary_token *token, struct mergekit_recipe *recipe,
                    const json_t *source, const char *where, struct err *err)
{
    const char *kind = json_string_value(given(source, "kind"));

    if (source == NULL) {
        return 0; /* as if the token were not named, but there */
    }
    if (given(source, "kind") == NULL) {
        token->row = VOCABULARY_ROW_TOKEN;
        return mergekit_recipe_model(recipe, source, where, &token->model, err);
    }
    if (kind != NULL && strcmp(kind, "zero") == 0) {
        token->row = VOCABULARY_ROW_ZERO;
        return 0;
    }
    if (kind != NULL && strcmp(kind, "model_token") == 0) {
        return read_model_token(token, recipe, source, where, err);
    }
    return err_set(err, ERR_FORMAT, "%s.kind: expected model_token or zero%s%.64s", where,
                   kind != NULL ? ", got " : "", kind != NULL ? kind : "");
}

static int read_token(struct vocabulary_token *token, struct mergekit_recipe *recipe,
                      const char *text, const json_t *entry, struct err *err)
{
    char where[MERGEKIT_WHERE_MAX];
    const json_t *force = given(entry, "force");

    mergekit_where(where, "tokenizer.tokens.%.64s", text);
    if (!json_is_object(entry) && !json_is_null(entry)) {
        return err_set(err, ERR_FORMAT, "%s: expected a mapping, got %s", where, doc_kind(entry));
    }
    if (*text == '\0') {
        return err_set(err, ERR_FORMAT, "tokenizer.tokens: a token without text");
    }
    if (force != NULL && !json_is_boolean(force)) {
        return err_set(err, ERR_FORMAT, "%s.force: expected true or false, got %s", where,
                       doc_kind(force));
    }
    token->text = text;
    token->force = json_is_true(force);
    mergekit_where(where, "tokenizer.tokens.%.64s.source", text);
    return read_row(token, recipe, given(entry, "source"), where, err);
}

static int read_tokens(struct vocabulary_rules *rules, struct mergekit_recipe *recipe,
                       const json_t *tokens, struct err *err)
{
    struct vocabulary_token *made = NULL;
    const char *text;
    json_t *entry;
    int rc = 0;

    if (tokens == NULL) {
        return 0;
    }
    if (!json_is_object(tokens)) {
        return err_set(err, ERR_FORMAT, "tokenizer.tokens: expected a mapping, got %s",
                       doc_kind(tokens));
    }
    made = mem_array(json_object_size(tokens), sizeof(*made));
    rules->tokens = made;
    json_object_foreach((json_t *)tokens, text, entry)
    {
        rc = read_token(&made[rules->n_tokens++], recipe, text, entry, err);
        if (rc != 0) {
            break;
        }
    }
    return rc;
}

int mergekit_tokenizer_read(struct vocabulary_rules *out, struct mergekit_recipe *recipe,
                            const json_t *tokenizer, struct err *err)
{
    struct vocabulary_rules made = {0};
    const json_t *padding = given(tokenizer, "pad_to_multiple_of");
    int rc = 0;

    if (padding != NULL && (!json_is_integer(padding) || json_integer_value(padding) < 1 ||
                            json_integer_value(padding) > PADDING_MAX)) {
        return err_set(err, ERR_FORMAT,
                       "tokenizer.pad_to_multiple_of: expected a whole number from 1 to %d",
                       PADDING_MAX);
    }
    made.pad_to = (uint32_t)json_integer_value(padding);
    rc = read_source(&made, recipe, given(tokenizer, "source"), err);
    if (rc == 0) {
        rc = read_tokens(&made, recipe, given(tokenizer, "tokens"), err);
    }
    if (rc != 0) {
        free((void *)made.tokens);
        return rc;
    }
    *out = made;
    return 0;
}
