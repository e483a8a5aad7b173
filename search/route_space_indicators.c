/*
 * route_space_indicators.c - a bit a slot and the numbers of the scales, as coordinates.
 *
 * The host's first repeat starts two deviations on the side of being there, all other bits in the
 * middle: on the path with chances 0.977 and 0.5.
 */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "search/route_space_kinds.h"

#define UNDECIDED 0.499999 /* in the middle, and not on the path at the start itself */
#define HOST_DEVIATION 0.5 /* so that 3/4 is two of them from the middle */
#define WEIGHT_MAX 3.0     /* of the network: tanh is flat beyond */

/* ---- scales ---- */

struct space_coordinate route_space_gain(char *name)
{
    return (struct space_coordinate){name, log(ROUTE_SCALE_MIN), log(ROUTE_SCALE_MAX), 0.0, false,
                                     0.0};
}

static struct space_coordinate number_at(const struct route_space *t, size_t i)
{
    static const char *const thirds[] = {"first", "middle", "last"};
    const size_t models = t->models.frame.n_models, pair = i / 3;

    switch (t->indicators.scales) {
    case STUDY_SCALES_DENSE:
        return (struct space_coordinate){
            mem_printf("scale %zu", i), ROUTE_SCALE_MIN, ROUTE_SCALE_MAX, 1.0, false, 0.0};
    case STUDY_SCALES_NETWORK:
        return (struct space_coordinate){
            mem_printf("network %zu", i), -WEIGHT_MAX, WEIGHT_MAX, 0.0, false, 0.0};
    default:
        return route_space_gain(mem_printf("log gain %s to %s, %s third",
                                           t->models.names[pair / models],
                                           t->models.names[pair % models], thirds[i % 3]));
    }
}

void route_space_lay_out_numbers(const struct route_space *t, struct space_coordinate *out)
{
    for (size_t i = 0; i < indicators_numbers(&t->indicators); i++) {
        out[i] = number_at(t, i);
    }
}

/* ---- bits ---- */

static size_t bits_n(const struct route_space *t)
{
    return indicators_bits(&t->indicators) + indicators_numbers(&t->indicators);
}

static struct space_coordinate bit_at(const struct route_space *t, size_t i)
{
    const struct indicators_slot slot = indicators_slot(&t->indicators, i);
    bool host = slot.model == 0 && slot.round == 0;

    return (struct space_coordinate){
        .name =
            mem_printf("%s %u, repeat %u", t->models.names[slot.model], slot.layer, slot.round + 1),
        .upper = 1.0,
        .start = host ? 1.0 : UNDECIDED,
        .whole = true,
        .deviation = host ? HOST_DEVIATION : 1.0};
}

static void bits_lay_out(const struct route_space *t, struct space_coordinate *out)
{
    const size_t bits = indicators_bits(&t->indicators);

    for (size_t i = 0; i < bits; i++) {
        out[i] = bit_at(t, i);
    }
    route_space_lay_out_numbers(t, out + bits);
}

static void bits_build(const struct route_space *t, const double *values, struct route *out)
{
    const size_t n = indicators_bits(&t->indicators);
    bool *bits = mem_array(n, sizeof *bits);

    for (size_t i = 0; i < n; i++) {
        bits[i] = values[i] > 0.5;
    }
    indicators_build(out, &t->indicators, bits);
    indicators_scale(out, &t->indicators, values + n);
    free(bits);
}

static bool bits_match(const struct route_space *t, const struct route *route, double *values)
{
    const size_t n = indicators_bits(&t->indicators);
    bool *bits = mem_array(n, sizeof *bits);

    indicators_match(bits, &t->indicators, route);
    for (size_t i = 0; i < n; i++) {
        values[i] = bits[i] ? 1.0 : 0.0;
    }
    indicators_fit(values + n, &t->indicators, route);
    free(bits);
    return true;
}

const struct route_space_kind route_space_indicators = {
    .n = bits_n, .lay_out = bits_lay_out, .build = bits_build, .match = bits_match};
