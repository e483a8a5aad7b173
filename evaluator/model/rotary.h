/*
 * rotary.h - the angles of the rotary embedding, with the scalings that published models use.
 */
#ifndef MODEL_ROTARY_H
#define MODEL_ROTARY_H

#include <stddef.h>

#include "evaluator/model/config.h"

/* angles [depths, K]: a row for each place in a sequence, K/2 cosines then K/2 sines. Computed in
 * double. */
void rotary_angles(float *angles, const struct config *config, size_t depths);

/* Radians a place that pair j turns by, j < K/2. Su et al. 2021 (arXiv:2104.09864); linear: Chen et
 * al. 2023 (arXiv:2306.15595); llama3: as the Llama 3.1 release scales long wavelengths. */
double rotary_frequency(const struct config *config, size_t j);

#endif
