/* The tests of rng.c once more, against the arithmetic for compilers without 128-bit integers. */
#define RNG_HALVES

#include "base/rng.c"
#include "tests/base/test_rng.c"
