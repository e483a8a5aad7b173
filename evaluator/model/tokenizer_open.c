/*
 * tokenizer_open.c - files to an image, or an image of the cache; the image put to use.
 *
 *   tokenizer.json, ...  --compile-->  image  --use-->  struct tokenizer
 *            key of their bytes  --cache-->  |
 */
#include <stdlib.h>
#include <string.h>

#include "base/doc.h"
#include "base/mem.h"
#include "evaluator/model/tokenizer.h"
#include "evaluator/model/tokenizer_cache.h"
#include "evaluator/model/tokenizer_compile.h"
#include "evaluator/model/tokenizer_files.h"
#include "evaluator/model/tokenizer_image.h"
#include "evaluator/model/tokenizer_internal.h"

/* An added token and a word of the vocabulary have the same id only if they are the same text. */
static int check_added_token(const struct vocab_view *vocab, const struct added_token *token,
                             struct err *err)
{
    uint32_t id = token->id;
    size_t n = 0;
    const char *text = vocab_view_text(vocab, id, &n);

    if (vocab_view_find(vocab, token->content, token->size, &id) && id != token->id) {
        return err_set(err, ERR_FORMAT, "added_tokens: \"%.*s\" is %u, but %u in vocab",
                       (int)token->size, token->content, token->id, id);
    }
    if (text != NULL && (n != token->size || memcmp(text, token->content, n) != 0)) {
        return err_set(err, ERR_FORMAT, "added_tokens: \"%.*s\" is %u, which is \"%.*s\" in vocab",
                       (int)token->size, token->content, token->id, (int)n, text);
    }
    return 0;
}

static int check_added(struct tokenizer *made, struct err *err)
{
    size_t n = 0;
    const struct added_token *tokens = added_tokens(made->added, &n);
    const struct vocab_view *vocab = bpe_vocab(made->bpe);
    int rc = 0;

    made->size = vocab->n;
    made->rows = VOCAB_IDS_MAX;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = check_added_token(vocab, &tokens[i], err);
        if (tokens[i].id >= made->size) {
            made->size = (size_t)tokens[i].id + 1;
        }
    }
    return rc;
}

static void print_part(struct text *out, const json_t *json)
{
    if (json == NULL) {
        text_add(out, "null");
    } else {
        doc_print(out, json);
    }
}

static int read_added(struct tokenizer *made, const struct image *image, struct err *err)
{
    int rc = added_new(&made->added, image->added, image->n_added, image->vocab.texts,
                       image->vocab.n_texts, made->normalizer, err);

    return rc == 0 ? check_added(made, err) : rc;
}

/* What the parts say of tokenizer.json, around the image's arrays. */
static int read_tokenizer(struct tokenizer *made, const struct image *image, const json_t *json,
                          struct err *err)
{
    const json_t *normalizer = json_object_get(json, "normalizer");
    const json_t *pretokenizer = json_object_get(json, "pre_tokenizer");

    int rc =
        bpe_new(&made->bpe, &image->vocab, &image->merges, json_object_get(json, "model"), err);
    if (rc == 0) {
        rc = normalizer_parse(&made->normalizer, normalizer, err);
    }
    if (rc == 0) {
        rc = pretokenizer_parse(&made->pretokenizer, pretokenizer, err);
    }
    if (rc == 0) {
        rc = decoder_parse(&made->decoder, json_object_get(json, "decoder"), err);
    }
    if (rc == 0) {
        rc = read_added(made, image, err);
    }
    if (rc == 0) {
        rc = surround_parse(&made->surround, json_object_get(json, "post_processor"), err);
    }
    if (rc == 0) {
        print_part(&made->normalizer_text, normalizer);
        print_part(&made->pretokenizer_text, pretokenizer);
    }
    return rc == 0 ? 0 : err_wrap(err, "tokenizer.json");
}

/* Texts of special tokens to ids, for tokenizer_config. */
static bool id_of(const void *context, const char *text, uint32_t *id)
{
    const struct tokenizer *tokenizer = context;
    const size_t n = strlen(text);
    const struct added_token *token = added_by_content(tokenizer->added, text, n);

    if (token != NULL) {
        *id = token->id;
        return true;
    }
    return vocab_view_find(bpe_vocab(tokenizer->bpe), text, n, id);
}

