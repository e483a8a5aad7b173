/*
 * serve_model.h - a model behind HTTP, so that lm-evaluation-harness can score it.
 *
 *   POST /v1/completions   as evaluator/completion.h says
 *   GET  /v1/models, /health
 *   GET  /tokenizer_info   POST /tokenize, /detokenize
 */
#ifndef CLI_SERVE_MODEL_H
#define CLI_SERVE_MODEL_H

#include <stdint.h>

#include "base/err.h"
#include "evaluator/model/numeric.h"

/* Serve the model folder on 127.0.0.1:port (0 picks one) until a signal comes. The address and the
 * harness's command go to standard error. */
int serve_model(const char *folder, uint16_t port, enum numeric numeric, struct err *err);

#endif
