#include "tests/evaluator/kitchen.h"

#include <assert.h>
#include <stdlib.h>

#include "tests/support/support.h"

const struct tiny_model kitchen_floats[KITCHEN_MODELS] = {{.seed = 1}, {.seed = 2}, {.seed = 3}};
const struct tiny_model kitchen_brains[KITCHEN_MODELS] = {{.dtype = DTYPE_BF16, .seed = 1},
                                                          {.dtype = DTYPE_BF16, .seed = 2},
                                                          {.dtype = DTYPE_BF16, .seed = 3}};

void kitchen_open(struct kitchen *out, const struct tiny_model models[KITCHEN_MODELS])
{
    static const char *const names[] = {"base", "a", "b"};

    *out = (struct kitchen){.folder = support_temp_dir()};
    for (size_t i = 0; i < KITCHEN_MODELS; i++) {
        char *path = tiny_model_write(out->folder, names[i], &models[i]);
        int rc = checkpoint_open(&out->models[i], path, NULL);

        rc |= checkpoint_digest(out->models[i], out->digests[i], NULL);
        assert(rc == 0);
        out->named[i] = (struct plan_model){out->digests[i], out->models[i]};
        free(path);
    }
}

void kitchen_close(struct kitchen *kitchen)
{
    plan_release(&kitchen->plan);
    recipe_release(&kitchen->recipe);
    for (size_t i = 0; i < KITCHEN_MODELS; i++) {
        checkpoint_close(kitchen->models[i]);
    }
    support_remove_dir(kitchen->folder);
}

void kitchen_recipe(struct kitchen *kitchen, const char *method_name, enum recipe_dtype dtype)
{
    const char *const sources[] = {kitchen->digests[1], kitchen->digests[2]};
    const struct method *method;
    int rc = method_find(&method, method_name, NULL);

    assert(rc == 0);
    plan_release(&kitchen->plan);
    recipe_release(&kitchen->recipe);
    recipe_init(&kitchen->recipe, method, dtype, 7, TINY_LAYERS, sources,
                method->sources_max > 1 ? 2 : 1, method->needs_base ? kitchen->digests[0] : NULL);
}

void kitchen_plan(struct kitchen *kitchen, const char *method, enum recipe_dtype dtype)
{
    kitchen_recipe(kitchen, method, dtype);
    int rc = plan_make(&kitchen->plan, &kitchen->recipe, kitchen->named, KITCHEN_MODELS, NULL);

    assert(rc == 0);
}
