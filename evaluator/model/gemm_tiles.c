/*
 * gemm_tiles.c - matrix products of bfloat16 tiles.
 *
 *           k, 32 at a time              panel, 32 columns
 *         +----+----+----+               +----+----+
 *   16    | A0 | A0 | .. |          32   | B0 | B1 |             +----+----+
 *   rows  +----+----+----+    times  of  +----+----+   makes     |  0 |  1 |  in four tiles
 *   16    | A1 | A1 | .. |          k    | B0 | B1 |             +----+----+
 *   rows  +----+----+----+               +----+----+             |  2 |  3 |
 *                                        | .. | .. |             +----+----+
 *
 * Four tiles of sums, two of weights and two of activations are the eight that there are, and each
 * input that is loaded is used twice. Weights are packed in the order in which they are read; of
 * the activations TILE_ROWS by TILE_DEPTH are split into bfloat16 tiles, then all panels pass over
 * them.
 *
 * Every number of the result is the same chain of operations wherever it stands: a sum over
 * TILE_DEPTH places from zero, in each step of 32 first the high parts, then the lower ones; then
 * added to what earlier places left. Rows of zeros fill up tiles. So a row's result does not depend
 * on its neighbours.
 *
 * Sums of high and lower parts go to one tile, four products apart: a product is there 52 cycles
 * after it began, and one begins every 16 (Intel 64 and IA-32 Architectures Optimization Reference
 * Manual, chapter 20), so no product waits for another.
 *
 * The build compiles this file over tiles in memory once an instruction set, and once over the
 * processor's tiles; KERNELS_ISA names them.
 */
#include "evaluator/model/gemm_tiles.h"

#include <string.h>

#include "evaluator/model/dtype_bits.h"

#if defined(__AMX_BF16__) || defined(__AMXBF16__) /* the latter by clang up to 15 */
#include "evaluator/model/tiles_amx.h"
#else
#include "evaluator/model/tiles_plain.h"
#endif

#ifndef KERNELS_ISA
#define KERNELS_ISA plain
#endif
#define KERNELS_PASTE(stem, isa) stem##_##isa
#define KERNELS_NAME(stem, isa) KERNELS_PASTE(stem, isa)

#define ALWAYS_INLINE inline __attribute__((always_inline))

/* bfloat16 numbers in a tile. */
#define TILE (TILE_SIDE * TILE_STEP)

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* ---- weights ---- */

static ALWAYS_INLINE void round_row(uint16_t *restrict to, const float *restrict w, size_t places)
{
    for (size_t i = 0; i < places; i++) {
        to[i] = bits_bf16_of_f32(w[i]);
    }
}

/* Columns [from, to) of a tile, of w at places [places] of k; places beyond are zero. Columns are
 * rounded as they lie, then turned, a pair at a time. */
static void pack_tile(uint16_t *tile, const float *w, size_t k, size_t from, size_t to,
                      size_t places)
{
    uint16_t rows[TILE_SIDE][TILE_STEP] = {0};

    for (size_t c = from; c < to; c++, w += k) {
        if (places == TILE_STEP) {
            round_row(rows[c], w, TILE_STEP);
        } else {
            round_row(rows[c], w, places);
        }
    }
    for (size_t pair = 0; pair < TILE_SIDE; pair++) {
        for (size_t c = from; c < to; c++) {
            memcpy(tile + pair * TILE_STEP + 2 * c, &rows[c][2 * pair], 2 * sizeof(*tile));
        }
    }
}

/* Where column c, the first of its tile, begins; its tiles are two apart. */
static uint16_t *tile_of(uint16_t *packed, size_t c, size_t k)
{
    return packed + c / TILE_PANEL * TILE_PANEL * round_up(k, TILE_STEP) +
           c % TILE_PANEL / TILE_SIDE * TILE;
}

static void pack(uint16_t *packed, const float *w, size_t first, size_t n, size_t k)
{
    const size_t end = first + n;

    for (size_t c = first, next; c < end; w += (next - c) * k, c = next) {
        const size_t side = c / TILE_SIDE * TILE_SIDE;
        uint16_t *tile = tile_of(packed, side, k);

        next = smaller(side + TILE_SIDE, end);
        for (size_t from = 0; from < k; from += TILE_STEP, tile += 2 * TILE) {
            pack_tile(tile, w + from, k, c - side, next - side, smaller(k - from, TILE_STEP));
        }
    }
}

/* ---- activations ---- */

/* One step of one row, in parts, each in a tile of its own. */
static ALWAYS_INLINE void split_row(uint16_t *restrict to, const float *restrict x, size_t places,
                                    const size_t parts)
{
    for (size_t i = 0; i < places; i++) {
        float rest = x[i];

        for (size_t part = 0; part < parts; part++) {
            const uint16_t brain = bits_bf16_of_f32(rest);

            to[part * TILE + i] = brain;
            rest -= bits_f32_of_bf16(brain);
        }
    }
}

/* x [rows, depth] of rows of k -> split [rows / 16, depth / 32, parts] tiles. */
static ALWAYS_INLINE void split_rows(uint16_t *split, const float *x, size_t k, size_t rows,
                                     size_t depth, const size_t parts)
{
    for (size_t first = 0; first < rows; first += TILE_SIDE) {
        const size_t n = smaller(rows - first, TILE_SIDE);

        for (size_t from = 0; from < depth; from += TILE_STEP, split += parts * TILE) {
            const size_t places = smaller(depth - from, TILE_STEP);

            if (n < TILE_SIDE || places < TILE_STEP) {
                memset(split, 0, parts * TILE * sizeof(*split));
            }
            for (size_t r = 0; r < n; r++) {
                const float *row = x + (first + r) * k + from;

                if (places == TILE_STEP) {
                    split_row(split + r * TILE_STEP, row, TILE_STEP, parts);
                } else {
                    split_row(split + r * TILE_STEP, row, places, parts);
                }
            }
        }
    }
}

