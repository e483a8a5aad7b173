/*
 * tokens.c - a tokenizer on two pipes, for comparison with others.
 *
 *   tokens FOLDER
 *   encode 48656c6c6f          ->  15496            text in hexadecimal, ids in decimal
 *   encode-special 48656c6c6f  ->  1 15496
 *   decode 15496               ->  48656c6c6f
 *   decode-special 1 15496     ->  3c733e48656c6c6f
 *
 * One line out for each line in. A failure is one line that begins with "error: ".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evaluator/model/tokenizer.h"

static void show_hex(const struct text *text)
{
    for (size_t i = 0; i < text->size; i++) {
        printf("%02x", (unsigned char)text->data[i]);
    }
}

static void from_hex(struct text *out, const char *hex)
{
    unsigned byte = 0;

    for (; sscanf(hex, "%2x", &byte) == 1; hex += 2) {
        text_add_char(out, (char)byte);
    }
}

static int encode(struct tokenizer *tokenizer, const char *hex, enum tokenizer_special special,
                  struct err *err)
{
    struct text text = {0};
    struct tokens ids = {0};

    from_hex(&text, hex);
    const int rc = tokenizer_encode(tokenizer, text_get(&text), text.size, special, &ids, err);
    for (size_t i = 0; i < ids.n; i++) {
        printf("%s%u", i > 0 ? " " : "", ids.ids[i]);
    }
    tokens_release(&ids);
    text_release(&text);
    return rc;
}

static int decode(struct tokenizer *tokenizer, const char *list, enum tokenizer_special special,
                  struct err *err)
{
    struct text text = {0};
    struct tokens ids = {0};

    for (char *end = NULL;; list = end) {
        const unsigned long id = strtoul(list, &end, 10);

        if (end == list) {
            break;
        }
        tokens_add(&ids, (uint32_t)id);
    }
    const int rc = tokenizer_decode(tokenizer, ids.ids, ids.n, special, &text, err);
    show_hex(&text);
    tokens_release(&ids);
    text_release(&text);
    return rc;
}

static int answer(struct tokenizer *tokenizer, char *line, struct err *err)
{
    char *rest = line + strcspn(line, " \n");
    const bool more = *rest == ' ';

    *rest = '\0';
    rest += more;
    if (strcmp(line, "encode") == 0) {
        return encode(tokenizer, rest, TOKENIZER_PLAIN, err);
    }
    if (strcmp(line, "encode-special") == 0) {
        return encode(tokenizer, rest, TOKENIZER_WITH_SPECIAL, err);
    }
    if (strcmp(line, "decode") == 0) {
        return decode(tokenizer, rest, TOKENIZER_PLAIN, err);
    }
    if (strcmp(line, "decode-special") == 0) {
        return decode(tokenizer, rest, TOKENIZER_WITH_SPECIAL, err);
    }
    return err_set(err, ERR_FORMAT, "unknown request \"%s\"", line);
}

int main(int argc, char **argv)
{
    struct tokenizer *tokenizer = NULL;
    struct err err = {0};
    char *line = NULL;
    size_t capacity = 0;

    if (argc != 2 || tokenizer_open(&tokenizer, argv[1], &err) != 0) {
        fprintf(stderr, "%s\n", argc != 2 ? "usage: tokens FOLDER" : err.text);
        return 1;
    }
    while (getline(&line, &capacity, stdin) >= 0) {
        if (answer(tokenizer, line, &err) != 0) {
            printf("error: %s", err.text);
        }
        printf("\n");
        fflush(stdout);
    }
    free(line);
    tokenizer_close(tokenizer);
    return 0;
}
