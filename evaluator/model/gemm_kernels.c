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

/* packed [WIDTH, PANEL] = w [WIDTH, k] transposed: shuffled perfectly, as often as halving WIDTH
 * goes. */
static ALWAYS_INLINE void transpose(float *restrict packed, const float *restrict w, size_t k)
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
        vector_store(packed + i * PANEL, rows[i]);
    }
}

/* Columns [from, to) of a panel. A register's width of them at a time where they are all there: so
 * few rows of w are read side by side without a miss. */
static void pack_panel(float *restrict packed, const float *restrict w, size_t from, size_t to,
                       size_t k)
{
    for (size_t c = from, n; c < to; c += n, w += n * k) {
        size_t i = 0;

        n = WIDTH - c % WIDTH < to - c ? WIDTH - c % WIDTH : to - c;
        for (; n == WIDTH && i + WIDTH <= k; i += WIDTH) {
            transpose(packed + i * PANEL + c, w + i, k);
        }
        for (; i < k; i++) {
            for (size_t column = 0; column < n; column++) {
                packed[i * PANEL + c + column] = w[column * k + i];
            }
        }
    }
}

static void pack(float *packed, const float *w, size_t first, size_t n, size_t k)
{
    const size_t end = first + n;

    for (size_t c = first, next; c < end; c = next) {
        const size_t panel = c / PANEL * PANEL;

        next = panel + PANEL < end ? panel + PANEL : end;
        pack_panel(packed + panel * k, w + (c - first) * k, c - panel, next - panel, k);
    }
}

/* Where a tile of the result goes. */
struct target {
    float *out;
    size_t stride;
    bool add;
};

/* out [rows, parts * WIDTH] (+)= x [rows, depth] * panel [depth, PANEL]. */
static ALWAYS_INLINE void tile(struct target to, const float *x, size_t x_stride,
                               const float *panel, size_t depth, const size_t rows,
                               const size_t parts)
{
    vector sum[ROWS][PARTS] = {0};

    for (size_t i = 0; i < depth; i++) {
        vector weights[PARTS];

        for (size_t p = 0; p < parts; p++) {
            weights[p] = vector_load(panel + i * PANEL + p * WIDTH);
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
                                const float *panel, size_t depth, size_t rows, const size_t parts)
{
    for (; rows >= ROWS; rows -= ROWS, x += ROWS * x_stride, to.out += ROWS * to.stride) {
        tile(to, x, x_stride, panel, depth, ROWS, parts);
    }
    for (; rows >= 2; rows -= 2, x += 2 * x_stride, to.out += 2 * to.stride) {
        tile(to, x, x_stride, panel, depth, 2, parts);
    }
    if (rows == 1) {
        tile(to, x, x_stride, panel, depth, 1, parts);
    }
}

/* A panel that is not full, through a buffer of full width; columns < PANEL. */
static void narrow_tiles(struct target to, const float *x, size_t x_stride, const float *panel,
                         size_t depth, size_t rows, size_t columns)
{
    float buffer[ROWS * PANEL];
    const struct target whole = {.out = buffer, .stride = PANEL};

    for (size_t done = 0; done < rows; done += ROWS) {
        size_t n = rows - done < ROWS ? rows - done : ROWS;

        tiles(whole, x + done * x_stride, x_stride, panel, depth, n,
              columns > PANEL / 2 ? PARTS : PARTS / 2);
        for (size_t r = 0; r < n; r++) {
            float *row = to.out + (done + r) * to.stride;

            for (size_t c = 0; c < columns; c++) {
                row[c] = to.add ? row[c] + buffer[r * PANEL + c] : buffer[r * PANEL + c];
            }
        }
    }
}

static void multiply(float *out, const float *x, const float *packed, size_t rows, size_t n,
                     size_t k, bool add)
{
    for (size_t from = 0; from < k; from += DEPTH) {
        size_t depth = k - from < DEPTH ? k - from : DEPTH;

        for (size_t c = 0; c < n; c += PANEL) {
            const float *panel = packed + c * k + from * PANEL;
            const struct target to = {.out = out + c, .stride = n, .add = add || from > 0};

            if (n - c >= PANEL) {
                tiles(to, x + from, k, panel, depth, rows, PARTS);
            } else {
                narrow_tiles(to, x + from, k, panel, depth, rows, n - c);
            }
        }
    }
}

extern const struct gemm_kernels KERNELS_NAME(gemm_kernels, KERNELS_ISA);
const struct gemm_kernels KERNELS_NAME(gemm_kernels, KERNELS_ISA) = {
    .panel = PANEL, .pack = pack, .multiply = multiply};
