/*
 * vocabulary.c - which tokens the merged model has, and where each input's row for them comes from.
 *
 * A model's tokens are those of tokenizer.json: model.vocab, a mapping (BPE, WordPiece) or a list
 * (Unigram), and added_tokens. Where both name an id or a text, the added token is meant, as
 * tokenizers read it. What a row is made of is kept as ids [models, tokens] and one default a
 * token; vocabulary_align.c makes the rows.
 */
#include "evaluator/merge/vocabulary_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/doc.h"
#include "base/mem.h"

#define TOKENIZER_SIZE_MAX ((size_t)256 << 20)

/* ---- the tokens of a model ---- */

static int add_listed(struct vocabulary_tokens *tokens, const json_t *list, struct err *err)
{
    size_t i;
    json_t *entry;

    if (list == NULL || json_is_null(list)) {
        return 0;
    }
    if (!json_is_array(list)) {
        return err_set(err, ERR_FORMAT, "added_tokens: expected a list, got %s", doc_kind(list));
    }
    json_array_foreach(list, i, entry)
    {
        const char *content;
        int64_t id;
        int rc;

        if ((rc = doc_text(entry, "content", &content, err)) != 0 ||
            (rc = doc_integer(entry, "id", 0, (int64_t)VOCAB_IDS_MAX - 1, &id, err)) != 0 ||
            (rc = vocab_add(&tokens->vocab, content, strlen(content), (uint32_t)id, err)) != 0) {
            return err_wrap(err, "added_tokens[%zu]", i);
        }
    }
    return 0;
}

/* An ordinary token, unless an added one has its id or its text. */
static int add_ordinary(struct vocabulary_tokens *tokens, const char *text, int64_t id,
                        struct err *err)
{
    uint32_t taken;

    if (id < 0 || id >= (int64_t)VOCAB_IDS_MAX) {
        return err_set(err, ERR_LIMIT, "model.vocab: '%.64s': id %lld is not in [0, %zu)", text,
                       (long long)id, VOCAB_IDS_MAX);
    }
    if (vocabulary_is_added(tokens, (uint32_t)id) ||
        (vocab_find(&tokens->vocab, text, strlen(text), &taken) &&
         vocabulary_is_added(tokens, taken))) {
        return 0;
    }
    const int rc = vocab_add(&tokens->vocab, text, strlen(text), (uint32_t)id, err);
    return rc == 0 ? 0 : err_wrap(err, "model.vocab");
}

