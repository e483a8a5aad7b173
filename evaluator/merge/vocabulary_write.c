/*
 * vocabulary_write.c - the donor's tokenizer files with the tokens that it did not have.
 *
 * New tokens become added tokens: an entry of added_tokens in tokenizer.json, where loaders look,
 * and wherever else the donor lists such tokens (added_tokens_decoder of tokenizer_config.json,
 * added_tokens.json). An entry that some input has keeps its flags.
 */
#include <stdlib.h>
#include <string.h>

#include "base/doc.h"
#include "base/mem.h"
#include "evaluator/merge/vocabulary_internal.h"

#define FILE_SIZE_MAX ((size_t)256 << 20)

static const char *text_of(const struct vocabulary *vocabulary, uint32_t id, struct text *out)
{
    size_t n = 0;
    const char *text = vocab_text(&vocabulary->out, id, &n);

    text_clear(out);
    text_add_n(out, text != NULL ? text : "", n);
    return text_get(out);
}

/* The entry of the first input that lists the token as added, or NULL. */
static const json_t *listed(const struct vocabulary *vocabulary, const char *content)
{
    for (size_t m = 0; m < vocabulary->n_models; m++) {
        uint32_t id;
        size_t i;
        json_t *entry;

        if (!vocab_find(&vocabulary->tokens[m].vocab, content, strlen(content), &id) ||
            !vocabulary_is_added(&vocabulary->tokens[m], id)) {
            continue;
        }
        json_array_foreach(vocabulary->lists[m], i, entry)
        {
            if (strcmp(json_string_value(json_object_get(entry, "content")), content) == 0) {
                return entry;
            }
        }
    }
    return NULL;
}

/* A new reference: the flags of a token, as added_tokens has them. */
static json_t *flags_of(const struct vocabulary *vocabulary, const char *content)
{
    static const char *const names[] = {"single_word", "lstrip", "rstrip", "normalized", "special"};
    const json_t *known = listed(vocabulary, content);
    json_t *made = json_pack("{s:s}", "content", content);
    const bool special = json_is_true(json_object_get(known, "special"));

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const json_t *flag = json_object_get(known, names[i]);
        const bool usual = strcmp(names[i], "normalized") == 0 && !special;

        json_object_set_new(made, names[i],
                            json_boolean(flag != NULL ? json_is_true(flag) : usual));
    }
    return made;
}

/* For each new token, by id. */
static void add_to_list(const struct vocabulary *vocabulary, json_t *list)
{
    struct text text = {0};

    for (uint32_t id = (uint32_t)vocabulary->n_kept; id < vocabulary->out.n; id++) {
        json_t *flags = flags_of(vocabulary, text_of(vocabulary, id, &text));
        json_t *entry = json_pack("{s:I}", "id", (json_int_t)id);

        json_object_update(entry, flags);
        json_array_append_new(list, entry);
        json_decref(flags);
    }
    text_release(&text);
}

static void add_to_decoder(const struct vocabulary *vocabulary, json_t *decoder)
{
    struct text text = {0};

    for (uint32_t id = (uint32_t)vocabulary->n_kept; id < vocabulary->out.n; id++) {
        char *key = mem_printf("%u", id);

        json_object_set_new(decoder, key, flags_of(vocabulary, text_of(vocabulary, id, &text)));
        free(key);
    }
    text_release(&text);
}

static void add_to_ids(const struct vocabulary *vocabulary, json_t *ids)
{
    struct text text = {0};

    for (uint32_t id = (uint32_t)vocabulary->n_kept; id < vocabulary->out.n; id++) {
        json_object_set_new(ids, text_of(vocabulary, id, &text), json_integer((json_int_t)id));
    }
    text_release(&text);
}

static int write_doc(const char *folder, const char *name, const json_t *doc, struct err *err)
{
    char *path = file_join(folder, name);
    struct text text = {0};

    doc_print_pretty(&text, doc);
    text_add_char(&text, '\n');
    const int rc = file_write(path, text_get(&text), text.size, 0666, err);
    text_release(&text);
    free(path);
    return rc;
}

/* The donor's entries; those without a row are not among its tokens, and their ids are given anew.
 */
static json_t *kept_list(const struct vocabulary *vocabulary)
{
    const json_int_t rows = vocabulary_rows_of(vocabulary, vocabulary->donor);
    json_t *made = json_array();
    size_t i;
    json_t *entry;

    json_array_foreach(vocabulary->lists[vocabulary->donor], i, entry)
    {
        if (json_integer_value(json_object_get(entry, "id")) < rows) {
            json_array_append(made, entry);
        }
    }
    return made;
}

static int write_tokenizer(const struct vocabulary *vocabulary, const char *folder, struct err *err)
{
    json_t *doc = json_copy(vocabulary->doc);
    json_t *list = kept_list(vocabulary);

    add_to_list(vocabulary, list);
    json_object_set_new(doc, "added_tokens", list);
    const int rc = write_doc(folder, "tokenizer.json", doc, err);
    json_decref(doc);
    return rc;
}

/* A file of the donor that lists tokens, in member (NULL: the whole object). */
static int write_other(const struct vocabulary *vocabulary, const char *folder, const char *name,
                       const char *member,
                       void (*add)(const struct vocabulary *vocabulary, json_t *object),
                       struct err *err)
{
    const struct vocabulary_model *donor = &vocabulary->models[vocabulary->donor];
    char *path = file_join(checkpoint_folder(donor->checkpoint), name);
    json_t *doc = NULL;
    int rc = 0;

    if (file_exists(path)) {
        rc = doc_load(&doc, path, FILE_SIZE_MAX, err);
    }
    json_t *object = member != NULL ? json_object_get(doc, member) : doc;
    if (rc == 0 && json_is_object(object)) {
        add(vocabulary, object);
        rc = write_doc(folder, name, doc, err);
    }
    json_decref(doc);
    free(path);
    return rc;
}

int vocabulary_write(const struct vocabulary *vocabulary, const char *folder, struct err *err)
{
    if (vocabulary->n_kept == vocabulary->out.n) {
        return 0;
    }
    int rc = write_tokenizer(vocabulary, folder, err);
    if (rc == 0) {
        rc = write_other(vocabulary, folder, "tokenizer_config.json", "added_tokens_decoder",
                         add_to_decoder, err);
    }
    if (rc == 0) {
        rc = write_other(vocabulary, folder, "added_tokens.json", NULL, add_to_ids, err);
    }
    return rc;
}
