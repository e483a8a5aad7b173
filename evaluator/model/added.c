/*
 * added.c - a trie of bytes for each set, tried at each place where a first byte fits.
 *
 * A node's children are a linked list; only the root, where nearly every try ends, has a table.
 */
#include "evaluator/model/added.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "evaluator/model/unicode.h"
#include "evaluator/model/vocab.h"

#define ADDED_MAX 100000
#define ADDED_SIZE_MAX ((size_t)1 << 16)

struct node {
    uint32_t child, sibling; /* 0: none */
    uint32_t token;          /* index + 1, or 0 */
    unsigned char byte;
};

struct trie_set {
    struct node *nodes; /* [n] */
    size_t n, capacity;
    uint32_t roots[256]; /* node that a first byte leads to, or 0; node 0 is not used */
};

struct added {
    struct added_token *tokens; /* [n] by id */
    size_t n;
    struct trie_set sets[2]; /* by normalized */
};

/* ---- the trie ---- */

static uint32_t node_new(struct trie_set *set, unsigned char byte)
{
    if (set->n == set->capacity) {
        set->capacity += set->capacity / 2 + 64;
        set->nodes = mem_resize(set->nodes, set->capacity, sizeof *set->nodes);
    }
    if (set->n == 0) {
        set->nodes[set->n++] = (struct node){0};
        return node_new(set, byte);
    }
    set->nodes[set->n] = (struct node){.byte = byte};
    return (uint32_t)set->n++;
}

static uint32_t child_of(const struct trie_set *set, uint32_t node, unsigned char byte)
{
    uint32_t child = set->nodes[node].child;

    while (child != 0 && set->nodes[child].byte != byte) {
        child = set->nodes[child].sibling;
    }
    return child;
}

static void trie_set_add(struct trie_set *set, const char *text, size_t n, uint32_t token)
{
    const unsigned char first = (unsigned char)text[0];

    if (set->roots[first] == 0) {
        set->roots[first] = node_new(set, first);
    }
    uint32_t at = set->roots[first];

    for (size_t i = 1; i < n; i++) {
        const unsigned char byte = (unsigned char)text[i];
        uint32_t child = child_of(set, at, byte);

        if (child == 0) {
            child = node_new(set, byte);
            set->nodes[child].sibling = set->nodes[at].child;
            set->nodes[at].child = child;
        }
        at = child;
    }
    if (set->nodes[at].token == 0) { /* two with one normal form: the first counts */
        set->nodes[at].token = token + 1;
    }
}

/* The longest token at the front of text [n]: its index + 1 and size, or 0. */
static uint32_t longest(const struct trie_set *set, const char *text, size_t n, size_t *size)
{
    uint32_t at = set->roots[(unsigned char)text[0]];
    uint32_t found = 0;
    size_t depth = 1;

    while (at != 0) {
        if (set->nodes[at].token != 0) {
            found = set->nodes[at].token;
            *size = depth;
        }
        if (depth == n) {
            break;
        }
        at = child_of(set, at, (unsigned char)text[depth++]);
    }
    return found;
}

/* ---- matching ---- */

static bool touches_word(const char *text, size_t n, size_t begin, size_t end)
{
    uint32_t code = 0;

    if (begin > 0) {
        const size_t last = unicode_last(text, begin);

        unicode_next(text + last, begin - last, &code);
        if (unicode_is_word(code)) {
            return true;
        }
    }
    if (end < n) {
        unicode_next(text + end, n - end, &code);
        return unicode_is_word(code);
    }
    return false;
}

static size_t spaces_before(const char *text, size_t from, size_t begin)
{
    while (begin > from) {
        uint32_t code = 0;
        const size_t last = from + unicode_last(text + from, begin - from);

        unicode_next(text + last, begin - last, &code);
        if (!unicode_is_space(code)) {
            break;
        }
        begin = last;
    }
    return begin;
}

static size_t spaces_after(const char *text, size_t n, size_t end)
{
    while (end < n) {
        uint32_t code = 0;
        const size_t size = unicode_next(text + end, n - end, &code);

        if (!unicode_is_space(code)) {
            break;
        }
        end += size;
    }
    return end;
}

