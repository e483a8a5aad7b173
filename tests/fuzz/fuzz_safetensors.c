/* Safetensors files: what is accepted tiles its data exactly, each tensor as large as its shape
 * says. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "evaluator/model/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check_tensor(const struct safetensors_tensor *tensor, const uint8_t *bytes, size_t n)
{
    size_t n_elements = 1;
    size_t size = tensor->end - tensor->begin;

    must(tensor->n_dims <= TENSORS_DIMS_MAX && strlen(tensor->name) < TENSORS_NAME_MAX);
    for (size_t d = 0; d < tensor->n_dims; d++) {
        n_elements *= tensor->dims[d];
    }
    must(n_elements == tensor->n_elements);
    must(n_elements * dtype_bits(tensor->dtype) == size * 8);
    must(tensor->data >= bytes && size <= n && tensor->data <= bytes + (n - size));
    if (dtype_is_number(tensor->dtype) && n_elements > 0) {
        float last;

        dtype_to_f32(&last, tensor->data + size - dtype_size(tensor->dtype), tensor->dtype, 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct safetensors file = {0};
    struct err err = {0};
    int rc = safetensors_read(&file, bytes, n, "fuzz", &err);

    if (rc != 0) {
        must(rc == ERR_FORMAT || rc == ERR_LIMIT || rc == ERR_MEMORY);
        must(memcmp(err.text, "fuzz: ", 6) == 0 && file.tensors == NULL);
        return 0;
    }
    size_t at = 0;
    for (size_t i = 0; i < file.n_tensors; i++) {
        must(file.tensors[i].begin == at);
        check_tensor(&file.tensors[i], bytes, n);
        at = file.tensors[i].end;
        for (size_t j = 0; j < i; j++) {
            must(strcmp(file.tensors[i].name, file.tensors[j].name) != 0);
        }
    }
    safetensors_close(&file);
    return 0;
}
