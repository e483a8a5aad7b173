/*
 * lora.h - small adapter folders made on the spot.
 */
#ifndef TESTS_LORA_H
#define TESTS_LORA_H

#include <stddef.h>

/* A float tensor of adapter_model.safetensors, its name without "base_model.model."; columns 0: of
 * one dimension. */
struct lora_tensor {
    const char *name;
    size_t rows, columns;
    const float *values; /* [rows, columns] */
};

/* Random numbers of a given seed, always the same; free() them. */
float *lora_numbers(size_t n, unsigned seed);

/* Write folder/name with this config and these tensors; returns its path, free() it. */
char *lora_write(const char *folder, const char *name, const char *config,
                 const struct lora_tensor *tensors, size_t n);

#endif
