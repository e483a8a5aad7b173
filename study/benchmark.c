/*
 * benchmark.c - two lists of names.
 */
#include "study/benchmark.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

static const char *const beginnings[] = {
    "agieval",    "aime",       "asdiv",   "bbh",         "belebele",      "big_bench",
    "bigbench",   "blimp",      "boolq",   "ceval",       "cmmlu",         "commonsense_qa",
    "coqa",       "gpqa",       "gsm8k",   "gsm_plus",    "hellaswag",     "hendrycks",
    "humaneval",  "ifeval",     "lambada", "leaderboard", "livecodebench", "logiqa",
    "longbench",  "mathqa",     "mbpp",    "medmcqa",     "medqa",         "mgsm",
    "minerva",    "mmlu",       "mmmu",    "musr",        "nq_open",       "openbookqa",
    "piqa",       "pubmedqa",   "sciq",    "siqa",        "social_iqa",    "storycloze",
    "super_glue", "swe_bench",  "toxigen", "triviaqa",    "truthfulqa",    "webqs",
    "wikitext",   "winogrande", "xcopa",   "xnli",        "xstorycloze",   "xwinograd"};

/* Words that name other things too must stand alone: the name ends there, or goes on with no
 * letter. */
static const char *const words[] = {"anli", "arc",  "copa",  "drop",  "glue", "math",
                                    "paws", "race", "ruler", "squad", "wmt",  "wsc"};

static char plain(char c)
{
    return c == '-' ? '_' : (char)tolower((unsigned char)c);
}

static bool begins(const char *name, const char *with, bool alone)
{
    size_t i = 0;

    while (with[i] != '\0' && plain(name[i]) == with[i]) {
        i++;
    }
    return with[i] == '\0' && !(alone && isalpha((unsigned char)name[i]));
}

static bool contains(const char *name, const char *part)
{
    const size_t n = strlen(part);

    for (const char *at = name; *at != '\0'; at++) {
        if (strncasecmp(at, part, n) == 0) {
            return true;
        }
    }
    return false;
}

const char *benchmark_of(const char *name)
{
    if (contains(name, "train") || contains(name, "dev") || contains(name, "valid")) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++) {
        if (begins(name, beginnings[i], false)) {
            return beginnings[i];
        }
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (begins(name, words[i], true)) {
            return words[i];
        }
    }
    return NULL;
}
