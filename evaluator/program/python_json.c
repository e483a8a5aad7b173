/*
 * python_json.c - bare words to null, strings passed over.
 */
#include "evaluator/program/python_json.h"

#include <stdbool.h>
#include <string.h>

/* Bytes of the bare word at bytes [n], 0 when there is none. */
static size_t bare_word(const char *bytes, size_t n)
{
    static const char *const words[] = {"NaN", "Infinity", "-Infinity"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const size_t size = strlen(words[i]);

        if (size <= n && memcmp(bytes, words[i], size) == 0) {
            return size;
        }
    }
    return 0;
}

void python_json_plain(struct text *out, const char *bytes, size_t n)
{
    bool in_string = false;
    size_t kept = 0; /* bytes before it are in out */

    for (size_t i = 0; i < n; i++) {
        if (bytes[i] == '"') {
            in_string = !in_string;
        } else if (in_string && bytes[i] == '\\') {
            i++;
        } else if (!in_string) {
            const size_t word = bare_word(bytes + i, n - i);

            if (word > 0) {
                text_add_n(out, bytes + kept, i - kept);
                text_add(out, "null");
                kept = i + word;
                i = kept - 1;
            }
        }
    }
    text_add_n(out, bytes + kept, n - kept);
}
