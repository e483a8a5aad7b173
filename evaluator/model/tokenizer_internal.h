/*
 * tokenizer_internal.h - what a tokenizer is made of: tokenizer.c and tokenizer_open.c only.
 */
#ifndef MODEL_TOKENIZER_INTERNAL_H
#define MODEL_TOKENIZER_INTERNAL_H

#include <stddef.h>

#include "base/file.h"
#include "base/text.h"
#include "evaluator/model/added.h"
#include "evaluator/model/bpe.h"
#include "evaluator/model/decode.h"
#include "evaluator/model/normalize.h"
#include "evaluator/model/pretokenize.h"
#include "evaluator/model/surround.h"
#include "evaluator/model/tokenizer_config.h"

struct tokenizer {
    struct file_map kept; /* the image, of the cache */
    struct text compiled; /* or made just now */

    struct normalizer *normalizer;
    struct pretokenizer *pretokenizer;
    struct bpe *bpe;
    struct added *added;
    struct decoder *decoder;
    struct surround surround; /* what goes around a text */
    struct tokenizer_config config;
    struct text normalizer_text, pretokenizer_text; /* canonical, for comparison */
    size_t size;                                    /* highest id + 1 */
    size_t rows;                                    /* ids below it can be used */

    struct text normal;  /* scratch of one piece */
    struct pieces words; /* scratch of one piece */
};

#endif
