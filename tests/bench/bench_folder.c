/*
 * bench_folder.c - whole folders merged, from the system's cache to the disk: 1.1 billion bfloat16
 * parameters, three fine-tunes of a base.
 *
 *   name,value,unit,ratio,reference
 *
 *   folder_merge        task_arithmetic as braid merge writes it. Reference: the slower of reading
 * the inputs where they are mapped and writing as many bytes with plain large writes, synced, one
 * process each folder_ties         thresholds of every task vector counted first folder_export
 * task_arithmetic with the digest of the weights, as braid export writes it folder_memory most
 * memory of all its processes together. Reference: what was stated
 *
 *   bench_folder FOLDER writes the models there, with a recipe for braid merge, and measures
 * nothing.
 *
 * Wall time, turns taken with the reference, medians of five. The folders lie below TMPDIR (else
 * /tmp) and are removed at the end; where there is too little room for them, nothing is measured.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/crew.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "evaluator/merge/carry.h"
#include "evaluator/merge/export.h"
#include "evaluator/model/safetensors_write.h"
#include "tests/bench/measure.h"
#include "tests/support/support.h"

#define TURNS 5
#define MODELS 4 /* a base and three fine-tunes of it */
#define POOL ((size_t)1 << 20)
#define TENSORS 256
#define BLOCK_BYTES ((size_t)8 << 20)

static const char config_text[] =
    "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\",\"hidden_size\":2048,"
    "\"intermediate_size\":5632,\"num_hidden_layers\":22,\"num_attention_heads\":32,"
    "\"num_key_value_heads\":4,\"vocab_size\":32000,\"torch_dtype\":\"bfloat16\"}";

#define LAYERS 22

/* ---- models on the disk ---- */

/* Normal numbers to make all weights of: a base's and a fine-tune's changes. */
struct pools {
    float *base, *delta;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct tensor_place *)a)->name, ((const struct tensor_place *)b)->name);
}

static size_t list_tensors(const char *path, struct tensor_place *places,
                           struct safetensors_output *outputs)
{
    struct config config;
    struct err err;

    measure_must(config_load(&config, path, &err), &err);
    size_t n = tensors_count(&config);
    for (size_t i = 0; i < n; i++) {
        tensors_at(&config, i, &places[i]);
    }
    qsort(places, n, sizeof(places[0]), by_name);
    for (size_t i = 0; i < n; i++) {
        size_t elements = places[i].dims[0] * (places[i].n_dims > 1 ? places[i].dims[1] : 1);

        outputs[i] = (struct safetensors_output){.name = places[i].name,
                                                 .dtype = DTYPE_BF16,
                                                 .n_dims = places[i].n_dims,
                                                 .n_bytes = elements * 2};
        memcpy(outputs[i].dims, places[i].dims, sizeof(outputs[i].dims));
    }
    return n;
}

/* The next weights of a model: pools read from places that the block and the model decide. */
static void draw(const struct pools *pools, size_t block, size_t model, uint16_t *out)
{
    static float floats[POOL];
    size_t base_at = block * 7919 % POOL;
    size_t delta_at = (block * 104729 + model * 15485863) % POOL;

    for (size_t i = 0; i < POOL; i++) {
        floats[i] = pools->base[(base_at + i) % POOL];
        floats[i] += model > 0 ? pools->delta[(delta_at + i) % POOL] : 0.0F;
    }
    dtype_from_f32(out, floats, DTYPE_BF16, POOL);
}

/* Model 0 is the base; the others are near it. */
static void write_model(const struct pools *pools, const char *path, size_t model)
{
    static struct tensor_place places[TENSORS];
    static struct safetensors_output outputs[TENSORS];
    struct safetensors_writer *writer = NULL;
    uint16_t *stored = mem_array(POOL, sizeof(uint16_t));
    size_t block = 0;
    struct err err;

    measure_must(file_make_dirs(path, &err), &err);
    support_write(path, "config.json", config_text);
    size_t n = list_tensors(path, places, outputs);
    measure_must(safetensors_write_begin(&writer, path, outputs, n, SAFETENSORS_SHARD_BYTES, &err),
                 &err);
    for (size_t i = 0; i < n; i++) {
        for (size_t at = 0; at < outputs[i].n_bytes; at += POOL * 2) {
            size_t left = outputs[i].n_bytes - at;

            draw(pools, block++, model, stored);
            measure_must(
                safetensors_write_bytes(writer, stored, left < POOL * 2 ? left : POOL * 2, &err),
                &err);
        }
    }
    measure_must(safetensors_write_end(writer, &err), &err);
    free(stored);
}

