/*
 * gemm_kernels.c - matrix products, in the way of Goto and van de Geijn (2008).
 *
 *          k                 panel             panel
 *       +------+           +--------+        +--------+
 *  six  | tile |  times  k | packed |  makes | in     | six
 *  rows +------+           | weights|        | registers
 *       |      |           +--------+        +--------+
 *
 * A tile of the result stays in registers while the sum runs over DEPTH places of k: for each of
 * them a row of the panel is loaded once and used by all rows, and each x is used by the whole
 * width. The block of the panel stays in the first or second level of cache over all rows.
 *
 * Every element of the result is the same chain of operations wherever it stands in a tile: a sum
 * over DEPTH places in order, from zero; then added to what earlier blocks left. So the result of a
 * row does not depend on its neighbours, and long sums round in two levels.
 *
 * The build compiles this file once an instruction set and defines KERNELS_ISA.
 */
#include "evaluator/model/gemm_kernels.h"

#include <stdint.h>
#include <string.h>

#include "evaluator/model/dtype_bits.h"
#include "evaluator/model/lanes.h"

#ifndef KERNELS_ISA
#define KERNELS_ISA plain
#endif
#define KERNELS_PASTE(stem, isa) stem##_##isa
#define KERNELS_NAME(stem, isa) KERNELS_PASTE(stem, isa)

/* Registers: ROWS * PARTS sums, PARTS of weights, one of x. There are 32 with AVX-512, else 16. */
#if defined(__AVX512F__)
#define PARTS 4
#else
#define PARTS 2
#endif
#define ROWS 6
#define WIDTH LANES_WIDTH
#define PANEL (PARTS * WIDTH)

/* Tried from 128 to 512: 256 places of a panel are 64 KiB with AVX-512, 16 KiB with AVX2. */
#define DEPTH ((size_t)256)

/* Rows up to which weights that are bfloat16 are widened as they are used, which costs a seventh of
 * the products, and more of the time where memory is what they wait for; above, a block of a panel
 * is widened before. */
#define FEW ((size_t)16)

/* Elements of two registers in turn: of their first halves, of their second halves. */
#if LANES_WIDTH == 16
#define FIRST 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define SECOND 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define STAGES 4
#elif LANES_WIDTH == 8
#define FIRST 0, 8, 1, 9, 2, 10, 3, 11
#define SECOND 4, 12, 5, 13, 6, 14, 7, 15
#define STAGES 3
#else
#define FIRST 0, 4, 1, 5
#define SECOND 2, 6, 3, 7
#define STAGES 2
#endif

/* ---- weights ---- */

typedef uint16_t vector_brain __attribute__((vector_size(WIDTH * sizeof(uint16_t))));

static ALWAYS_INLINE vector load_weights(const void *packed, size_t at, const bool brain)
{
    vector_brain halves;

    if (!brain) {
        return vector_load((const float *)packed + at);
    }
    memcpy(&halves, (const uint16_t *)packed + at, sizeof(halves));
    return (vector)(__builtin_convertvector(halves, vector_bits) << 16);
}

static ALWAYS_INLINE void store_weights(void *packed, size_t at, vector weights, const bool brain)
{
    if (brain) {
        const vector_brain halves =
            __builtin_convertvector((vector_bits)weights >> 16, vector_brain);

        memcpy((uint16_t *)packed + at, &halves, sizeof(halves));
    } else {
        vector_store((float *)packed + at, weights);
    }
}

/* packed [WIDTH, PANEL] from `at` on = w [WIDTH, k] transposed: shuffled perfectly, as often as
 * halving WIDTH goes. */
static ALWAYS_INLINE void transpose(void *restrict packed, size_t at, const float *restrict w,
                                    size_t k, const bool brain)
{
    vector rows[WIDTH];
    vector mixed[WIDTH];

    for (size_t c = 0; c < WIDTH; c++) {
        rows[c] = vector_load(w + c * k);
    }
    for (size_t stage = 0; stage < STAGES; stage++) {
        for (size_t c = 0; c < WIDTH / 2; c++) {
            mixed[2 * c] = __builtin_shufflevector(rows[c], rows[c + WIDTH / 2], FIRST);
            mixed[2 * c + 1] = __builtin_shufflevector(rows[c], rows[c + WIDTH / 2], SECOND);
        }
        memcpy(rows, mixed, sizeof(rows));
    }
    for (size_t i = 0; i < WIDTH; i++) {
        store_weights(packed, at + i * PANEL, rows[i], brain);
    }
}

/* Columns [from, to) of a panel, which begins at `panel`. A register's width of them at a time
 * where they are all there: so few rows of w are read side by side without a miss. */
static ALWAYS_INLINE void pack_panel(void *restrict packed, size_t panel, const float *restrict w,
                                     size_t from, size_t to, size_t k, const bool brain)
{
    for (size_t c = from, n; c < to; c += n, w += n * k) {
        size_t i = 0;

        n = WIDTH - c % WIDTH < to - c ? WIDTH - c % WIDTH : to - c;
        for (; n == WIDTH && i + WIDTH <= k; i += WIDTH) {
            transpose(packed, panel + i * PANEL + c, w + i, k, brain);
        }
        for (; i < k; i++) {
            for (size_t column = 0; column < n; column++) {
                const size_t at = panel + i * PANEL + c + column;

                if (brain) {
                    ((uint16_t *)packed)[at] = bits_bf16_of_f32(w[column * k + i]);
                } else {
                    ((float *)packed)[at] = w[column * k + i];
                }
            }
        }
    }
}

