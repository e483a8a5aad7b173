#include "tests/evaluator/lora.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/text.h"
#include "tests/support/support.h"

float *lora_numbers(size_t n, unsigned seed)
{
    double *normals = mem_array(n, sizeof(double));
    float *made = mem_array(n, sizeof(float));
    struct rng64 rng;

    rng64_seed(&rng, seed, 77);
    rng64_normals(&rng, normals, n);
    for (size_t i = 0; i < n; i++) {
        made[i] = (float)(normals[i] * 0.1);
    }
    free(normals);
    return made;
}

char *lora_write(const char *folder, const char *name, const char *config,
                 const struct lora_tensor *tensors, size_t n)
{
    char *path = file_join(folder, name);
    struct text header = {0};
    struct text file = {0};
    size_t at = 0;
    int rc = file_make_dirs(path, NULL);

    assert(rc == 0);
    text_add_char(&header, '{');
    for (size_t i = 0; i < n; i++) {
        const struct lora_tensor *tensor = &tensors[i];
        const size_t columns = tensor->columns > 0 ? tensor->columns : 1;

        text_printf(&header, "%s\"base_model.model.%s\":{\"dtype\":\"F32\",\"shape\":[%zu",
                    i > 0 ? "," : "", tensor->name, tensor->rows);
        if (tensor->columns > 0) {
            text_printf(&header, ",%zu", tensor->columns);
        }
        text_printf(&header, "],\"data_offsets\":[%zu,%zu]}", at,
                    at + tensor->rows * columns * sizeof(float));
        at += tensor->rows * columns * sizeof(float);
    }
    text_add_char(&header, '}');
    const uint64_t size = header.size;
    text_add_n(&file, (const char *)&size, sizeof(size));
    text_add_n(&file, header.data, header.size);
    for (size_t i = 0; i < n; i++) {
        const size_t columns = tensors[i].columns > 0 ? tensors[i].columns : 1;

        text_add_n(&file, (const char *)tensors[i].values,
                   tensors[i].rows * columns * sizeof(float));
    }
    support_write_bytes(path, "adapter_model.safetensors", file.data, file.size);
    support_write(path, "adapter_config.json", config);
    text_release(&header);
    text_release(&file);
    return path;
}
