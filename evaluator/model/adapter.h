/*
 * adapter.h - a LoRA adapter folder (PEFT's layout), folded into the tensors of its base.
 *
 *   adapter_config.json          r, lora_alpha, ... (adapter_config.h)
 *   adapter_model.safetensors    base_model.model.<module>.lora_A.weight   [r, inputs]
 *                                base_model.model.<module>.lora_B.weight   [outputs, r]
 *                                base_model.model.<module>.lora_embedding_A   [r, tokens]
 *                                base_model.model.<module>.lora_embedding_B   [width, r]
 *                                base_model.model.<module>.weight   a whole tensor that replaces
 *                                                                   the base's (modules_to_save)
 *
 *   W <- round(W + scale * B A)                       linear
 *   W <- round(W + scale * (B A)^T)                   embedding, and linear with fan_in_fan_out
 *
 * computed in float, row by row in a fixed order, and rounded once to the type that W is stored in:
 * the numbers of a checkpoint that was merged and saved. LoRA: Hu et al. 2021 (arXiv:2106.09685).
 */
#ifndef MODEL_ADAPTER_H
#define MODEL_ADAPTER_H

#include <stddef.h>

#include "base/err.h"
#include "evaluator/model/checkpoint.h"

struct adapter;

/*
 * Open the folder and fold it into tensors [n], those of the base, sorted by name. Tensors it
 * changes get the new numbers: their data then lie in a temporary file (base/scratch.h) that lives
 * until adapter_close. Memory beside it: the matrices of one module as floats, and two rows.
 *
 * Errors name the file and the tensor: ERR_MISSING, ERR_FORMAT, ERR_LIMIT, ERR_IO; ERR_CONFLICT
 * for an adapter of another base, whose modules or shapes are not the base's; ERR_NUMERIC for a
 * number in it that is not finite. On failure tensors are as they were.
 */
int adapter_fold(struct adapter **out, const char *folder, struct checkpoint_tensor *tensors,
                 size_t n, struct err *err);
void adapter_close(struct adapter *adapter); /* NULL is fine */

/* 0 when its file is still the one that was folded; else ERR_CONFLICT. */
int adapter_unchanged(const struct adapter *adapter, struct err *err);

#endif
