#include "tests/support/support.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

char *support_temp_dir(void)
{
    const char *root = getenv("TMPDIR");
    char *path = mem_printf("%s/braid-test-XXXXXX", root != NULL ? root : "/tmp");
    const char *made = mkdtemp(path);

    assert(made != NULL);
    return path;
}

void support_remove_dir(char *path)
{
    file_remove_tree(path, NULL);
    free(path);
}

void support_write_bytes(const char *folder, const char *name, const void *bytes, size_t size)
{
    char *path = file_join(folder, name);
    int rc = file_write(path, bytes, size, 0644, NULL);

    assert(rc == 0);
    free(path);
}

void support_write(const char *folder, const char *name, const char *text)
{
    support_write_bytes(folder, name, text, strlen(text));
}
