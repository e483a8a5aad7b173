/*
 * architecture.c - the table of families.
 *
 * Touvron et al. 2023 (arXiv:2302.13971) llama; Jiang et al. 2023 (arXiv:2310.06825) mistral; Yang
 * et al. 2024 (arXiv:2407.10671) qwen2; 2025 (arXiv:2505.09388) qwen3; Gemma Team 2024
 * (arXiv:2403.08295, arXiv:2408.00118) and 2025 (arXiv:2503.19786); Abdin et al. 2024
 * (arXiv:2404.14219) phi3. Defaults are those that loaders of config.json use.
 */
#include "evaluator/model/architecture.h"

#include <stddef.h>
#include <string.h>

static const struct architecture architectures[] = {
    {.name = "LlamaForCausalLM", .family = CONFIG_LLAMA, .rope_theta = 10000, .bos = 1, .eos = 2},
    {.name = "MistralForCausalLM",
     .family = CONFIG_MISTRAL,
     .sliding = ARCHITECTURE_SLIDES_ALWAYS,
     .rope_theta = 10000,
     .window = 4096,
     .bos = 1,
     .eos = 2},
    {.name = "Qwen2ForCausalLM",
     .family = CONFIG_QWEN2,
     .sliding = ARCHITECTURE_SLIDES_LATE,
     .qkv_bias = true,
     .rope_theta = 10000,
     .window = 4096,
     .bos = -1,
     .eos = -1},
    {.name = "Qwen3ForCausalLM",
     .family = CONFIG_QWEN3,
     .sliding = ARCHITECTURE_SLIDES_LATE,
     .qk_norm = true,
     .rope_theta = 10000,
     .head_width = 128,
     .window = 4096,
     .bos = -1,
     .eos = -1},
    {.name = "GemmaForCausalLM",
     .family = CONFIG_GEMMA,
     .gemma = true,
     .rope_theta = 10000,
     .head_width = 256,
     .tied = true,
     .bos = 2,
     .eos = 1},
    {.name = "Gemma2ForCausalLM",
     .family = CONFIG_GEMMA2,
     .sliding = ARCHITECTURE_SLIDES_EVEN,
     .sandwich = true,
     .gemma = true,
     .rope_theta = 10000,
     .head_width = 256,
     .window = 4096,
     .query_scalar = 256,
     .attention_cap = 50,
     .logit_cap = 30,
     .tied = true,
     .bos = 2,
     .eos = 1},
    {.name = "Gemma3ForCausalLM",
     .family = CONFIG_GEMMA3,
     .sliding = ARCHITECTURE_SLIDES_PATTERN,
     .qk_norm = true,
     .sandwich = true,
     .gemma = true,
     .rope_theta = 1000000,
     .local_theta = 10000,
     .head_width = 256,
     .window = 4096,
     .query_scalar = 256,
     .tied = true,
     .bos = 2,
     .eos = 1},
    {.name = "Gemma3ForConditionalGeneration",
     .family = CONFIG_GEMMA3,
     .sliding = ARCHITECTURE_SLIDES_PATTERN,
     .qk_norm = true,
     .sandwich = true,
     .nested = true,
     .gemma = true,
     .rope_theta = 1000000,
     .local_theta = 10000,
     .n_heads = 8,
     .n_kv_heads = 4,
     .vocab = 262208,
     .positions = 131072,
     .head_width = 256,
     .window = 4096,
     .query_scalar = 256,
     .tied = true,
     .bos = 2,
     .eos = 1},
    {.name = "Phi3ForCausalLM",
     .family = CONFIG_PHI3,
     .sliding = ARCHITECTURE_SLIDES_ALWAYS,
     .fused = true,
     .rope_theta = 10000,
     .bos = 1,
     .eos = 32000},
};

static const struct architecture other = {.rope_theta = 10000, .bos = -1, .eos = -1};

const struct architecture *architecture_find(const char *name)
{
    for (size_t i = 0; i < sizeof(architectures) / sizeof(architectures[0]); i++) {
        if (strcmp(architectures[i].name, name) == 0) {
            return &architectures[i];
        }
    }
    return &other;
}
