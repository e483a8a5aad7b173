/*
 * amx.c - whether this process may use the processor's matrix units.
 *
 * Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapters 13 and 18;
 * Linux, Documentation/arch/x86/xstate.rst: a process asks for the 8 KiB of tile data before its
 * first tile, since they enlarge what is saved of it at every switch.
 */
#include "evaluator/model/amx.h"

#include "evaluator/model/isa.h"

#if defined(__x86_64__) && defined(__linux__)

#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LEAF1_ECX_OSXSAVE (1U << 27)
#define LEAF7_EDX_AMX_BF16 (1U << 22)
#define LEAF7_EDX_AMX_TILE (1U << 24)

#define STATE_TILE_CONFIG 17
#define STATE_TILE_DATA 18

#define REQUEST_STATE 0x1023 /* ARCH_REQ_XCOMP_PERM of asm/prctl.h */

static bool processor_has_tiles(void)
{
    unsigned a, b, c, d;

    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & LEAF7_EDX_AMX_BF16) != 0 &&
           (d & LEAF7_EDX_AMX_TILE) != 0;
}

static bool system_saves_tiles(void)
{
    const unsigned long long both = 1ULL << STATE_TILE_CONFIG | 1ULL << STATE_TILE_DATA;
    unsigned a, b, c, d;

    return __get_cpuid(1, &a, &b, &c, &d) && (c & LEAF1_ECX_OSXSAVE) != 0 &&
           ((unsigned long long)_xgetbv(0) & both) == both;
}

static bool ask(void)
{
    /* The tile code uses AVX-512 beside the tiles. */
    return isa_best() == ISA_AVX512 && processor_has_tiles() && system_saves_tiles() &&
           syscall(SYS_arch_prctl, REQUEST_STATE, STATE_TILE_DATA) == 0;
}

#else

static bool ask(void)
{
    return false;
}

#endif

bool amx_ready(void)
{
    static enum { NOT_ASKED, NO, YES } answer;

    if (answer == NOT_ASKED) {
        answer = ask() ? YES : NO;
    }
    return answer == YES;
}
