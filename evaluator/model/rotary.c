/*
 * rotary.c - the angles of the rotary embedding.
 */
#include "evaluator/model/rotary.h"

#include <math.h>

static const double pi = 3.14159265358979323846;

/* Wavelengths (places a full turn takes) short against the trained length stay as they are, long
 * ones are stretched by the factor, those between by a mixture. */
static double llama3_frequency(const struct config_rope *rope, double frequency)
{
    double turns = rope->original_positions * frequency / (2.0 * pi); /* in the trained length */

    if (turns > rope->high_freq_factor) {
        return frequency;
    }
    if (turns < rope->low_freq_factor) {
        return frequency / rope->factor;
    }
    double keep =
        (turns - rope->low_freq_factor) / (rope->high_freq_factor - rope->low_freq_factor);
    return (1.0 - keep) * frequency / rope->factor + keep * frequency;
}

double rotary_frequency(const struct config *config, size_t j)
{
    const struct config_rope *rope = &config->rope;
    double frequency = pow(rope->theta, -2.0 * (double)j / (double)config->head_width);

    switch (rope->kind) {
    case CONFIG_ROPE_LINEAR:
        return frequency / rope->factor;
    case CONFIG_ROPE_LLAMA3:
        return llama3_frequency(rope, frequency);
    case CONFIG_ROPE_DEFAULT:
    case CONFIG_ROPE_DYNAMIC:
    case CONFIG_ROPE_YARN:
        break;
    }
    return frequency;
}

void rotary_angles(float *angles, const struct config *config, size_t depths)
{
    size_t half = config->head_width / 2;

    for (size_t j = 0; j < half; j++) {
        double frequency = rotary_frequency(config, j);

        for (size_t t = 0; t < depths; t++) {
            angles[t * 2 * half + j] = (float)cos((double)t * frequency);
            angles[t * 2 * half + half + j] = (float)sin((double)t * frequency);
        }
    }
}
