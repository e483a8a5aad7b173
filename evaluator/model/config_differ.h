/*
 * config_differ.h - where two models of equal shapes would run differently.
 *
 * Tensors that fit together can come from models that do other things with them: a context extended
 * by a larger rotary base, another epsilon, a window. A merge runs as its donor does, so what the
 * other sources were trained with is worth a line.
 */
#ifndef MODEL_CONFIG_DIFFER_H
#define MODEL_CONFIG_DIFFER_H

#include <stddef.h>

#include "base/text.h"
#include "evaluator/model/config.h"

/* Append what acts on the same tensors otherwise, "rope theta 1e+06 against 10000, window 4096
 * against none"; the number of such things. Shapes, vocabulary and stored types are not looked at.
 */
size_t config_differences(const struct config *model, const struct config *against,
                          struct text *out);

#endif
