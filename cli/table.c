/*
 * table.c - rows for a person.
 */
#include "cli/table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Characters, not bytes: continuation bytes of UTF-8 take no width. */
static size_t width_of(const char *s)
{
    size_t width = 0;

    for (; *s != '\0'; s++) {
        width += ((unsigned char)*s & 0xc0) != 0x80;
    }
    return width;
}

static char *add_cell(struct table *table, char *cell)
{
    size_t at = 0;

    while (at < table->n_columns &&
           table->cells[(table->n_rows - 1) * table->n_columns + at] != NULL) {
        at++;
    }
    assert(at < table->n_columns);
    table->cells[(table->n_rows - 1) * table->n_columns + at] = cell;
    return cell;
}

void table_init(struct table *table, const char *const *heads, size_t n)
{
    assert(n > 0 && n <= TABLE_COLUMNS_MAX);
    *table = (struct table){.n_columns = n};
    table_row(table);
    for (size_t i = 0; i < n; i++) {
        add_cell(table, mem_text(heads[i]));
    }
}

void table_row(struct table *table)
{
    if (table->n_rows == table->capacity) {
        table->capacity = table->capacity * 2 + 8;
        table->cells = mem_resize(table->cells, table->capacity * table->n_columns, sizeof(char *));
    }
    memset(table->cells + table->n_rows * table->n_columns, 0, table->n_columns * sizeof(char *));
    table->n_rows++;
}

void table_cell(struct table *table, const char *format, ...)
{
    char buffer[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(buffer, sizeof(buffer), format, arguments);
    va_end(arguments);
    add_cell(table, mem_text(buffer));
}

static const char *cell_of(const struct table *table, size_t row, size_t column)
{
    const char *cell = table->cells[row * table->n_columns + column];

    if (cell == NULL) {
        return "";
    }
    return row == 0 && cell[0] == '>' ? cell + 1 : cell;
}

void table_print(const struct table *table, FILE *to)
{
    size_t widths[TABLE_COLUMNS_MAX] = {0};

    for (size_t r = 0; r < table->n_rows; r++) {
        for (size_t c = 0; c < table->n_columns; c++) {
            size_t width = width_of(cell_of(table, r, c));
            widths[c] = width > widths[c] ? width : widths[c];
        }
    }
    for (size_t r = 0; r < table->n_rows; r++) {
        fputs("  ", to);
        for (size_t c = 0; c < table->n_columns; c++) {
            const char *cell = cell_of(table, r, c);
            int pad = (int)(widths[c] - width_of(cell));
            bool right = table->cells[c][0] == '>';
            bool last = c + 1 == table->n_columns;

            fprintf(to, "%*s%s%*s", right ? pad : 0, "", cell, right || last ? 0 : pad, "");
            fputs(last ? "\n" : "  ", to);
        }
    }
}

void table_release(struct table *table)
{
    for (size_t i = 0; i < table->n_rows * table->n_columns; i++) {
        free(table->cells[i]);
    }
    free(table->cells);
    *table = (struct table){0};
}
