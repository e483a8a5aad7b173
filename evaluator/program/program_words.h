/*
 * program_words.h - the names in braces that a command's words may have, and what stands for them.
 */
#ifndef PROGRAM_PROGRAM_WORDS_H
#define PROGRAM_PROGRAM_WORDS_H

#include <stdbool.h>

#include "base/err.h"
#include "evaluator/task/strings.h"

enum {
    PROGRAM_MODEL_DIR,
    PROGRAM_OUT_DIR,
    PROGRAM_CANDIDATE,
    PROGRAM_LIMIT,
    PROGRAM_SEED,
    PROGRAM_DEVICE,
    PROGRAM_SPLIT,
    PROGRAM_NAMES /* how many */
};

/* ERR_FORMAT: something in braces that is nearly one of the names. Other braces are text. */
int program_word_check(const char *word, struct err *err);

/* True when any word has {name}. */
bool program_words_have(const struct strings *words, int name);

/* NULL-terminated, free() each and the list: the words with values [PROGRAM_NAMES] in place of
 * names; and our environment with BRAID_MODEL_DIR and so on over it. */
char **program_words_fill(const struct strings *words, const char *const *values);
char **program_words_environ(const char *const *values);
void program_words_free(char **list);

#endif
