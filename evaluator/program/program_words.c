/*
 * program_words.c - {name} to value, in words and in the environment.
 */
#include "evaluator/program/program_words.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"

#define VARIABLE "BRAID_"

extern char **environ; /* POSIX leaves it to us */

static const char *const names[PROGRAM_NAMES] = {
    [PROGRAM_MODEL_DIR] = "model_dir", [PROGRAM_OUT_DIR] = "out_dir",
    [PROGRAM_CANDIDATE] = "candidate", [PROGRAM_LIMIT] = "limit",
    [PROGRAM_SEED] = "seed",           [PROGRAM_DEVICE] = "device",
    [PROGRAM_SPLIT] = "split"};

/* ---- names in braces ---- */

/* Bytes of a {name} at text, of letters and underscores alone; 0 when there is none. */
static size_t braced(const char *text)
{
    if (*text != '{') {
        return 0;
    }
    const size_t n = strspn(text + 1, "abcdefghijklmnopqrstuvwxyz_");

    return n > 0 && text[1 + n] == '}' ? n + 2 : 0;
}

/* Which name it is, PROGRAM_NAMES when none. */
static int name_of(const char *text, size_t n)
{
    for (int i = 0; i < PROGRAM_NAMES; i++) {
        if (n == strlen(names[i]) + 2 && strncmp(text + 1, names[i], n - 2) == 0) {
            return i;
        }
    }
    return PROGRAM_NAMES;
}

int program_word_check(const char *word, struct err *err)
{
    for (const char *at = word; *at != '\0'; at++) {
        const size_t n = braced(at);

        if (n > 0 && name_of(at, n) == PROGRAM_NAMES) {
            char *name = mem_text_n(at + 1, n - 2);
            const char *nearest = text_nearest(name, names, PROGRAM_NAMES);

            free(name);
            if (nearest != NULL) {
                return err_set(err, ERR_FORMAT, "command: %.*s is not known; did you mean {%s}?",
                               (int)(n < 64 ? n : 64), at, nearest);
            }
        }
    }
    return 0;
}

bool program_words_have(const struct strings *words, int name)
{
    for (size_t i = 0; i < words->n; i++) {
        for (const char *at = words->all[i]; *at != '\0'; at++) {
            const size_t n = braced(at);

            if (n > 0 && name_of(at, n) == name) {
                return true;
            }
        }
    }
    return false;
}

/* ---- filled in ---- */

static char *fill(const char *word, const char *const *values)
{
    struct text text = {0};

    for (const char *at = word; *at != '\0';) {
        const size_t n = braced(at);
        const int name = n > 0 ? name_of(at, n) : PROGRAM_NAMES;

        if (name < PROGRAM_NAMES) {
            text_add(&text, values[name]);
            at += n;
        } else {
            text_add_char(&text, *at++);
        }
    }
    char *filled = mem_text(text_get(&text));

    text_release(&text);
    return filled;
}

char **program_words_fill(const struct strings *words, const char *const *values)
{
    char **list = mem_array(words->n + 1, sizeof(char *));

    for (size_t i = 0; i < words->n; i++) {
        list[i] = fill(words->all[i], values);
    }
    return list;
}

/* BRAID_MODEL_DIR=value */
static char *variable(int name, const char *value)
{
    char *made = mem_printf(VARIABLE "%s=%s", names[name], value);

    for (char *at = made; *at != '='; at++) {
        *at = (char)toupper((unsigned char)*at);
    }
    return made;
}

/* True when an entry of the environment is one of those that we set. */
static bool is_replaced(const char *entry, char *const *ours)
{
    const size_t n = strcspn(entry, "=") + 1;

    for (size_t i = 0; i < PROGRAM_NAMES; i++) {
        if (strncmp(entry, ours[i], n) == 0) {
            return true;
        }
    }
    return false;
}

char **program_words_environ(const char *const *values)
{
    size_t n = 0;

    while (environ[n] != NULL) {
        n++;
    }
    char **list = mem_array(PROGRAM_NAMES + n + 1, sizeof(char *));
    size_t kept = PROGRAM_NAMES;

    for (int i = 0; i < PROGRAM_NAMES; i++) {
        list[i] = variable(i, values[i]);
    }
    for (size_t i = 0; i < n; i++) {
        if (!is_replaced(environ[i], list)) {
            list[kept++] = mem_text(environ[i]);
        }
    }
    return list;
}

void program_words_free(char **list)
{
    for (size_t i = 0; list != NULL && list[i] != NULL; i++) {
        free(list[i]);
    }
    free(list);
}