struct kitchen {
    char *folder;
    struct checkpoint *models[MODELS];
    char digests[MODELS][DIGEST_HEX]; /* names that tell them apart, not digests */
    struct plan_model named[MODELS];
    size_t n_elements;
    size_t peak_bytes, stated_bytes;
};

static void write_models(const char *folder)
{
    struct pools pools = {mem_array(POOL, sizeof(float)), mem_array(POOL, sizeof(float))};
    double *normals = mem_array(POOL, sizeof(double));
    struct rng64 rng;

    rng64_seed(&rng, 1, 1);
    rng64_normals(&rng, normals, POOL);
    for (size_t i = 0; i < POOL; i++) {
        pools.base[i] = (float)normals[i] * 0.02F;
        pools.delta[POOL - 1 - i] = (float)normals[i] * 0.001F;
    }
    for (size_t i = 0; i < MODELS; i++) {
        char *path = mem_printf("%s/%zu", folder, i);

        write_model(&pools, path, i);
        free(path);
    }
    free(normals);
    free(pools.base);
    free(pools.delta);
}

/* What folder_merge does, for braid merge FOLDER/recipe.yaml OUT. */
static void write_recipe(const char *folder)
{
    support_write(folder, "recipe.yaml",
                  "merge_method: task_arithmetic\nbase_model: \"0\"\ndtype: bfloat16\nmodels:\n"
                  "  - {model: \"1\", parameters: {weight: 0.4}}\n"
                  "  - {model: \"2\", parameters: {weight: 0.3}}\n"
                  "  - {model: \"3\", parameters: {weight: 0.3}}\n");
}

static void open_kitchen(struct kitchen *kitchen)
{
    struct err err;

    write_models(kitchen->folder);
    for (size_t i = 0; i < MODELS; i++) {
        char *path = mem_printf("%s/%zu", kitchen->folder, i);

        measure_must(checkpoint_open(&kitchen->models[i], path, &err), &err);
        digest_hex_of(&i, sizeof(i), kitchen->digests[i]);
        kitchen->named[i] = (struct plan_model){kitchen->digests[i], kitchen->models[i]};
        free(path);
    }
    for (size_t i = 0; i < checkpoint_count(kitchen->models[0]); i++) {
        kitchen->n_elements += checkpoint_at(kitchen->models[0], i)->n_elements;
    }
}

static void close_kitchen(struct kitchen *kitchen)
{
    for (size_t i = 0; i < MODELS; i++) {
        checkpoint_close(kitchen->models[i]);
    }
    support_remove_dir(kitchen->folder);
}

/* ---- the reference ---- */

/* Every byte of the inputs, where it is mapped. */
static double time_reading(const struct kitchen *kitchen)
{
    double before = measure_wall();
    uint64_t sum = 0;

    for (size_t m = 0; m < MODELS; m++) {
        for (size_t i = 0; i < checkpoint_count(kitchen->models[m]); i++) {
            const struct checkpoint_tensor *tensor = checkpoint_at(kitchen->models[m], i);

            for (size_t at = 0; at + 64 <= tensor->n_bytes; at += 64) {
                uint64_t words[8];

                memcpy(words, tensor->data + at, sizeof(words));
                for (size_t w = 0; w < 8; w++) {
                    sum ^= words[w];
                }
            }
        }
    }
    double spent = measure_wall() - before;
    return sum == 1 ? spent + 1e-9 : spent; /* so that it is not left out */
}

static double time_writing(const struct kitchen *kitchen)
{
    char *path = mem_printf("%s/plain", kitchen->folder);
    unsigned char *block = mem_array(BLOCK_BYTES, 1);
    size_t n_bytes = kitchen->n_elements * 2;

    memset(block, 7, BLOCK_BYTES);
    double before = measure_wall();
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    for (size_t at = 0; at < n_bytes;) {
        size_t part = n_bytes - at < BLOCK_BYTES ? n_bytes - at : BLOCK_BYTES;
        ssize_t n = write(fd, block, part);

        if (n <= 0) {
            fprintf(stderr, "bench_folder: %s cannot be written\n", path);
            exit(1);
        }
        at += (size_t)n;
    }
    fsync(fd);
    close(fd);
    double spent = measure_wall() - before;
    unlink(path);
    free(path);
    free(block);
    return spent;
}

