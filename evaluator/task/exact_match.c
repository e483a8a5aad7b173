/*
 * exact_match.c - options read, and texts without what they ignore.
 */
#include "evaluator/task/exact_match.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "evaluator/model/letter_case.h"
#include "evaluator/task/strings.h"

#define DIGITS "0123456789"
#define PUNCTUATION "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"

static int read_regexes(struct exact_match *made, const json_t *json, struct err *err)
{
    struct strings patterns = {0};

    if (json_object_get(json, "regexes_to_ignore") == NULL) {
        return 0;
    }
    int rc = strings_read(&patterns, json, "regexes_to_ignore", EXACT_MATCH_REGEXES_MAX, err);

    made->ignored = mem_array(patterns.n, sizeof(struct regex *));
    for (size_t i = 0; rc == 0 && i < patterns.n; i++) {
        rc = regex_compile_python(&made->ignored[made->n_ignored++], patterns.all[i], err);
        if (rc != 0) {
            rc = err_wrap(err, "regexes_to_ignore: entry %zu", i);
        }
    }
    strings_release(&patterns);
    return rc;
}

int exact_match_read(struct exact_match *out, const json_t *json, struct err *err)
{
    static const char *const known[] = {"regexes_to_ignore", "ignore_case", "ignore_punctuation",
                                        "ignore_numbers"};
    struct exact_match made = {0};

    int rc = doc_only(json, known, sizeof known / sizeof *known, err);
    if (rc == 0) {
        rc = doc_bool_or(json, "ignore_case", false, &made.ignore_case, err);
    }
    if (rc == 0) {
        rc = doc_bool_or(json, "ignore_punctuation", false, &made.ignore_punctuation, err);
    }
    if (rc == 0) {
        rc = doc_bool_or(json, "ignore_numbers", false, &made.ignore_numbers, err);
    }
    if (rc == 0) {
        rc = read_regexes(&made, json, err);
    }
    if (rc != 0) {
        exact_match_release(&made);
        return err_wrap(err, "exact_match");
    }
    made.json = json_deep_copy(json);
    *out = made;
    return 0;
}

void exact_match_release(struct exact_match *match)
{
    for (size_t i = 0; i < match->n_ignored; i++) {
        regex_free(match->ignored[i]);
    }
    free(match->ignored);
    json_decref(match->json);
    *match = (struct exact_match){0};
}

bool exact_match_is_strict(const struct exact_match *match)
{
    return match->n_ignored == 0 && !match->ignore_case && !match->ignore_punctuation &&
           !match->ignore_numbers;
}

/* re.sub(pattern, "", text) */
static int drop_matches(struct regex *regex, struct text *text, struct err *err)
{
    struct regex_place place = {0};
    struct text left = {0};
    size_t kept = 0; /* bytes of text that are dealt with */
    bool found = true;
    int rc = 0;

    while (rc == 0 && found) {
        size_t begin = 0;
        size_t end = 0;

        rc = regex_walk(regex, text_get(text), text->size, &place, &found, err);
        if (rc == 0 && found) {
            regex_group(regex, 0, &begin, &end);
            text_add_n(&left, text_get(text) + kept, begin - kept);
            kept = end;
        }
    }
    text_add_n(&left, text_get(text) + kept, text->size - kept);
    text_release(text);
    *text = left;
    return rc;
}

static void drop_characters(struct text *text, const char *characters)
{
    size_t kept = 0;

    for (size_t i = 0; i < text->size; i++) {
        if (strchr(characters, text->data[i]) == NULL) {
            text->data[kept++] = text->data[i];
        }
    }
    if (text->data != NULL) {
        text->size = kept;
        text->data[kept] = '\0';
    }
}

static int normalize(const struct exact_match *match, struct text *text, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < match->n_ignored; i++) {
        rc = drop_matches(match->ignored[i], text, err);
    }
    if (match->ignore_case) {
        struct text lower = {0};

        letter_case_add_lower(&lower, text_get(text), text->size);
        text_release(text);
        *text = lower;
    }
    if (match->ignore_punctuation) {
        drop_characters(text, PUNCTUATION);
    }
    if (match->ignore_numbers) {
        drop_characters(text, DIGITS);
    }
    return rc;
}

int exact_match_equal(const struct exact_match *match, const char *text, const char *answer,
                      bool *out, struct err *err)
{
    struct text a = {0};
    struct text b = {0};

    text_add(&a, text);
    text_add(&b, answer);
    int rc = normalize(match, &a, err);
    if (rc == 0) {
        rc = normalize(match, &b, err);
    }
    if (rc == 0) {
        *out = strcmp(text_get(&a), text_get(&b)) == 0;
    }
    text_release(&a);
    text_release(&b);
    return rc;
}