/* ---- products ---- */

/* Sums over steps of 32 rows, or of the upper 16 alone, times a panel. a1 is the lower rows'. */
static ALWAYS_INLINE void sum_steps(float sums[2 * TILE_SIDE][TILE_PANEL], const uint16_t *a0,
                                    const uint16_t *a1, const uint16_t *b, size_t steps,
                                    const size_t parts, const bool both)
{
    tile_zero(0);
    tile_zero(1);
    tile_zero(2);
    tile_zero(3);
    for (size_t s = 0; s < steps; s++, b += 2 * TILE) {
        tile_load(4, b);
        for (size_t part = 0; part < parts; part++, a0 += TILE, a1 += TILE) {
            tile_load(6, a0);
            tile_dot(0, 6, 4);
            if (part == 0) {
                tile_load(5, b + TILE);
            }
            tile_dot(1, 6, 5);
            if (both) {
                tile_load(7, a1);
                tile_dot(2, 7, 4);
                tile_dot(3, 7, 5);
            }
        }
    }
    tile_store(0, &sums[0][0], sizeof(sums[0]));
    tile_store(1, &sums[0][TILE_SIDE], sizeof(sums[0]));
    if (both) {
        tile_store(2, &sums[TILE_SIDE][0], sizeof(sums[0]));
        tile_store(3, &sums[TILE_SIDE][TILE_SIDE], sizeof(sums[0]));
    }
}

/* Where sums go: columns of rows of n. */
struct target {
    float *out;
    size_t n, columns;
    bool add;
};

static ALWAYS_INLINE void give_row(float *restrict out, const float *restrict sums,
                                   const size_t columns, bool add)
{
    for (size_t c = 0; c < columns; c++) {
        out[c] = add ? out[c] + sums[c] : sums[c];
    }
}

static void give(struct target to, float sums[2 * TILE_SIDE][TILE_PANEL], size_t rows)
{
    for (size_t r = 0; r < rows; r++) {
        if (to.columns == TILE_PANEL) {
            give_row(to.out + r * to.n, sums[r], TILE_PANEL, to.add);
        } else {
            give_row(to.out + r * to.n, sums[r], to.columns, to.add);
        }
    }
}

/* All rows that are split times one panel. */
static ALWAYS_INLINE void multiply_panel(struct target to, const uint16_t *split,
                                         const uint16_t *panel, size_t rows, size_t steps,
                                         const size_t parts)
{
    const size_t stripe = steps * parts * TILE; /* elements of 16 rows */
    _Alignas(64) float sums[2 * TILE_SIDE][TILE_PANEL];

    for (size_t r = 0; r < rows; r += 2 * TILE_SIDE, split += 2 * stripe) {
        if (rows - r > TILE_SIDE) {
            sum_steps(sums, split, split + stripe, panel, steps, parts, true);
        } else {
            sum_steps(sums, split, split, panel, steps, parts, false);
        }
        give(to, sums, smaller(rows - r, 2 * TILE_SIDE));
        to.out += 2 * TILE_SIDE * to.n;
    }
}

static ALWAYS_INLINE void multiply_parts(float *out, const float *x, const uint16_t *packed,
                                         uint16_t *split, size_t rows, size_t n, size_t k, bool add,
                                         const size_t parts)
{
    for (size_t from = 0; from < k; from += TILE_DEPTH) {
        const size_t depth = smaller(k - from, TILE_DEPTH);
        const size_t steps = round_up(depth, TILE_STEP) / TILE_STEP;

        split_rows(split, x + from, k, rows, depth, parts);
        tiles_fence(split);
        for (size_t c = 0; c < n; c += TILE_PANEL) {
            const uint16_t *panel =
                packed + c * round_up(k, TILE_STEP) + from / TILE_STEP * 2 * TILE;
            const struct target to = {.out = out + c,
                                      .n = n,
                                      .columns = smaller(n - c, TILE_PANEL),
                                      .add = add || from > 0};

            multiply_panel(to, split, panel, rows, steps, parts);
        }
    }
}

static void multiply(float *out, const float *x, const uint16_t *packed, uint16_t *split,
                     size_t rows, size_t n, size_t k, bool add, size_t parts)
{
    tiles_begin();
    for (size_t first = 0; first < rows; first += TILE_ROWS) {
        const size_t now = smaller(rows - first, TILE_ROWS);

        if (parts == 1) {
            multiply_parts(out + first * n, x + first * k, packed, split, now, n, k, add, 1);
        } else if (parts == 2) {
            multiply_parts(out + first * n, x + first * k, packed, split, now, n, k, add, 2);
        } else {
            multiply_parts(out + first * n, x + first * k, packed, split, now, n, k, add, 3);
        }
    }
    tiles_end();
}

extern const struct gemm_tiles KERNELS_NAME(gemm_tiles, KERNELS_ISA);
const struct gemm_tiles KERNELS_NAME(gemm_tiles, KERNELS_ISA) = {
    .name = TILES_NAME, .pack = pack, .multiply = multiply};
