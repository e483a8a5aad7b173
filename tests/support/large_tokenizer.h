/*
 * large_tokenizer.h - a tokenizer.json of any size, and text for it: byte-level, Llama 3's pattern,
 * whole words first; words and merges are drawn.
 */
#ifndef TESTS_LARGE_TOKENIZER_H
#define TESTS_LARGE_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

/* Append a tokenizer.json with n_words in its vocabulary, the 256 bytes among them, each other one
 * the result of at least one merge. */
void large_tokenizer_print(struct text *out, size_t n_words, uint64_t seed);

/* Append at least n bytes of text: words of few and of many tokens, numbers, marks, some of another
 * script. */
void large_tokenizer_text(struct text *out, size_t n, uint64_t seed);

#endif
