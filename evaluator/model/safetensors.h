/*
 * safetensors.h - one safetensors file, mapped and checked.
 *
 *   offset 0     u64 N      length of the header, little-endian
 *   offset 8     N bytes    one JSON object: name -> {"dtype", "shape", "data_offsets"}
 *   offset 8+N   the data   row-major; [begin, end) counts from here; no alignment is promised
 *
 * Nothing in the header is trusted: offsets must tile the data exactly, sizes must follow from
 * shapes, names must be unique. Errors read "path: tensor: what".
 */
#ifndef MODEL_SAFETENSORS_H
#define MODEL_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/file.h"
#include "evaluator/model/dtype.h"
#include "evaluator/model/tensors.h"

#define SAFETENSORS_HEADER_MAX 100000000U

struct safetensors_tensor {
    char *name;
    enum dtype dtype;
    size_t n_dims;
    size_t dims[TENSORS_DIMS_MAX];
    size_t n_elements;
    size_t begin, end;         /* in the data area */
    const unsigned char *data; /* in the map; any alignment */
};

struct safetensors {
    struct file_map map;
    size_t n_tensors;
    struct safetensors_tensor *tensors; /* in the order of their data */
};

/* Map and check a file. ERR_MISSING, ERR_IO, ERR_LIMIT, ERR_FORMAT. */
int safetensors_open(struct safetensors *out, const char *path, struct err *err);
void safetensors_close(struct safetensors *file);

/* The checks alone, on bytes in memory; name stands for the path in messages. tensors point into
 * bytes. */
int safetensors_read(struct safetensors *out, const unsigned char *bytes, size_t size,
                     const char *name, struct err *err);

#endif
