/*
 * filter.c - steps read, and carried out one after the other.
 */
#include "evaluator/task/filter.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "evaluator/model/letter_case.h"
#include "evaluator/model/unicode.h"

#define NAME_MAX_BYTES 128
#define NO_MATCH "[invalid]" /* the harness's */

/* ---- reading ---- */

static int read_word(struct filter_step *made, const char *word, struct err *err)
{
    static const struct {
        const char *word;
        enum filter_kind kind;
    } known[] = {{"take_first", FILTER_NOTHING},
                 {"majority_vote", FILTER_NOTHING},
                 {"remove_whitespace", FILTER_REMOVE_WHITESPACE},
                 {"lowercase", FILTER_LOWERCASE},
                 {"uppercase", FILTER_UPPERCASE}};

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(word, known[i].word) == 0) {
            made->kind = known[i].kind;
            return 0;
        }
    }
    return err_set(err, ERR_FORMAT,
                   "\"%.64s\" is not take_first, majority_vote, remove_whitespace, lowercase, "
                   "uppercase, nor a regex, a map or take_first_k",
                   word);
}

static int read_regex(struct filter_step *made, const json_t *json, struct err *err)
{
    static const char *const known[] = {"regex", "group_select", "fallback"};
    const char *pattern = NULL;
    const char *fallback = NULL;

    int rc = doc_only(json, known, sizeof known / sizeof *known, err);
    if (rc == 0) {
        rc = doc_text(json, "regex", &pattern, err);
    }
    if (rc == 0) {
        rc =
            doc_integer_or(json, "group_select", INT32_MIN, INT32_MAX, 0, &made->group_select, err);
    }
    if (rc == 0) {
        rc = doc_text_or(json, "fallback", NO_MATCH, &fallback, err);
    }
    if (rc == 0) {
        rc = regex_compile_python(&made->regex, pattern, err);
    }
    if (rc == 0) {
        made->kind = FILTER_REGEX;
        made->fallback = mem_text(fallback);
    }
    return rc;
}

static int read_map(struct filter_step *made, const json_t *json, struct err *err)
{
    static const char *const known[] = {"map", "default"};
    const char *fallback = NULL;
    const char *key = NULL;
    json_t *map = NULL;
    json_t *value = NULL;

    int rc = doc_only(json, known, sizeof known / sizeof *known, err);
    if (rc == 0) {
        rc = doc_object(json, "map", &map, err);
    }
    if (rc == 0) {
        rc = doc_text_or(json, "default", "", &fallback, err);
    }
    if (rc != 0) {
        return rc;
    }
    json_object_foreach(map, key, value)
    {
        if (!json_is_string(value)) {
            return err_set(err, ERR_FORMAT, "map: %.64s: expected a text, got %s", key,
                           doc_kind(value));
        }
    }
    made->kind = FILTER_MAP;
    made->map = json_incref(map);
    made->fallback = mem_text(fallback);
    return 0;
}

static int read_step(struct filter_step *made, const json_t *json, struct err *err)
{
    static const char *const first_k[] = {"take_first_k"};
    int64_t k = 0;

    if (json_is_string(json)) {
        return read_word(made, json_string_value(json), err);
    }
    if (json_object_get(json, "regex") != NULL) {
        return read_regex(made, json, err);
    }
    if (json_object_get(json, "map") != NULL) {
        return read_map(made, json, err);
    }
    const int rc = doc_only(json, first_k, 1, err);

    return rc == 0 ? doc_integer(json, "take_first_k", 1, INT32_MAX, &k, err) : rc;
}

static int read_steps(struct filter *made, const json_t *json, struct err *err)
{
    json_t *steps = NULL;
    int rc = doc_array(json, "steps", &steps, err);

    if (rc == 0 && json_array_size(steps) > FILTER_STEPS_MAX) {
        rc = err_set(err, ERR_LIMIT, "steps: %zu, at most %zu", json_array_size(steps),
                     FILTER_STEPS_MAX);
    }
    if (rc != 0) {
        return rc;
    }
    made->steps = mem_array(json_array_size(steps), sizeof *made->steps);
    for (size_t i = 0; rc == 0 && i < json_array_size(steps); i++) {
        rc = read_step(&made->steps[made->n_steps++], json_array_get(steps, i), err);
        if (rc != 0) {
            rc = err_wrap(err, "step %zu", i);
        }
    }
    return rc;
}

