/*
 * deviation.h - spread of task vectors, and of what is merged from them.
 *
 * Averaging task vectors that share little shrinks them: of K independent ones the mean has a
 * K^0.5-th of their standard deviation. The correction scales the merged vector back to the mean
 * deviation of its parents' task vectors, taken over the tensor; lambda is applied after it. It is
 * in the spirit of variance corrections for averaged weights, e.g. Jordan et al. 2023
 * (arXiv:2211.08403), on task vectors in place of activations.
 */
#ifndef MERGE_DEVIATION_H
#define MERGE_DEVIATION_H

#include "evaluator/merge/mix.h"

/* Standard deviation of a source's task vector, over all elements of the tensor. One pass. */
double deviation_of(const struct mix *mix, size_t source);

/* Multiply the block's lambda by the correction when the parameter match_std asks for it. Called
 * last in prepare: the tensor is mixed once more to see how far it spreads. */
void deviation_match(struct mix *mix);

#endif