static void pack(void *packed, const float *w, size_t first, size_t n, size_t k, bool brain)
{
    const size_t end = first + n;

    for (size_t c = first, next; c < end; c = next) {
        const size_t panel = c / PANEL * PANEL;

        next = panel + PANEL < end ? panel + PANEL : end;
        if (brain) {
            pack_panel(packed, panel * k, w + (c - first) * k, c - panel, next - panel, k, true);
        } else {
            pack_panel(packed, panel * k, w + (c - first) * k, c - panel, next - panel, k, false);
        }
    }
}

/* ---- products ---- */

/* Weights of a block of a panel: floats, or bfloat16. */
struct block {
    const void *weights;
    size_t depth;
};

/* Where a tile of the result goes. */
struct target {
    float *out;
    size_t stride;
    bool add;
};

/* out [rows, parts * WIDTH] (+)= x [rows, depth] * block [depth, PANEL]. */
static ALWAYS_INLINE void tile(struct target to, const float *x, size_t x_stride,
                               struct block block, const size_t rows, const size_t parts,
                               const bool brain)
{
    vector sum[ROWS][PARTS] = {0};

    for (size_t i = 0; i < block.depth; i++) {
        vector weights[PARTS];

        for (size_t p = 0; p < parts; p++) {
            weights[p] = load_weights(block.weights, i * PANEL + p * WIDTH, brain);
        }
        for (size_t r = 0; r < rows; r++) {
            for (size_t p = 0; p < parts; p++) {
                sum[r][p] += x[r * x_stride + i] * weights[p];
            }
        }
    }
    for (size_t r = 0; r < rows; r++) {
        for (size_t p = 0; p < parts; p++) {
            float *at = to.out + r * to.stride + p * WIDTH;

            vector_store(at, to.add ? vector_load(at) + sum[r][p] : sum[r][p]);
        }
    }
}

/* All rows of a block, six, then two, then one at a time. */
static ALWAYS_INLINE void tiles(struct target to, const float *x, size_t x_stride,
                                struct block block, size_t rows, const size_t parts,
                                const bool brain)
{
    for (; rows >= ROWS; rows -= ROWS, x += ROWS * x_stride, to.out += ROWS * to.stride) {
        tile(to, x, x_stride, block, ROWS, parts, brain);
    }
    for (; rows >= 2; rows -= 2, x += 2 * x_stride, to.out += 2 * to.stride) {
        tile(to, x, x_stride, block, 2, parts, brain);
    }
    if (rows == 1) {
        tile(to, x, x_stride, block, 1, parts, brain);
    }
}

/* A panel that is not full, through a buffer of full width; columns < PANEL. */
static ALWAYS_INLINE void narrow_tiles(struct target to, const float *x, size_t x_stride,
                                       struct block block, size_t rows, size_t columns,
                                       const bool brain)
{
    float buffer[ROWS * PANEL];
    const struct target whole = {.out = buffer, .stride = PANEL};

    for (size_t done = 0; done < rows; done += ROWS) {
        size_t n = rows - done < ROWS ? rows - done : ROWS;

        tiles(whole, x + done * x_stride, x_stride, block, n,
              columns > PANEL / 2 ? PARTS : PARTS / 2, brain);
        for (size_t r = 0; r < n; r++) {
            float *row = to.out + (done + r) * to.stride;

            for (size_t c = 0; c < columns; c++) {
                row[c] = to.add ? row[c] + buffer[r * PANEL + c] : buffer[r * PANEL + c];
            }
        }
    }
}

static ALWAYS_INLINE void multiply_block(struct target to, const float *x, size_t x_stride,
                                         struct block block, size_t rows, size_t columns,
                                         const bool brain)
{
    if (columns >= PANEL) {
        tiles(to, x, x_stride, block, rows, PARTS, brain);
    } else {
        narrow_tiles(to, x, x_stride, block, rows, columns, brain);
    }
}

static void widen(float *wide, const uint16_t *brains, size_t n)
{
    for (size_t i = 0; i < n; i += WIDTH) {
        vector_store(wide + i, load_weights(brains, i, true));
    }
}

static void multiply(float *out, const float *x, const void *packed, size_t rows, size_t n,
                     size_t k, bool add, bool brain)
{
    static _Alignas(64) float wide[DEPTH * PANEL]; /* there are no threads */

    for (size_t from = 0; from < k; from += DEPTH) {
        size_t depth = k - from < DEPTH ? k - from : DEPTH;

        for (size_t c = 0; c < n; c += PANEL) {
            const size_t at = c * k + from * PANEL;
            const struct target to = {.out = out + c, .stride = n, .add = add || from > 0};
            struct block block = {(const float *)packed + at, depth};

            if (brain) {
                block.weights = (const uint16_t *)packed + at;
            }
            if (brain && rows <= FEW) {
                multiply_block(to, x + from, k, block, rows, n - c, true);
                continue;
            }
            if (brain) {
                widen(wide, block.weights, depth * PANEL);
                block.weights = wide;
            }
            multiply_block(to, x + from, k, block, rows, n - c, false);
        }
    }
}

extern const struct gemm_kernels KERNELS_NAME(gemm_kernels, KERNELS_ISA);
const struct gemm_kernels KERNELS_NAME(gemm_kernels, KERNELS_ISA) = {
    .panel = PANEL, .pack = pack, .multiply = multiply};