const struct added_token *added_next(const struct added *added, bool normalized, const char *text,
                                     size_t n, size_t from, size_t *begin, size_t *end)
{
    const struct trie_set *set = &added->sets[normalized];
    size_t at = from;

    if (set->n == 0) {
        return NULL;
    }
    while (at < n) {
        size_t size = 0;
        const uint32_t found = longest(set, text + at, n - at, &size);

        if (found == 0) {
            at++;
            continue;
        }
        const struct added_token *token = &added->tokens[found - 1];

        if (token->single_word && touches_word(text, n, at, at + size)) {
            at += size;
            continue;
        }
        *begin = token->lstrip ? spaces_before(text, from, at) : at;
        *end = token->rstrip ? spaces_after(text, n, at + size) : at + size;
        return token;
    }
    return NULL;
}

/* ---- reading ---- */

static int read_flags(uint32_t *out, const json_t *json, struct err *err)
{
    static const struct {
        const char *key;
        uint32_t flag;
    } members[] = {{"single_word", ADDED_SINGLE_WORD},
                   {"lstrip", ADDED_LSTRIP},
                   {"rstrip", ADDED_RSTRIP},
                   {"special", ADDED_SPECIAL},
                   {"normalized", ADDED_NORMALIZED}};

    *out = 0;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        /* Ordinary tokens are looked for in normal text, special ones in the raw one. */
        const bool usual =
            members[i].flag == ADDED_NORMALIZED && (*out & (uint32_t)ADDED_SPECIAL) == 0;
        bool set = false;
        const int rc = doc_bool_or(json, members[i].key, usual, &set, err);

        if (rc != 0) {
            return rc;
        }
        *out |= set ? members[i].flag : 0;
    }
    return 0;
}

static int read_row(struct added_row *out, const json_t *json, struct text *texts, struct err *err)
{
    const char *content = NULL;
    int64_t id = 0;

    int rc = doc_text(json, "content", &content, err);
    if (rc == 0) {
        rc = doc_integer(json, "id", 0, (int64_t)VOCAB_IDS_MAX - 1, &id, err);
    }
    if (rc == 0) {
        rc = read_flags(&out->flags, json, err);
    }
    if (rc != 0) {
        return rc;
    }
    const size_t size = strlen(content);

    if (size > ADDED_SIZE_MAX || texts->size + size > UINT32_MAX) {
        return err_set(err, ERR_LIMIT, "content is longer than %zu bytes", ADDED_SIZE_MAX);
    }
    out->id = (uint32_t)id;
    out->at = (uint32_t)texts->size;
    out->size = (uint32_t)size;
    text_add_n(texts, content, size);
    return 0;
}

static int rows_by_id(const void *a, const void *b)
{
    const uint32_t left = ((const struct added_row *)a)->id;
    const uint32_t right = ((const struct added_row *)b)->id;

    return (left > right) - (left < right);
}

static int read_rows(struct added_row *rows, const json_t *list, struct text *texts,
                     struct err *err)
{
    const size_t n = json_array_size(list);

    for (size_t i = 0; i < n; i++) {
        if (read_row(&rows[i], json_array_get(list, i), texts, err) != 0) {
            return err_wrap(err, "entry %zu", i);
        }
    }
    qsort(rows, n, sizeof *rows, rows_by_id);
    for (size_t i = 1; i < n; i++) {
        if (rows[i].id == rows[i - 1].id) {
            return err_set(err, ERR_FORMAT, "id %u is given to \"%.*s\" and to \"%.*s\"",
                           rows[i].id, (int)rows[i - 1].size, text_get(texts) + rows[i - 1].at,
                           (int)rows[i].size, text_get(texts) + rows[i].at);
        }
    }
    return 0;
}

int added_read(struct added_row **out, size_t *n, const json_t *list, struct text *texts,
               struct err *err)
{
    const size_t n_rows = json_array_size(list);
    struct added_row *rows = NULL;
    int rc = 0;

    if (list != NULL && !json_is_null(list) && !json_is_array(list)) {
        rc = err_set(err, ERR_FORMAT, "expected a list, got %s", doc_kind(list));
    } else if (n_rows > ADDED_MAX) {
        rc = err_set(err, ERR_LIMIT, "more than %d tokens", ADDED_MAX);
    } else if (n_rows > 0) {
        rows = mem_array(n_rows, sizeof *rows);
        rc = read_rows(rows, list, texts, err);
    }
    if (rc != 0) {
        free(rows);
        return err_wrap(err, "added_tokens");
    }
    *out = rows;
    *n = n_rows;
    return 0;
}

