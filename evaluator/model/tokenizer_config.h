/*
 * tokenizer_config.h - what the small files beside tokenizer.json say of special tokens.
 */
#ifndef MODEL_TOKENIZER_CONFIG_H
#define MODEL_TOKENIZER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/doc.h"
#include "base/err.h"
#include "base/text.h"
#include "evaluator/model/tokens.h"

/* All zero: nothing known. */
struct tokenizer_config {
    bool add_bos; /* add_bos_token */
    bool has_bos;
    uint32_t bos;
    struct tokens
        eos; /* tokenizer_config's, then generation_config's, then config's; no id twice */
    struct text remarks; /* a line for each other special token that is no token */
};

enum tokenizer_config_file {
    TOKENIZER_CONFIG_ITSELF,
    TOKENIZER_CONFIG_GENERATION,
    TOKENIZER_CONFIG_MODEL
};
#define TOKENIZER_CONFIG_FILES 3

/* "tokenizer_config.json", "generation_config.json", "config.json". */
const char *tokenizer_config_name(enum tokenizer_config_file file);

/* What these documents, NULL or an object each, say of special tokens: a new object of objects by
 * file name, with a few members each. */
json_t *tokenizer_config_pick(const json_t *const docs[TOKENIZER_CONFIG_FILES]);

/* The id of a special token's text; false when it is in no vocabulary. */
typedef bool tokenizer_config_id(const void *context, const char *text, uint32_t *id);

/*
 * Read what was picked. The beginning of sequence is tokenizer_config's alone where that file
 * exists (it may say null on purpose), else config's bos_token_id. ERR_FORMAT names file and
 * member, and a beginning or end of sequence that is no token.
 */
int tokenizer_config_read(struct tokenizer_config *out, const json_t *picked,
                          tokenizer_config_id *id_of, const void *context, struct err *err);
void tokenizer_config_release(struct tokenizer_config *config);

#endif
