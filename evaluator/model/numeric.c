/*
 * numeric.c - the arithmetics that scores are made with.
 */
#include "evaluator/model/numeric.h"

#include <stddef.h>
#include <string.h>

#include "evaluator/model/gemm_tiles.h"

static const char *const names[NUMERIC_N] = {"f32", "amx2", "amx1"};

const char *numeric_name(enum numeric numeric)
{
    return names[numeric];
}

bool numeric_parse(const char *name, enum numeric *out)
{
    for (int i = 0; i < NUMERIC_N; i++) {
        if (strcmp(names[i], name) == 0) {
            *out = (enum numeric)i;
            return true;
        }
    }
    return false;
}

bool numeric_available(enum numeric numeric)
{
    return numeric == NUMERIC_F32 || gemm_tiles_here() != NULL;
}

enum numeric numeric_best(void)
{
    return numeric_available(NUMERIC_AMX2) ? NUMERIC_AMX2 : NUMERIC_F32;
}
