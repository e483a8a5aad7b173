#include "search/bounds.h"

#include <assert.h>
#include <math.h>

/* Width of the parabola beside a wall: on both sides of it, so 2 * margin in all. */
static double margin_at(double wall, double lower, double upper)
{
    return fmin((upper - lower) / 2.0, 0.05 * fmax(1.0, fabs(wall)));
}

static double clamp(double x, double lower, double upper)
{
    return fmin(fmax(x, lower), upper);
}

bool bounds_are_usable(double lower, double upper)
{
    return lower < upper && (isinf(lower) || fabs(lower) <= 1e150) &&
           (isinf(upper) || fabs(upper) <= 1e150);
}

bool bounds_take_step(double step, double lower, double upper)
{
    double far = fmax(isinf(lower) ? 0.0 : fabs(lower), isinf(upper) ? 0.0 : fabs(upper));

    return step > 0.0 && step <= 1e100 && step <= upper - lower && far <= 1e12 * step;
}

/* Bring x into [lower - margin_lower, upper + margin_upper] by mirroring at those two ends. */
static double mirror(double x, double first, double last)
{
    if (x >= first && x <= last) {
        return x;
    }
    if (isinf(first) || isinf(last)) {
        double end = isinf(first) ? last : first;
        return end + (end - x);
    }
    double span = last - first;
    double along = fmod(x - first, 2.0 * span);

    if (along < 0.0) {
        along += 2.0 * span;
    }
    return along <= span ? first + along : last - (along - span);
}

double bounds_fold(double x, double lower, double upper)
{
    assert(isfinite(x) && lower < upper);
    double al = isinf(lower) ? 0.0 : margin_at(lower, lower, upper);
    double au = isinf(upper) ? 0.0 : margin_at(upper, lower, upper);

    x = mirror(x, lower - al, upper + au);
    if (x < lower + al) {
        double up = x - (lower - al);
        x = lower + up * up / (4.0 * al);
    } else if (x > upper - au) {
        double down = x - (upper + au);
        x = upper - down * down / (4.0 * au);
    }
    return clamp(x, lower, upper);
}

double bounds_unfold(double point, double lower, double upper)
{
    assert(point >= lower && point <= upper && lower < upper);
    double al = isinf(lower) ? 0.0 : margin_at(lower, lower, upper);
    double au = isinf(upper) ? 0.0 : margin_at(upper, lower, upper);

    if (point < lower + al) {
        return lower - al + 2.0 * sqrt(al * (point - lower));
    }
    if (point > upper - au) {
        return upper + au - 2.0 * sqrt(au * (upper - point));
    }
    return point;
}
