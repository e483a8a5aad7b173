#include "evaluator/model/isa.h"

enum isa isa_best(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
        return ISA_AVX512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        return ISA_AVX2;
    }
#endif
    return ISA_PLAIN;
}

const char *isa_name(enum isa isa)
{
    static const char *const names[ISA_N] = {"plain", "avx2", "avx512"};

    return names[isa];
}
