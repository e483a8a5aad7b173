/*
 * safetensors.c - a safetensors header, read without trust.
 */
#include "evaluator/model/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/doc.h"
#include "base/mem.h"
#include "base/text.h"

static int refuse(struct err *err, const char *file, const char *tensor, const char *what)
{
    return err_set(err, ERR_FORMAT, "%s: %.200s: %s", file, tensor, what);
}

/* An unsigned 64-bit integer; jansson's are signed, so the upper half is out of reach, as is any
 * such file. */
static bool read_size(const json_t *value, size_t *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        return false;
    }
    *out = (size_t)json_integer_value(value);
    return true;
}

static int read_shape(struct safetensors_tensor *tensor, const json_t *shape, const char *file,
                      struct err *err)
{
    size_t n = json_array_size(shape);

    if (!json_is_array(shape) || n > TENSORS_DIMS_MAX) {
        return refuse(err, file, tensor->name, "shape is not a list of at most 8 sizes");
    }
    tensor->n_dims = n;
    tensor->n_elements = 1;
    for (size_t d = 0; d < n; d++) {
        if (!read_size(json_array_get(shape, d), &tensor->dims[d])) {
            return refuse(err, file, tensor->name, "a size in shape is not an unsigned integer");
        }
        if (!mem_multiply(tensor->n_elements, tensor->dims[d], &tensor->n_elements)) {
            return refuse(err, file, tensor->name, "shape is too large");
        }
    }
    return 0;
}

static int check_extent(const struct safetensors_tensor *tensor, const char *file, struct err *err)
{
    size_t bits;

    if (!mem_multiply(tensor->n_elements, dtype_bits(tensor->dtype), &bits)) {
        return refuse(err, file, tensor->name, "shape is too large");
    }
    if (bits % 8 != 0) {
        return refuse(err, file, tensor->name, "its elements do not fill whole bytes");
    }
    if (tensor->end < tensor->begin || tensor->end - tensor->begin != bits / 8) {
        return err_set(err, ERR_FORMAT,
                       "%s: %.200s: data_offsets span %lld bytes, its shape needs %zu", file,
                       tensor->name, (long long)tensor->end - (long long)tensor->begin, bits / 8);
    }
    return 0;
}

static int read_tensor(struct safetensors_tensor *tensor, const char *name, const json_t *entry,
                       const char *file, struct err *err)
{
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    const json_t *offsets = json_object_get(entry, "data_offsets");

    if (strlen(name) >= TENSORS_NAME_MAX) {
        return refuse(err, file, name, "its name is too long");
    }
    tensor->name = mem_text(name);
    if (!json_is_object(entry) || dtype == NULL) {
        return refuse(err, file, name, "no dtype");
    }
    if (!dtype_parse(dtype, &tensor->dtype)) {
        return err_set(err, ERR_FORMAT, "%s: %s: unknown dtype '%.32s'", file, name, dtype);
    }
    if (!json_is_array(offsets) || json_array_size(offsets) != 2 ||
        !read_size(json_array_get(offsets, 0), &tensor->begin) ||
        !read_size(json_array_get(offsets, 1), &tensor->end)) {
        return refuse(err, file, name, "data_offsets are not two unsigned integers");
    }
    return read_shape(tensor, json_object_get(entry, "shape"), file, err);
}

static int check_metadata(const json_t *metadata, const char *file, struct err *err)
{
    const char *key;
    json_t *value;

    if (metadata == NULL || json_is_null(metadata)) {
        return 0;
    }
    if (!json_is_object(metadata)) {
        return err_set(err, ERR_FORMAT, "%s: __metadata__ is not an object", file);
    }
    json_object_foreach((json_t *)metadata, key, value)
    {
        if (!json_is_string(value)) {
            return err_set(err, ERR_FORMAT, "%s: __metadata__.%.64s is not a text", file, key);
        }
    }
    return 0;
}

static int by_offset(const void *a, const void *b)
{
    const struct safetensors_tensor *x = a;
    const struct safetensors_tensor *y = b;

    if (x->begin != y->begin) {
        return x->begin < y->begin ? -1 : 1;
    }
    return x->end < y->end ? -1 : x->end > y->end;
}

/* Offsets must tile the data area: that is what stops many tensors over the same bytes, and hidden
 * bytes. */
static int check_tiling(struct safetensors *file, size_t data_size, const char *path,
                        struct err *err)
{
    size_t at = 0;

    for (size_t i = 0; i < file->n_tensors; i++) {
        const struct safetensors_tensor *tensor = &file->tensors[i];

        if (tensor->begin != at) {
            return err_set(err, ERR_FORMAT,
                           "%s: %s: its data begin at %zu, those before end at %zu", path,
                           tensor->name, tensor->begin, at);
        }
        int rc = check_extent(tensor, path, err);
        if (rc != 0) {
            return rc;
        }
        if (tensor->end > data_size) {
            return err_set(err, ERR_FORMAT,
                           "%s: %s: its data end at %zu, the file's at %zu; it is cut short", path,
                           tensor->name, tensor->end, data_size);
        }
        at = tensor->end;
    }
    if (at != data_size) {
        return err_set(err, ERR_FORMAT,
                       "%s: its tensors need %zu bytes of data, the file has %zu, %zu bytes more",
                       path, at, data_size, data_size - at);
    }
    return 0;
}