/* ---- merges ---- */

struct contest {
    const char *name, *method;
    bool digests;
    double spent[TURNS];
};

static void plan_for(const struct kitchen *kitchen, const char *name, struct recipe *recipe,
                     struct plan *plan)
{
    const char *sources[] = {kitchen->digests[1], kitchen->digests[2], kitchen->digests[3]};
    const struct method *method;
    struct err err;

    measure_must(method_find(&method, name, &err), &err);
    recipe_init(recipe, method, RECIPE_BFLOAT16, 1, LAYERS, sources, MODELS - 1,
                kitchen->digests[0]);
    measure_must(plan_make(plan, recipe, kitchen->named, MODELS, &err), &err);
}

static double time_merge(struct kitchen *kitchen, const struct contest *contest)
{
    char *out = mem_printf("%s/out", kitchen->folder);
    struct recipe recipe = {0};
    struct plan plan = {0};
    char weights[DIGEST_HEX];
    struct err err;

    plan_for(kitchen, contest->method, &recipe, &plan);
    double before = measure_wall();
    measure_must(
        export_write(&plan, out, NULL, 0, 0, NULL, contest->digests ? weights : NULL, &err), &err);
    double spent = measure_wall() - before;
    size_t stated = carry_memory(&plan, 0);
    kitchen->stated_bytes = stated > kitchen->stated_bytes ? stated : kitchen->stated_bytes;
    measure_must(file_remove_tree(out, &err), &err);
    plan_release(&plan);
    recipe_release(&recipe);
    free(out);
    return spent;
}

static void contend(struct kitchen *kitchen)
{
    struct contest contests[] = {{.name = "folder_merge", .method = "task_arithmetic"},
                                 {.name = "folder_ties", .method = "ties"},
                                 {"folder_export", "task_arithmetic", true, {0}}};
    double reading[TURNS];
    double writing[TURNS];

    for (size_t turn = 0; turn < TURNS; turn++) {
        reading[turn] = time_reading(kitchen);
        writing[turn] = time_writing(kitchen);
        for (size_t c = 0; c < 3; c++) {
            contests[c].spent[turn] = time_merge(kitchen, &contests[c]);
        }
    }
    double read_s = measure_median(reading, TURNS);
    double write_s = measure_median(writing, TURNS);
    double limit = read_s > write_s ? read_s : write_s;
    for (size_t c = 0; c < 3; c++) {
        double spent = measure_median(contests[c].spent, TURNS);

        printf("%s,%.3f,s,%.2f,plain reading %.3f s; plain writing %.3f s; %.2f Gparam; %zu "
               "processes\n",
               contests[c].name, spent, limit / spent, read_s, write_s,
               (double)kitchen->n_elements / 1e9, crew_processors());
    }
}

/* Inputs, output and the reference's file at once, all of them in the system's cache. */
static bool has_room(const char *folder, double n_bytes)
{
    struct statvfs disk;

    return statvfs(folder, &disk) == 0 &&
           (double)disk.f_bavail * (double)disk.f_frsize > 1.2 * n_bytes &&
           (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) > 1.2 * n_bytes;
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        write_models(argv[1]);
        write_recipe(argv[1]);
        return 0;
    }
    struct kitchen kitchen = {.folder = support_temp_dir()};

    if (!has_room(kitchen.folder, 1.1e9 * 2 * (MODELS + 2))) {
        fprintf(stderr, "bench_folder: too little room in %s or in memory\n", kitchen.folder);
        support_remove_dir(kitchen.folder);
        return 0;
    }
    open_kitchen(&kitchen);
    contend(&kitchen);
    kitchen.peak_bytes = crew_processors() * crew_peak_bytes();
    printf("folder_memory,%.1f,MB,%.2f,stated %.1f MB for all processes\n",
           (double)kitchen.peak_bytes / 1e6,
           (double)kitchen.peak_bytes / (double)kitchen.stated_bytes,
           (double)kitchen.stated_bytes / 1e6);
    close_kitchen(&kitchen);
    return 0;
}