/* ---- from rows ---- */

static int by_id(const void *a, const void *b)
{
    const uint32_t left = ((const struct added_token *)a)->id;
    const uint32_t right = ((const struct added_token *)b)->id;

    return (left > right) - (left < right);
}

static int index_token(struct added *made, size_t i, struct normalizer *normalizer, struct err *err)
{
    const struct added_token *token = &made->tokens[i];
    struct text spelling = {0};
    int rc = 0;

    if (token->normalized) {
        rc = normalizer_run(normalizer, token->content, token->size, &spelling, err);
    } else {
        text_add_n(&spelling, token->content, token->size);
    }
    if (rc == 0 && spelling.size > 0) {
        trie_set_add(&made->sets[token->normalized], text_get(&spelling), spelling.size,
                     (uint32_t)i);
    }
    text_release(&spelling);
    return rc;
}

static bool is_sound(const struct added_row *row, const char *texts, size_t n_texts)
{
    return row->id < VOCAB_IDS_MAX && row->size <= ADDED_SIZE_MAX && row->at <= n_texts &&
           row->size <= n_texts - row->at && text_is_utf8(texts + row->at, row->size, NULL);
}

static int take_rows(struct added *made, const struct added_row *rows, size_t n, const char *texts,
                     size_t n_texts, struct err *err)
{
    if (n > ADDED_MAX) {
        return err_set(err, ERR_LIMIT, "more than %d tokens", ADDED_MAX);
    }
    made->tokens = mem_array(n, sizeof *made->tokens);
    for (size_t i = 0; i < n; i++) {
        if (!is_sound(&rows[i], texts, n_texts) || (i > 0 && rows[i].id <= rows[i - 1].id)) {
            return err_set(err, ERR_FORMAT, "entry %zu is damaged", i);
        }
        made->tokens[i] = (struct added_token){
            .id = rows[i].id,
            .content = texts + rows[i].at,
            .size = rows[i].size,
            .single_word = (rows[i].flags & (uint32_t)ADDED_SINGLE_WORD) != 0,
            .lstrip = (rows[i].flags & (uint32_t)ADDED_LSTRIP) != 0,
            .rstrip = (rows[i].flags & (uint32_t)ADDED_RSTRIP) != 0,
            .normalized = (rows[i].flags & (uint32_t)ADDED_NORMALIZED) != 0,
            .special = (rows[i].flags & (uint32_t)ADDED_SPECIAL) != 0,
        };
        made->n++;
    }
    return 0;
}

int added_new(struct added **out, const struct added_row *rows, size_t n, const char *texts,
              size_t n_texts, struct normalizer *normalizer, struct err *err)
{
    struct added *made = mem_alloc(sizeof *made);
    int rc = take_rows(made, rows, n, texts, n_texts, err);

    for (size_t i = 0; rc == 0 && i < made->n; i++) {
        rc = index_token(made, i, normalizer, err);
    }
    if (rc != 0) {
        added_free(made);
        return err_wrap(err, "added_tokens");
    }
    *out = made;
    return 0;
}

void added_free(struct added *added)
{
    if (added == NULL) {
        return;
    }
    free(added->tokens);
    free(added->sets[0].nodes);
    free(added->sets[1].nodes);
    free(added);
}

const struct added_token *added_tokens(const struct added *added, size_t *n)
{
    *n = added->n;
    return added->tokens;
}

const struct added_token *added_by_id(const struct added *added, uint32_t id)
{
    const struct added_token key = {.id = id};

    return added->n == 0 ? NULL
                         : bsearch(&key, added->tokens, added->n, sizeof *added->tokens, by_id);
}

const struct added_token *added_by_content(const struct added *added, const char *content,
                                           size_t size)
{
    for (size_t i = 0; i < added->n; i++) {
        const struct added_token *token = &added->tokens[i];

        if (token->size == size && memcmp(token->content, content, size) == 0) {
            return token;
        }
    }
    return NULL;
}
