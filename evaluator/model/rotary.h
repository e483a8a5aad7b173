/*
 * rotary.h - the angles of the rotary embedding, with the scalings that published models use.
 */
#ifndef MODEL_ROTARY_H
#define MODEL_ROTARY_H

#include <stddef.h>

#include "evaluator/model/config.h"

/* angles [depths, R]: a row for each place in a sequence, R/2 cosines then R/2 sines, both times
 * the scaling's attention factor; R = rotary_width(config). Computed in double. */
void rotary_angles(float *angles, const struct config *config, const struct config_rope *rope,
                   size_t depths);

/* Elements of a head that turn. */
size_t rotary_width(const struct config *config);

/* Radians a place that pair j turns by, j < R/2. Su et al. 2021 (arXiv:2104.09864); linear: Chen et
 * al. 2023 (arXiv:2306.15595); llama3: as the Llama 3.1 release scales long wavelengths; yarn: Peng
 * et al. 2023 (arXiv:2309.00071); longrope: Ding et al. 2024 (arXiv:2402.13753). */
double rotary_frequency(const struct config *config, const struct config_rope *rope, size_t j);

#endif
