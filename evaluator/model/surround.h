/*
 * surround.h - the `post_processor` of tokenizer.json: what is put around the tokens of a text.
 *
 * ByteLevel, TemplateProcessing and Sequence of them; any other type is refused by name.
 */
#ifndef MODEL_SURROUND_H
#define MODEL_SURROUND_H

#include "base/doc.h"
#include "base/err.h"
#include "evaluator/model/tokens.h"

/* All zero: nothing. */
struct surround {
    struct tokens before, after;
};

/* json may be null (or NULL): nothing. ERR_FORMAT names the type or the member. */
int surround_parse(struct surround *out, const json_t *json, struct err *err);
void surround_release(struct surround *surround);

/* Put an id before all others, unless it is among those before. */
void surround_begin_with(struct surround *surround, uint32_t id);

#endif