int filter_read(struct filter *out, const json_t *json, struct err *err)
{
    static const char *const known[] = {"name", "steps"};
    struct filter made = {0};
    const char *name = NULL;

    int rc = doc_only(json, known, sizeof known / sizeof *known, err);
    if (rc == 0) {
        rc = doc_text(json, "name", &name, err);
    }
    if (rc == 0 && (*name == '\0' || strlen(name) > NAME_MAX_BYTES || strchr(name, ',') != NULL)) {
        rc = err_set(err, ERR_FORMAT, "name: 1 to %d bytes without a comma", NAME_MAX_BYTES);
    }
    if (rc == 0) {
        rc = read_steps(&made, json, err);
    }
    if (rc != 0) {
        filter_release(&made);
        return name != NULL ? err_wrap(err, "filter %.64s", name) : rc;
    }
    made.name = mem_text(name);
    made.column = mem_printf("exact_match,%s", name);
    made.json = json_deep_copy(json);
    *out = made;
    return 0;
}

void filter_release(struct filter *filter)
{
    for (size_t i = 0; i < filter->n_steps; i++) {
        regex_free(filter->steps[i].regex);
        json_decref(filter->steps[i].map);
        free(filter->steps[i].fallback);
    }
    free(filter->steps);
    free(filter->name);
    free(filter->column);
    json_decref(filter->json);
    *filter = (struct filter){0};
}

/* ---- applying ---- */

/* A piece of a text; text NULL: none. */
struct piece {
    const char *text;
    size_t n;
};

/* str.strip */
static struct piece strip(struct piece piece)
{
    uint32_t code = 0;

    while (piece.n > 0) {
        const size_t size = unicode_next(piece.text, piece.n, &code);

        if (!unicode_is_python_space(code)) {
            break;
        }
        piece.text += size;
        piece.n -= size;
    }
    while (piece.n > 0) {
        const size_t last = unicode_last(piece.text, piece.n);

        unicode_next(piece.text + last, piece.n - last, &code);
        if (!unicode_is_python_space(code)) {
            break;
        }
        piece.n = last;
    }
    return piece;
}

/* What a match stands for: itself, its group, or of several groups the first not empty. */
static struct piece taken(const struct regex *regex, const char *text)
{
    const size_t groups = regex_groups(regex);
    struct piece found = {0};

    for (size_t g = groups > 0 ? 1 : 0; g <= groups && found.n == 0; g++) {
        size_t begin = 0;
        size_t end = 0;

        if (regex_group(regex, g, &begin, &end) || groups <= 1) {
            found = (struct piece){text + begin, end - begin};
        }
    }
    return groups > 1 && found.n == 0 ? (struct piece){0} : found;
}

static int find(const struct filter_step *step, const struct text *text, struct piece *out,
                struct err *err)
{
    struct regex_place place = {0};
    struct piece *all = NULL;
    size_t n = 0;
    bool found = true;
    int rc = 0;

    while (rc == 0 && found) {
        rc = regex_walk(step->regex, text_get(text), text->size, &place, &found, err);
        if (rc == 0 && found) {
            all = mem_resize(all, n + 1, sizeof *all);
            all[n++] = taken(step->regex, text_get(text));
        }
    }
    const int64_t at =
        step->group_select < 0 ? (int64_t)n + step->group_select : step->group_select;

    *out = rc == 0 && at >= 0 && at < (int64_t)n ? all[at] : (struct piece){0};
    free(all);
    return rc;
}

/* *text becomes what the step makes of it. */
static int apply_step(const struct filter_step *step, struct text *text, struct err *err)
{
    const char *mapped = NULL;
    struct text made = {0};
    struct piece piece = {0};
    int rc = 0;

    switch (step->kind) {
    case FILTER_NOTHING:
        return 0;
    case FILTER_REGEX:
        rc = find(step, text, &piece, err);
        piece = strip(piece.text != NULL ? piece
                                         : (struct piece){step->fallback, strlen(step->fallback)});
        text_add_n(&made, piece.text, piece.n);
        break;
    case FILTER_MAP:
        mapped = json_string_value(json_object_get(step->map, text_get(text)));
        text_add(&made, mapped != NULL ? mapped : step->fallback);
        break;
    case FILTER_REMOVE_WHITESPACE:
        text_add(&made, text_get(text) + (*text_get(text) == ' '));
        break;
    case FILTER_LOWERCASE:
        letter_case_add_lower(&made, text_get(text), text->size);
        break;
    case FILTER_UPPERCASE:
        letter_case_add_upper(&made, text_get(text), text->size);
        break;
    }
    text_release(text);
    *text = made;
    return rc;
}

int filter_apply(const struct filter *filter, const char *text, struct text *out, struct err *err)
{
    int rc = 0;

    text_clear(out);
    text_add(out, text);
    for (size_t i = 0; rc == 0 && i < filter->n_steps; i++) {
        rc = apply_step(&filter->steps[i], out, err);
    }
    return rc == 0 ? 0 : err_wrap(err, "filter %s", filter->name);
}