static int add_vocab(struct vocabulary_tokens *tokens, const json_t *vocab, struct err *err)
{
    const char *text;
    json_t *value;
    size_t i;
    int rc = 0;

    if (!json_is_object(vocab) && !json_is_array(vocab)) {
        return err_set(err, ERR_FORMAT, "model.vocab: expected an object or a list, got %s",
                       doc_kind(vocab));
    }
    json_object_foreach((json_t *)vocab, text, value)
    {
        if (!json_is_integer(value)) {
            return err_set(err, ERR_FORMAT, "model.vocab: '%.64s': expected an id, got %s", text,
                           doc_kind(value));
        }
        rc = add_ordinary(tokens, text, json_integer_value(value), err);
        if (rc != 0) {
            return rc;
        }
    }
    json_array_foreach(vocab, i, value)
    {
        text = json_string_value(json_array_get(value, 0));
        if (text == NULL) {
            return err_set(err, ERR_FORMAT, "model.vocab[%zu]: expected [text, score]", i);
        }
        rc = add_ordinary(tokens, text, (int64_t)i, err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

int vocabulary_tokens_parse(struct vocabulary_tokens *out, const json_t *tokenizer, struct err *err)
{
    struct vocabulary_tokens made = {0};
    json_t *model;
    size_t n;
    int rc = doc_object(tokenizer, "model", &model, err);

    if (rc == 0) {
        rc = add_listed(&made, json_object_get(tokenizer, "added_tokens"), err);
    }
    if (rc == 0) {
        made.n_added = made.vocab.n;
        made.added = mem_array(made.n_added, sizeof(bool));
        for (uint32_t id = 0; id < made.n_added; id++) {
            made.added[id] = vocab_text(&made.vocab, id, &n) != NULL;
        }
        rc = add_vocab(&made, json_object_get(model, "vocab"), err);
    }
    if (rc != 0) {
        vocabulary_tokens_release(&made);
        return rc;
    }
    *out = made;
    return 0;
}

void vocabulary_tokens_release(struct vocabulary_tokens *tokens)
{
    vocab_release(&tokens->vocab);
    free(tokens->added);
    *tokens = (struct vocabulary_tokens){0};
}

bool vocabulary_is_added(const struct vocabulary_tokens *tokens, uint32_t id)
{
    return id < tokens->n_added && tokens->added[id];
}

uint32_t vocabulary_rows_of(const struct vocabulary *vocabulary, size_t m)
{
    const uint32_t rows = checkpoint_config(vocabulary->models[m].checkpoint)->vocab;

    return rows > 0 ? rows : UINT32_MAX;
}

/* The donor's document is kept whole; of others, which may be large, what vocabulary_write asks. */
static int read_model(struct vocabulary *vocabulary, size_t m, struct err *err)
{
    char *path = file_join(checkpoint_folder(vocabulary->models[m].checkpoint), "tokenizer.json");
    json_t *doc = NULL;
    int rc = doc_load(&doc, path, TOKENIZER_SIZE_MAX, err);

    if (rc == 0) {
        rc = vocabulary_tokens_parse(&vocabulary->tokens[m], doc, err);
        if (rc != 0) {
            rc = err_wrap(err, "%s", path);
        }
    }
    if (rc == 0 && m == vocabulary->donor) {
        vocabulary->doc = json_incref(doc);
    }
    vocabulary->lists[m] = json_incref(json_object_get(doc, "added_tokens"));
    json_decref(doc);
    free(path);
    return rc;
}

/* The id of a text in a model, when it has a row for it. */
static bool find_token(const struct vocabulary *vocabulary, size_t m, const char *text, size_t n,
                       uint32_t *id)
{
    return vocab_find(&vocabulary->tokens[m].vocab, text, n, id) &&
           *id < vocabulary_rows_of(vocabulary, m);
}

/* ---- the tokens of the merged model ---- */

/* The token of model m with this id, when it counts. */
static const char *counting(const struct vocabulary *vocabulary, size_t m, uint32_t id, size_t *n)
{
    return id < vocabulary_rows_of(vocabulary, m) ? vocab_text(&vocabulary->tokens[m].vocab, id, n)
                                                  : NULL;
}

/* The donor's, with their ids. */
static int take_donor(struct vocabulary *vocabulary, struct err *err)
{
    const size_t m = vocabulary->donor;
    int rc = 0;

    for (uint32_t id = 0; id < vocabulary->tokens[m].vocab.n && rc == 0; id++) {
        size_t n;
        const char *text = counting(vocabulary, m, id, &n);

        rc = text == NULL ? 0 : vocab_add(&vocabulary->out, text, n, id, err);
    }
    vocabulary->n_kept = vocabulary->out.n;
    return rc;
}

static int take_new(struct vocabulary *vocabulary, const char *text, size_t n, struct err *err)
{
    uint32_t id;

    if (vocab_find(&vocabulary->out, text, n, &id)) {
        return 0;
    }
    return vocab_add(&vocabulary->out, text, n, (uint32_t)vocabulary->out.n, err);
}

/* Of model m, the ordinary tokens or the added ones. */
static int take_model(struct vocabulary *vocabulary, size_t m, bool added, struct err *err)
{
    int rc = 0;

    for (uint32_t id = 0; id < vocabulary->tokens[m].vocab.n && rc == 0; id++) {
        size_t n;
        const char *text = counting(vocabulary, m, id, &n);

        if (text != NULL && vocabulary_is_added(&vocabulary->tokens[m], id) == added) {
            rc = take_new(vocabulary, text, n, err);
        }
    }
    return rc;
}

static int take_tokens(struct vocabulary *vocabulary, struct err *err)
{
    const struct vocabulary_rules *rules = vocabulary->rules;
    int rc = take_donor(vocabulary, err);

    for (int added = 0; added < 2 && rules->source == VOCABULARY_UNION; added++) {
        for (size_t m = 0; m < vocabulary->n_models && rc == 0; m++) {
            rc = vocabulary->models[m].input ? take_model(vocabulary, m, added != 0, err) : 0;
        }
    }
    for (size_t i = 0; i < rules->n_tokens && rc == 0; i++) {
        rc = take_new(vocabulary, rules->tokens[i].text, strlen(rules->tokens[i].text), err);
    }
    vocabulary->rows = vocabulary->out.n;
    if (rules->pad_to > 1) {
        vocabulary->rows = (vocabulary->rows + rules->pad_to - 1) / rules->pad_to * rules->pad_to;
    }
    return rc;
}

/* ---- rows ---- */

static void find_own_rows(struct vocabulary *vocabulary)
{
    const size_t n_tokens = vocabulary->out.n;

    vocabulary->ids = mem_array(vocabulary->n_models * n_tokens, sizeof(uint32_t));
    for (size_t m = 0; m < vocabulary->n_models; m++) {
        for (uint32_t id = 0; id < n_tokens; id++) {
            uint32_t *own = &vocabulary->ids[m * n_tokens + id];
            size_t n;
            const char *text = vocab_text(&vocabulary->out, id, &n);

            if (text == NULL || !find_token(vocabulary, m, text, n, own)) {
                *own = VOCABULARY_NO_ROW;
            }
        }
    }
}

/* The row of a token that no rule names, for models that do not have it. */
static struct vocabulary_default usual_row(const struct vocabulary *vocabulary, uint32_t id)
{
    const size_t base = vocabulary->rules->base;
    struct vocabulary_default row = {.kind = VOCABULARY_ZEROS};
    size_t n_have = 0;

    for (size_t m = 0; m < vocabulary->n_models; m++) {
        const uint32_t own = vocabulary->ids[m * vocabulary->out.n + id];

        if (vocabulary->models[m].input && own != VOCABULARY_NO_ROW) {
            row = (struct vocabulary_default){.kind = VOCABULARY_ROW, .model = m, .id = own};
            n_have++;
        }
    }
    if (n_have > 1) {
        row.kind = VOCABULARY_MEAN;
        if (base != VOCABULARY_NONE &&
            vocabulary->ids[base * vocabulary->out.n + id] != VOCABULARY_NO_ROW) {
            row = (struct vocabulary_default){.kind = VOCABULARY_ROW,
                                              .model = base,
                                              .id = vocabulary->ids[base * vocabulary->out.n + id]};
        }
    }
    return row;
}

static int named_row(const struct vocabulary *vocabulary, const struct vocabulary_token *token,
                     struct vocabulary_default *out, struct err *err)
{
    const char *text = token->token != NULL ? token->token : token->text;
    uint32_t id = token->id;

    if (token->row == VOCABULARY_ROW_ZERO) {
        *out = (struct vocabulary_default){.kind = VOCABULARY_ZEROS};
        return 0;
    }
    const char *name = vocabulary->models[token->model].name;
    if (token->row == VOCABULARY_ROW_TOKEN &&
        !find_token(vocabulary, token->model, text, strlen(text), &id)) {
        return err_set(err, ERR_MISSING, "tokens: '%.64s': %s has no token '%.64s'", token->text,
                       name, text);
    }
    if (id >= vocabulary_rows_of(vocabulary, token->model)) {
        return err_set(err, ERR_MISSING, "tokens: '%.64s': %s has %u rows, there is no row %u",
                       token->text, name, vocabulary_rows_of(vocabulary, token->model), id);
    }
    *out = (struct vocabulary_default){.kind = VOCABULARY_ROW, .model = token->model, .id = id};
    return 0;
}

static int find_default_rows(struct vocabulary *vocabulary, struct err *err)
{
    const struct vocabulary_rules *rules = vocabulary->rules;
    size_t n_zero = 0;
    size_t n;
    int rc = 0;

    vocabulary->defaults = mem_array(vocabulary->out.n, sizeof(struct vocabulary_default));
    for (uint32_t id = 0; id < vocabulary->out.n; id++) {
        vocabulary->defaults[id] = usual_row(vocabulary, id);
        n_zero += vocabulary->defaults[id].kind == VOCABULARY_ZEROS &&
                  vocab_text(&vocabulary->out, id, &n) != NULL;
    }
    for (size_t i = 0; i < rules->n_tokens && rc == 0; i++) {
        const struct vocabulary_token *token = &rules->tokens[i];
        uint32_t id;

        vocab_find(&vocabulary->out, token->text, strlen(token->text), &id); /* it was added */
        struct vocabulary_default *row = &vocabulary->defaults[id];
        n_zero -= row->kind == VOCABULARY_ZEROS;
        if (token->row != VOCABULARY_ROW_USUAL) {
            rc = named_row(vocabulary, token, row, err);
        } else if (row->kind == VOCABULARY_ZEROS) {
            text_printf(&vocabulary->warnings, "tokens: '%.64s': no model has it, its row is 0\n",
                        token->text);
        }
        row->force = token->force;
    }
    if (n_zero > 0) {
        text_printf(&vocabulary->warnings, "tokenizer: %zu tokens that no model has: rows of 0\n",
                    n_zero);
    }
    return rc;
}

bool vocabulary_row_of(const struct vocabulary *vocabulary, size_t m, uint32_t id, size_t *model,
                       uint32_t *row)
{
    const uint32_t own = vocabulary->ids[m * vocabulary->out.n + id];
    const struct vocabulary_default *usual = &vocabulary->defaults[id];

    if (own != VOCABULARY_NO_ROW && !usual->force) {
        *model = m;
        *row = own;
        return true;
    }
    *model = usual->model;
    *row = usual->id;
    return usual->kind == VOCABULARY_ROW;
}

/* ---- the door ---- */

int vocabulary_make(struct vocabulary **out, const struct vocabulary_rules *rules,
                    const struct vocabulary_model *models, size_t n_models, struct err *err)
{
    struct vocabulary *made = mem_array(1, sizeof(*made));
    int rc = 0;

    *made = (struct vocabulary){.rules = rules, .models = models, .n_models = n_models};
    made->donor = rules->source == VOCABULARY_MODEL ? rules->model
                  : rules->base != VOCABULARY_NONE  ? rules->base
                                                    : 0;
    made->lists = mem_array(n_models, sizeof(json_t *));
    made->tokens = mem_array(n_models, sizeof(struct vocabulary_tokens));
    for (size_t m = 0; m < n_models && rc == 0; m++) {
        rc = read_model(made, m, err);
    }
    if (rc == 0) {
        rc = take_tokens(made, err);
    }
    if (rc == 0) {
        find_own_rows(made);
        rc = find_default_rows(made, err);
    }
    if (rc != 0) {
        vocabulary_free(made);
        return rc;
    }
    made->rules = NULL;
    *out = made;
    return 0;
}

void vocabulary_free(struct vocabulary *vocabulary)
{
    if (vocabulary == NULL) {
        return;
    }
    for (size_t m = 0; m < vocabulary->n_models; m++) {
        json_decref(vocabulary->lists[m]);
        vocabulary_tokens_release(&vocabulary->tokens[m]);
    }
    json_decref(vocabulary->doc);
    free(vocabulary->lists);
    free(vocabulary->tokens);
    free(vocabulary->ids);
    free(vocabulary->defaults);
    vocab_release(&vocabulary->out);
    text_release(&vocabulary->warnings);
    free(vocabulary);
}

size_t vocabulary_rows(const struct vocabulary *vocabulary)
{
    return vocabulary->rows;
}

const char *vocabulary_folder(const struct vocabulary *vocabulary)
{
    return checkpoint_folder(vocabulary->models[vocabulary->donor].checkpoint);
}

const char *vocabulary_warnings(const struct vocabulary *vocabulary)
{
    return text_get(&vocabulary->warnings);
}