static int read_header(struct safetensors *file, const json_t *header, const unsigned char *data,
                       size_t data_size, const char *path, struct err *err)
{
    const char *name;
    json_t *entry;
    int rc = check_metadata(json_object_get(header, "__metadata__"), path, err);

    if (rc != 0) {
        return rc;
    }
    file->tensors = mem_try(json_object_size(header), sizeof(*file->tensors), path, err);
    if (file->tensors == NULL) {
        return ERR_MEMORY;
    }
    json_object_foreach((json_t *)header, name, entry)
    {
        if (rc != 0) {
            break;
        }
        if (strcmp(name, "__metadata__") == 0) {
            continue;
        }
        rc = read_tensor(&file->tensors[file->n_tensors++], name, entry, path, err);
    }
    if (rc != 0) {
        return rc;
    }
    qsort(file->tensors, file->n_tensors, sizeof(struct safetensors_tensor), by_offset);
    rc = check_tiling(file, data_size, path, err);
    for (size_t i = 0; i < file->n_tensors && rc == 0; i++) {
        file->tensors[i].data = data + file->tensors[i].begin;
    }
    return rc;
}

static uint64_t header_size(const unsigned char *bytes)
{
    uint64_t n = 0;

    for (int i = 7; i >= 0; i--) {
        n = n << 8 | bytes[i];
    }
    return n;
}

/*
 * The key that ends at this column of a header's first line: its place and size, NULL when there is
 * none. Columns count characters, not bytes.
 */
static const char *key_before(const char *bytes, size_t n, int column, size_t *size)
{
    size_t end = 0;

    for (int c = 0; end < n && c < column; end++) {
        c += ((unsigned char)bytes[end] & 0xC0) != 0x80;
    }
    if (end < 3 || bytes[end - 1] != '"') {
        return NULL;
    }
    size_t begin = end - 2;
    while (begin > 0 && bytes[begin] != '"') {
        begin--;
    }
    *size = end - 2 - begin;
    return bytes + begin + 1;
}

/*
 * The header as JSON; depth and duplicate names are doc_parse's to refuse, but its line and column
 * say little about one long line, so a name that occurs twice is said in plain words.
 */
static int parse_header(json_t **out, const unsigned char *bytes, size_t n, const char *name,
                        struct err *err)
{
    struct err inner = {0};
    int rc = doc_parse(out, (const char *)bytes, n, &inner);
    int column = 0;
    size_t size = 0;

    if (rc == 0) {
        return 0;
    }
    if (strstr(inner.text, "duplicate object key") != NULL &&
        sscanf(inner.text, "line 1 column %d:", &column) == 1) {
        const char *key = key_before((const char *)bytes, n, column, &size);

        if (key != NULL) {
            return err_set(err, ERR_FORMAT, "%s: header: '%.*s' appears twice", name,
                           (int)(size < 200 ? size : 200), key);
        }
    }
    return err_set(err, inner.code, "%s: header: %s", name, inner.text);
}

int safetensors_read(struct safetensors *out, const unsigned char *bytes, size_t size,
                     const char *name, struct err *err)
{
    struct safetensors made = {0};
    json_t *header = NULL;
    int rc;

    if (size < 8) {
        return err_set(err, ERR_FORMAT, "%s: %zu bytes are too few for a safetensors file", name,
                       size);
    }
    uint64_t n = header_size(bytes);
    if (n > SAFETENSORS_HEADER_MAX) {
        return err_set(err, ERR_LIMIT, "%s: a header of %llu bytes is more than %u", name,
                       (unsigned long long)n, SAFETENSORS_HEADER_MAX);
    }
    if (n > size - 8) {
        return err_set(err, ERR_FORMAT,
                       "%s: the header needs %llu bytes, the file has %zu; it is cut short", name,
                       (unsigned long long)n, size - 8);
    }
    if (!text_is_utf8((const char *)bytes + 8, (size_t)n, NULL)) {
        return err_set(err, ERR_FORMAT, "%s: the header is not UTF-8", name);
    }
    rc = parse_header(&header, bytes + 8, (size_t)n, name, err);
    if (rc != 0) {
        return rc;
    }
    if (!json_is_object(header)) {
        rc =
            err_set(err, ERR_FORMAT, "%s: the header is %s, not an object", name, doc_kind(header));
    } else {
        rc = read_header(&made, header, bytes + 8 + n, size - 8 - (size_t)n, name, err);
    }
    json_decref(header);
    if (rc != 0) {
        safetensors_close(&made);
        return rc;
    }
    *out = made;
    return 0;
}

int safetensors_open(struct safetensors *out, const char *path, struct err *err)
{
    struct safetensors made = {0};
    struct file_map map = {0};
    int rc = file_map(&map, path, err);

    if (rc != 0) {
        return rc;
    }
    rc = safetensors_read(&made, map.data, map.size, path, err);
    if (rc != 0) {
        file_unmap(&map);
        return rc;
    }
    made.map = map;
    *out = made;
    return 0;
}

void safetensors_close(struct safetensors *file)
{
    for (size_t i = 0; i < file->n_tensors; i++) {
        free(file->tensors[i].name);
    }
    free(file->tensors);
    if (file->map.data != NULL) {
        file_unmap(&file->map);
    }
    *file = (struct safetensors){0};
}
