/*
 * normalize.c - a list of steps, each text in, text out.
 */
#include "evaluator/model/normalize.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/mem.h"
#include "evaluator/model/pattern.h"
#include "evaluator/model/steps.h"
#include "evaluator/model/unicode.h"

enum kind { NORMAL_FORM, LOWERCASE, STRIP, PREPEND, REPLACE };

struct step {
    enum kind kind;
    utf8proc_option_t form; /* NORMAL_FORM */
    bool left, right;       /* STRIP */
    char *content;          /* PREPEND, REPLACE */
    struct pattern pattern; /* REPLACE */
};

struct normalizer {
    size_t n;
    struct step *steps; /* [n] */
    struct text scratch;
};

static const struct {
    const char *type;
    utf8proc_option_t options;
} forms[] = {
    {"NFC", UTF8PROC_STABLE | UTF8PROC_COMPOSE},
    {"NFD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE},
    {"NFKC", UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT},
    {"NFKD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT},
};

static int parse_strip(struct step *step, const json_t *json, struct err *err)
{
    step->kind = STRIP;
    int rc = doc_bool_or(json, "strip_left", true, &step->left, err);
    if (rc == 0) {
        rc = doc_bool_or(json, "strip_right", true, &step->right, err);
    }
    return rc;
}

static int parse_replace(struct step *step, const json_t *json, struct err *err)
{
    const char *content = NULL;

    step->kind = REPLACE;
    int rc = doc_text(json, "content", &content, err);
    if (rc == 0) {
        rc = pattern_parse(&step->pattern, json, "Replace", err);
    }
    if (rc == 0) {
        step->content = mem_text(content);
    }
    return rc;
}

static int parse_step(struct step *step, const json_t *json, const char *type, struct err *err)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (strcmp(type, forms[i].type) == 0) {
            step->kind = NORMAL_FORM;
            step->form = forms[i].options;
            return 0;
        }
    }
    if (strcmp(type, "Lowercase") == 0) {
        step->kind = LOWERCASE;
        return 0;
    }
    if (strcmp(type, "Strip") == 0) {
        return parse_strip(step, json, err);
    }
    if (strcmp(type, "Replace") == 0) {
        return parse_replace(step, json, err);
    }
    if (strcmp(type, "Prepend") == 0) {
        const char *content = NULL;
        const int rc = doc_text(json, "prepend", &content, err);

        step->kind = PREPEND;
        step->content = rc == 0 ? mem_text(content) : NULL;
        return rc;
    }
    return err_set(err, ERR_FORMAT, "type %s is not supported", type);
}

static int add_step(void *context, const json_t *json, const char *type, struct err *err)
{
    struct normalizer *made = context;

    made->steps = mem_resize(made->steps, made->n + 1, sizeof *made->steps);
    made->steps[made->n] = (struct step){0};
    return parse_step(&made->steps[made->n++], json, type, err);
}

int normalizer_parse(struct normalizer **out, const json_t *json, struct err *err)
{
    struct normalizer *made = mem_alloc(sizeof *made);

    if (steps_read(json, "normalizers", add_step, made, err) != 0) {
        normalizer_free(made);
        return err_wrap(err, "normalizer");
    }
    *out = made;
    return 0;
}

void normalizer_free(struct normalizer *normalizer)
{
    if (normalizer == NULL) {
        return;
    }
    for (size_t i = 0; i < normalizer->n; i++) {
        free(normalizer->steps[i].content);
        pattern_release(&normalizer->steps[i].pattern);
    }
    free(normalizer->steps);
    text_release(&normalizer->scratch);
    free(normalizer);
}

static bool is_ascii(const char *text, size_t n)
{
    unsigned char seen = 0;

    for (size_t i = 0; i < n; i++) {
        seen |= (unsigned char)text[i];
    }
    return seen < 0x80;
}

static int normal_form(struct text *out, const char *text, size_t n, utf8proc_option_t form,
                       struct err *err)
{
    utf8proc_uint8_t *made = NULL;

    if (is_ascii(text, n)) { /* its own normal form, in all four */
        text_add_n(out, text, n);
        return 0;
    }
    const utf8proc_ssize_t size =
        utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)n, &made, form);

    if (size < 0) {
        return err_set(err, size == UTF8PROC_ERROR_NOMEM ? ERR_MEMORY : ERR_FORMAT,
                       "normal form: %s", utf8proc_errmsg(size));
    }
    text_add_n(out, (const char *)made, (size_t)size);
    free(made);
    return 0;
}

static void lowercase(struct text *out, const char *text, size_t n)
{
    size_t at = 0;

    while (at < n) {
        uint32_t code = 0;
        char bytes[4];

        at += unicode_next(text + at, n - at, &code);
        if (code == 0x130) { /* the only letter whose lower case is two code points */
            text_add(out, "i\xCC\x87");
        } else {
            const uint32_t lower = (uint32_t)utf8proc_tolower((utf8proc_int32_t)code);

            text_add_n(out, bytes, unicode_put(bytes, lower));
        }
    }
}

static void strip(struct text *out, const char *text, size_t n, bool left, bool right)
{
    uint32_t code = 0;

    while (left && n > 0) {
        const size_t size = unicode_next(text, n, &code);

        if (!unicode_is_space(code)) {
            break;
        }
        text += size;
        n -= size;
    }
    while (right && n > 0) {
        const size_t at = unicode_last(text, n);

        unicode_next(text + at, n - at, &code);
        if (!unicode_is_space(code)) {
            break;
        }
        n = at;
    }
    text_add_n(out, text, n);
}

static int run_step(const struct step *step, const char *text, size_t n, struct text *out,
                    struct err *err)
{
    switch (step->kind) {
    case NORMAL_FORM:
        return normal_form(out, text, n, step->form, err);
    case LOWERCASE:
        lowercase(out, text, n);
        return 0;
    case STRIP:
        strip(out, text, n, step->left, step->right);
        return 0;
    case PREPEND:
        if (n > 0) {
            text_add(out, step->content);
            text_add_n(out, text, n);
        }
        return 0;
    case REPLACE:
        return pattern_replace(&step->pattern, text, n, step->content, out, err);
    }
    return 0;
}

int normalizer_run(struct normalizer *normalizer, const char *text, size_t n, struct text *out,
                   struct err *err)
{
    struct text current = {0};
    int rc = 0;

    if (normalizer->n == 0) {
        text_add_n(out, text, n);
        return 0;
    }
    text_add_n(&current, text, n);
    for (size_t i = 0; rc == 0 && i < normalizer->n; i++) {
        struct text *scratch = &normalizer->scratch;

        text_clear(scratch);
        rc = run_step(&normalizer->steps[i], text_get(&current), current.size, scratch, err);
        if (rc == 0 && scratch->size > PATTERN_GROWTH_MAX(n)) {
            rc = err_set(err, ERR_LIMIT, "normalizer: %zu bytes become %zu", n, scratch->size);
        }

        const struct text swapped = current;

        current = *scratch;
        *scratch = swapped;
    }
    if (rc == 0) {
        text_add_n(out, text_get(&current), current.size);
    }
    text_release(&current);
    return rc;
}