/* Begin to use the image of bytes [n], which made keeps. */
static int use_image(struct tokenizer *made, const void *bytes, size_t n, struct err *err)
{
    struct image image = {0};
    json_t *parts = NULL;

    int rc = image_read(&image, bytes, n, err);
    if (rc == 0) {
        rc = doc_parse(&parts, image.parts, image.n_parts, err);
    }
    if (rc == 0) {
        rc = read_tokenizer(made, &image, json_object_get(parts, "tokenizer"), err);
    }
    if (rc == 0) {
        rc = tokenizer_config_read(&made->config, json_object_get(parts, "special"), id_of, made,
                                   err);
    }
    if (rc == 0 && made->config.add_bos && made->config.has_bos) {
        surround_begin_with(&made->surround, made->config.bos); /* as loaders of that file do */
    }
    json_decref(parts);
    return rc;
}

/* A tokenizer of the cache, or NULL: what cannot be used is made anew. */
static struct tokenizer *open_kept(const char *key)
{
    struct tokenizer *made = mem_alloc(sizeof *made);

    if (!tokenizer_cache_map(&made->kept, key) ||
        use_image(made, made->kept.data, made->kept.size, NULL) != 0) {
        tokenizer_close(made);
        return NULL;
    }
    return made;
}

int tokenizer_compiled(struct tokenizer **out, struct text *image, struct err *err)
{
    struct tokenizer *made = mem_alloc(sizeof *made);

    made->compiled = *image;
    *image = (struct text){0};
    const int rc = use_image(made, text_get(&made->compiled), made->compiled.size, err);

    if (rc != 0) {
        tokenizer_close(made);
        return rc;
    }
    *out = made;
    return 0;
}

int tokenizer_parse(struct tokenizer **out, const char *json, size_t n, struct err *err)
{
    const struct tokenizer_sources sources = {.tokenizer = json, .n_tokenizer = n};
    struct text image = {0};

    int rc = tokenizer_compile(&image, &sources, err);
    if (rc == 0) {
        rc = tokenizer_compiled(out, &image, err);
    }
    text_release(&image);
    return rc;
}

int tokenizer_open(struct tokenizer **out, const char *folder, struct err *err)
{
    struct tokenizer_files files = {0};
    struct tokenizer *made = NULL;
    struct text image = {0};
    char key[DIGEST_HEX];

    int rc = tokenizer_files_open(&files, folder, err);
    if (rc != 0) {
        return rc;
    }
    const bool cached = files.sources.n_tokenizer >= TOKENIZER_CACHED_FROM;

    if (cached) {
        tokenizer_files_key(&files, key);
        made = open_kept(key);
    }
    if (made == NULL) {
        rc = tokenizer_compile(&image, &files.sources, err);
        if (rc == 0) {
            rc = tokenizer_compiled(&made, &image, err);
        }
        if (rc == 0 && cached) { /* sealed as it is kept; reading on does not mind */
            tokenizer_cache_keep(key, made->compiled.data, made->compiled.size);
        }
    }
    if (rc == 0) {
        *out = made;
    } else {
        rc = err_wrap(err, "%s", folder);
    }
    text_release(&image);
    tokenizer_files_close(&files);
    return rc;
}

void tokenizer_close(struct tokenizer *tokenizer)
{
    if (tokenizer == NULL) {
        return;
    }
    normalizer_free(tokenizer->normalizer);
    pretokenizer_free(tokenizer->pretokenizer);
    bpe_free(tokenizer->bpe);
    added_free(tokenizer->added);
    decoder_free(tokenizer->decoder);
    surround_release(&tokenizer->surround);
    tokenizer_config_release(&tokenizer->config);
    text_release(&tokenizer->normalizer_text);
    text_release(&tokenizer->pretokenizer_text);
    text_release(&tokenizer->normal);
    pieces_release(&tokenizer->words);
    file_unmap(&tokenizer->kept);
    text_release(&tokenizer->compiled);
    free(tokenizer);
}
